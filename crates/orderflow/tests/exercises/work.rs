//! Works through a document.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tokio::time::{interval, timeout};

use crate::markdown::{self, Expected, Place, Servers, Step};
use crate::output::{self, Ids};
use crate::session::{Answer, Network, Session};

/// How long a document may take, and one block of it: enough to tell what hangs from what is slow.
const DOCUMENT: Duration = Duration::from_secs(900);
const BLOCK: Duration = Duration::from_secs(300);
/// How long a terminal may take to print what its document says.
const PRINTED: Duration = Duration::from_secs(120);

/// Does what the document says, as far as it takes no more than these servers; a failure names the block.
pub(crate) async fn through(document: &str, servers: Servers) {
    let mut steps = markdown::steps(&crate::read(document))
        .unwrap_or_else(|problems| panic!("{document}: {}", problems.join("; ")));
    steps.retain(|step| step.servers == servers);
    assert!(!steps.is_empty(), "{document} has nothing to do");
    build_examples(&steps);
    // The test bed is in the machine's network.
    let network = match servers {
        Servers::None => Network::Own,
        Servers::Real => Network::Machine,
    };
    let outcome = timeout(DOCUMENT, all(document, &steps, network)).await;
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(problem)) => panic!("{problem}"),
        Err(_) => panic!("{document} takes longer than {DOCUMENT:?}"),
    }
}

/// Does the steps in their order.
///
/// # Errors
///
/// What was not as the document says, with what was printed.
pub(crate) async fn all(document: &str, steps: &[Step], network: Network) -> Result<(), String> {
    let program = Path::new(env!("CARGO_BIN_EXE_orderflow"));
    let session = Session::start(&crate::root(), program, &built().join("examples"), network).await;
    if network == Network::Own && !session.alone {
        println!(
            "{document}: takes the ports of this machine, since it permits no network of their own"
        );
    }
    let mut work = Work {
        session,
        ids: Ids::new(),
        terminals: Vec::new(),
    };
    for step in steps {
        if let Place::NotRun(reason) = &step.place {
            println!("{document}:{}: not run: {reason}", step.line);
            continue;
        }
        let outcome = timeout(BLOCK, work.step(step)).await;
        let problem = match outcome {
            Ok(Ok(())) => continue,
            Ok(Err(problem)) => problem,
            Err(_) => format!("takes longer than {BLOCK:?}"),
        };
        let terminals = work.terminals();
        return Err(format!(
            "{document}:{}: {problem}\n---- commands\n{}{terminals}",
            step.line, step.commands
        ));
    }
    Ok(())
}

struct Work {
    session: Session,
    ids: Ids,
    /// The terminals by name, each with the number of what it runs.
    terminals: Vec<(String, usize)>,
}

impl Work {
    async fn step(&mut self, step: &Step) -> Result<(), String> {
        let (file, answer) = match &step.place {
            Place::NotRun(_) => return Ok(()),
            Place::Look(name) => (self.last_in(name)?, Answer::Done),
            Place::Here => self.session.run(&step.commands).await,
            Place::Terminal { name, interrupt } => {
                if *interrupt && self.session.interrupt(name).await != Answer::Done {
                    return Err(format!("Ctrl-C does not end what runs in terminal {name}"));
                }
                if only_comments(&step.commands) {
                    return Ok(());
                }
                let started = self.session.start_in(name, &step.commands).await;
                self.terminals.push((name.clone(), started.0));
                started
            }
        };
        let printed = self.session.output(file);
        // Seen where the test fails, or is run with --nocapture.
        println!("$ {}\n{printed}", step.commands.trim_end());
        if let Answer::Ended(how) = answer {
            return Err(format!("a command failed: {how}\n---- printed\n{printed}"));
        }
        let Some(expected) = &step.expected else {
            return Ok(());
        };
        match step.place {
            Place::Terminal { .. } | Place::Look(_) => self.prints(file, expected).await,
            _ => self.compare(file, expected),
        }
    }

    /// What was started last in a terminal.
    fn last_in(&self, terminal: &str) -> Result<usize, String> {
        let mut started = self.terminals.iter().rev();
        let found = started.find(|(name, _)| name == terminal);
        let (_, file) = found.ok_or_else(|| format!("there is no terminal {terminal}"))?;
        Ok(*file)
    }

    fn compare(&mut self, file: usize, expected: &Expected) -> Result<(), String> {
        let printed = self.session.output(file);
        output::compare(&expected.text, expected.how, &printed, &mut self.ids).map_err(|problem| {
            format!(
                "the output is not that of line {}: {problem}\n---- printed\n{printed}---- expected\n{}",
                expected.line, expected.text
            )
        })
    }

    /// What goes on running has its time to print what is expected.
    async fn prints(&mut self, file: usize, expected: &Expected) -> Result<(), String> {
        let mut look = interval(Duration::from_millis(50));
        let looking = async {
            loop {
                look.tick().await;
                if self.compare(file, expected).is_ok() {
                    return;
                }
            }
        };
        if timeout(PRINTED, looking).await.is_ok() {
            return Ok(());
        }
        self.compare(file, expected)
    }

