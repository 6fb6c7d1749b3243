//! The shell that runs a document's blocks, in a network and a process table of its own where that is permitted.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

const SESSION: &str = include_str!("session.sh");
const CARGO: &str = include_str!("cargo.sh");

/// What a namespace is made with, the most private first. Root may do the first, others often the second.
const UNSHARE: [&[&str]; 2] = [
    &[
        "--net",
        "--pid",
        "--mount-proc",
        "--fork",
        "--kill-child=KILL",
    ],
    &[
        "--user",
        "--map-root-user",
        "--net",
        "--pid",
        "--mount-proc",
        "--fork",
        "--kill-child=KILL",
    ],
];

/// How long a shell may take to end its terminals, and itself.
const GOODBYE: Duration = Duration::from_secs(5);

/// Which network a shell is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    /// One of its own, and a process table, where that is permitted.
    Own,
    /// The machine's, and it knows where the test bed lies.
    Machine,
}

/// How the shell answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It did what it was told.
    Done,
    /// It has ended, with this status.
    Ended(String),
}

/// A shell that waits for blocks; it and all that it started are killed when it is dropped.
pub(crate) struct Session {
    child: Option<Child>,
    input: Option<ChildStdin>,
    answers: mpsc::UnboundedReceiver<String>,
    work: PathBuf,
    files: usize,
    /// Whether it has a network of its own.
    pub(crate) alone: bool,
}

impl Session {
    /// Starts the shell in `root`. The commands `cargo run` in it start `orderflow` and what is in `examples`.
    pub(crate) async fn start(
        root: &Path,
        orderflow: &Path,
        examples: &Path,
        network: Network,
    ) -> Self {
        let work = new_folder();
        for (name, text) in [("session.sh", SESSION), ("cargo", CARGO)] {
            fs::write(work.join(name), text).unwrap();
        }
        let made = Command::new("chmod")
            .arg("+x")
            .arg(work.join("cargo"))
            .status();
        assert!(made.unwrap().success());

        let candidates: &[_] = match network {
            Network::Own => &UNSHARE,
            Network::Machine => &[],
        };
        let namespace = candidates.iter().find(|flags| permitted(flags));
        let mut words: Vec<&str> = Vec::new();
        if let Some(flags) = namespace {
            words.push("unshare");
            words.extend(*flags);
        }
        // Where Ctrl-C is ignored in whoever runs the tests, as in what a script has started in the background, it would stay so
        // in the terminals: a shell cannot undo that.
        if cfg!(target_os = "linux") {
            words.extend(["env", "--default-signal=INT"]);
        }
        words.push("bash");
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        let mut path = OsString::from(&work);
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut child = command
            .arg(work.join("session.sh"))
            .arg(&work)
            .arg(if namespace.is_some() { "own" } else { "shared" })
            .current_dir(root)
            // Settings of whoever runs the tests are not those of the document: no other Kafka, no other ports.
            .env_clear()
            .env("PATH", path)
            .env("HOME", &work)
            .env("LC_ALL", "C.UTF-8")
            .env("NO_COLOR", "1")
            .env("EXERCISE_ORDERFLOW", orderflow)
            .env("EXERCISE_EXAMPLES", examples)
            .envs(of_test_bed(network))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (answer, answers) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if answer.send(line).is_err() {
                    break;
                }
            }
        });
        let mut session = Self {
            input: child.stdin.take(),
            child: Some(child),
            answers,
            work,
            files: 0,
            alone: namespace.is_some(),
        };
        assert_eq!(session.answer().await, Answer::Done);
        session
    }

    /// Runs the commands and waits for their end. Where their output is: see [`Session::output`].
    pub(crate) async fn run(&mut self, commands: &str) -> (usize, Answer) {
        let file = self.write(commands);
        (file, self.tell(&format!("block {file}")).await)
    }

    /// Starts the commands in a terminal, which is made if there is none of that name.
    pub(crate) async fn start_in(&mut self, terminal: &str, commands: &str) -> (usize, Answer) {
        let file = self.write(commands);
        let answer = self.tell(&format!("terminal {terminal} {file}")).await;
        (file, answer)
    }

    /// Ctrl-C in a terminal; what runs there has ended when this returns.
    pub(crate) async fn interrupt(&mut self, terminal: &str) -> Answer {
        self.tell(&format!("interrupt {terminal}")).await
    }

    /// What the commands of this number have printed so far.
    pub(crate) fn output(&self, file: usize) -> String {
        let path = self.work.join(format!("{file}.out"));
        String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
    }

    fn write(&mut self, commands: &str) -> usize {
        self.files += 1;
        let path = self.work.join(format!("{}.sh", self.files));
        fs::write(path, commands).unwrap();
        self.files
    }

    async fn tell(&mut self, what: &str) -> Answer {
        // A shell that has ended reads nothing; its last word says why.
        if let Some(input) = &mut self.input {
            let _ = writeln!(input, "{what}");
        }
        self.answer().await
    }

    async fn answer(&mut self) -> Answer {
        match self.answers.recv().await {
            Some(answer) if answer == "done 0" => Answer::Done,
            Some(answer) => Answer::Ended(answer),
            None => Answer::Ended("without a word".to_owned()),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The end of its input ends the shell and with it its terminals, unless it hangs in a command.
        drop(self.input.take());
        let Some(mut child) = self.child.take() else {
            return;
        };
        let pid = child.id().to_string();
        let (end, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let _ = child.wait();
            let _ = end.send(());
        });
        // In a process table of its own everything dies with it, so nothing needs to be waited for.
        let signals: &[&str] = if self.alone {
            &["-KILL"]
        } else {
            &["-TERM", "-KILL"]
        };
        for signal in signals {
            // What the first signal ended is not there for the second.
            let _ = Command::new("kill")
                .args([*signal, pid.as_str()])
                .stderr(Stdio::null())
                .status();
            if ended.recv_timeout(GOODBYE).is_ok() {
                break;
            }
        }
        let _ = fs::remove_dir_all(&self.work);
    }
}

/// What deploy/testbed/env goes by.
fn of_test_bed(network: Network) -> Vec<(&'static str, OsString)> {
    let names = match network {
        Network::Own => [].as_slice(),
        Network::Machine => ["TESTBED_DIR", "TMPDIR", "JAVA_HOME"].as_slice(),
    };
    let found = names
        .iter()
        .map(|name| Some((*name, std::env::var_os(name)?)));
    found.flatten().collect()
}

/// Whether namespaces can be made so, and the network in them be used.
fn permitted(flags: &[&str]) -> bool {
    let mut command = Command::new("unshare");
    command.args(flags).args(["ip", "link", "set", "lo", "up"]);
    let tried = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

fn new_folder() -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("exercise-{}-{number}", std::process::id());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}