    /// What the terminals have printed, for somebody who wonders.
    fn terminals(&self) -> String {
        self.terminals
            .iter()
            .map(|(name, file)| format!("---- terminal {name}\n{}", self.session.output(*file)))
            .collect()
    }
}

/// Whether a block is there for its Ctrl-C alone.
fn only_comments(commands: &str) -> bool {
    commands
        .lines()
        .all(|line| line.is_empty() || line.starts_with('#'))
}

/// The folder in which cargo put what these tests are built with.
fn built() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_orderflow"));
    program.parent().unwrap().to_owned()
}

/// Builds the examples that are named. With the whole workspace's features it is what `cargo test --workspace` has built already.
fn build_examples(steps: &[Step]) {
    let mut words = steps
        .iter()
        .flat_map(|step| step.commands.split_whitespace());
    while words.any(|word| word == "--example") {
        let name = words.next().expect("an example has a name");
        let folder = built();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--locked", "--offline", "--quiet", "--workspace"]);
        cargo.args(["--example", name]);
        // The folder has the profile's name, but for `dev`, which needs none.
        let profile = folder.file_name().and_then(|name| name.to_str());
        if let Some(profile) = profile.filter(|name| *name != "debug") {
            cargo.args(["--profile", profile]);
        }
        cargo.arg("--target-dir").arg(folder.parent().unwrap());
        assert!(cargo.current_dir(crate::root()).status().unwrap().success());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn done(text: &str) -> Result<(), String> {
        let steps = markdown::steps(text).unwrap();
        let text = text.to_owned();
        timeout(DOCUMENT, all("test.md", &steps, Network::Own))
            .await
            .unwrap_or_else(|_| panic!("{text} hangs"))
    }

    async fn fails(text: &str, because: &str) {
        let problem = done(text).await.unwrap_err();
        assert!(problem.contains(because), "{text}: {problem}");
    }

    #[tokio::test]
    async fn blocks_share_one_shell() {
        let text = "```sh\nname=you\n```\n```sh\necho \"hello $name\"\npwd\n```\n```text\nhello you\n…\n```\n";
        done(text).await.unwrap();
        done("```sh\nls docs/architecture.md\n```\n").await.unwrap();
    }

    #[tokio::test]
    async fn a_failing_command_fails() {
        fails("```sh\nfalse\n```\n", "ended 1").await;
        fails("```sh\nfalse\ntrue\n```\n", "line 1 failed with 1: false").await;
        fails("```sh\nfalse | cat\n```\n", "a command failed").await;
        fails("```sh\nexit 0\n```\n", "a command failed").await;
        fails("```sh\nno-such-command\n```\n", "ended 127").await;
        fails("```sh\ncargo build\n```\n", "does not know 'build'").await;
        fails("```sh\ncargo run --release -- no-such\n```\n", "ended 2").await;
    }

    #[tokio::test]
    async fn wrong_and_missing_output_fails() {
        let not_that = "the output is not that of line 4";
        fails("```sh\necho a\n```\n```text\nb\n```\n", not_that).await;
        fails("```sh\ntrue\n```\n```text\nb\n```\n", not_that).await;
        fails(
            "```sh\necho a\necho b\n```\n```text\na\n```\n",
            "not that of line 5",
        )
        .await;
    }

    #[tokio::test]
    async fn a_terminal_goes_on_beside_the_shell_until_ctrl_c() {
        let text = "```sh terminal one\necho up\nsleep 1001\n```\n```text\nup\n```\n\
                    ```sh\nuntil pgrep -f 'sleep 1001' | wc -l | grep 1; do sleep 0.1; done\n```\n```text\n1\n```\n\
                    ```sh terminal one\n# Ctrl-C\n```\n\
                    ```sh\nif pgrep -f 'sleep 1001'; then false; fi\n```\n";
        done(text).await.unwrap();
    }

    #[tokio::test]
    async fn a_terminal_shows_what_its_last_command_has_printed() {
        let text = "```sh terminal one\necho a\nsleep 1000\n```\n```text\na\n```\n```sh terminal one\n# Ctrl-C\necho b\n```\n```text terminal one\nb\n```\n";
        done(text).await.unwrap();
        fails("```text terminal one\na\n```\n", "no terminal one").await;
    }

    #[tokio::test]
    async fn a_terminal_is_used_by_one_command_at_a_time() {
        let busy = "```sh terminal one\nsleep 1000\n```\n```sh terminal one\nls\n```\n";
        fails(busy, "is busy").await;
        let idle = "```sh terminal one\n# Ctrl-C\n```\n";
        fails(idle, "Ctrl-C does not end").await;
    }

    #[tokio::test]
    async fn nothing_of_whoever_runs_the_tests_gets_in() {
        let text = "```sh\necho \"none: [${CARGO_MANIFEST_DIR:-}${KAFKA_BOOTSTRAP_SERVERS:-}${MONGODB_URI:-}]\"\n```\n```text\nnone: []\n```\n";
        done(text).await.unwrap();
    }
}
