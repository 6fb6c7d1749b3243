//! The code blocks of a Markdown text, and what each is for.

/// A fenced block of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// The line of its fence, from 1.
    pub(crate) line: usize,
    /// What stands behind the fence's backticks: the language, and here what to do with the block.
    pub(crate) info: String,
    /// Its lines, each with its end.
    pub(crate) text: String,
    /// Whether nothing but blank lines stands between it and the block before it.
    pub(crate) follows: bool,
}

/// What a document has one do, step by step.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) servers: Servers,
    pub(crate) place: Place,
    pub(crate) commands: String,
    pub(crate) expected: Option<Expected>,
}

/// What has to be there for a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Servers {
    /// What the step and those before it start.
    None,
    /// The test bed.
    Real,
}

/// Where commands are run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// One after the other, in the document's one shell.
    Here,
    /// In the terminal of this name, where they go on running; after a Ctrl-C there, if the block begins with one.
    Terminal { name: String, interrupt: bool },
    /// Nothing is run: the terminal of this name shows what its command has printed since it was started.
    Look(String),
    /// Nowhere, for this reason.
    NotRun(String),
}

/// What commands have to print.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) line: usize,
    pub(crate) text: String,
    pub(crate) how: How,
}

/// How what was printed is compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct How {
    /// Its lines may come in any order.
    pub(crate) any_order: bool,
    /// Which partition a record is in is that of one run: its number stands for another one, the same each time.
    pub(crate) partitions: bool,
    /// Numbers are those of one run: any number will do.
    pub(crate) figures: bool,
}

const CTRL_C: &str = "# Ctrl-C";

/// What a document has one do.
///
/// # Errors
///
/// Everything in it that nobody could say how to run, a line each.
pub(crate) fn steps(text: &str) -> Result<Vec<Step>, Vec<String>> {
    let (mut steps, mut problems) = (Vec::new(), Vec::new());
    let mut after_commands = false;
    for block in blocks(text) {
        let (language, rest) = block.info.split_once(' ').unwrap_or((&block.info, ""));
        let answers = after_commands && block.follows;
        after_commands = false;
        match language {
            "sh" => match commands(rest, &block.text) {
                Ok((servers, place)) => {
                    after_commands = !matches!(place, Place::NotRun(_));
                    steps.push(Step {
                        line: block.line,
                        servers,
                        place,
                        commands: block.text,
                        expected: None,
                    });
                }
                Err(problem) => problems.push(format!("line {}: {problem}", block.line)),
            },
            "text" if rest.starts_with("terminal ") => match looked_at(&block, rest) {
                Ok(step) => steps.push(step),
                Err(problem) => problems.push(format!("line {}: {problem}", block.line)),
            },
            "text" if answers => match how(rest, &block.text) {
                Ok(how) => {
                    if let Some(step) = steps.last_mut() {
                        step.expected = Some(Expected {
                            line: block.line,
                            text: block.text,
                            how,
                        });
                    }
                }
                Err(problem) => problems.push(format!("line {}: {problem}", block.line)),
            },
            "text" if !rest.is_empty() => problems.push(format!(
                "line {}: says `{rest}` and follows no commands that are run",
                block.line
            )),
            "" => problems.push(format!("line {}: a block without a language", block.line)),
            "bash" | "shell" | "console" | "zsh" | "shell-session" => problems.push(format!(
                "line {}: commands are in `sh` blocks, this one is `{language}`",
                block.line
            )),
            _ => {}
        }
    }
    if problems.is_empty() {
        Ok(steps)
    } else {
        Err(problems)
    }
}

/// `text terminal NAME` or `text terminal NAME, HOW`.
fn looked_at(block: &Block, info: &str) -> Result<Step, String> {
    let (terminal, rest) = info.split_once(", ").unwrap_or((info, ""));
    let name = terminal.trim_start_matches("terminal ").to_owned();
    if !plain(&name) {
        return Err(format!("`{name}` is no terminal's name"));
    }
    Ok(Step {
        line: block.line,
        servers: Servers::None,
        place: Place::Look(name),
        commands: String::new(),
        expected: Some(Expected {
            line: block.line,
            text: block.text.clone(),
            how: how(rest, &block.text)?,
        }),
    })
}

fn plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

fn commands(info: &str, commands: &str) -> Result<(Servers, Place), String> {
    let (word, rest) = info.split_once(' ').unwrap_or((info, ""));
    if word == "on-servers" {
        Ok((Servers::Real, place(rest, commands)?))
    } else {
        Ok((Servers::None, place(info, commands)?))
    }
}

fn place(info: &str, commands: &str) -> Result<Place, String> {
    let (word, rest) = info.split_once(' ').unwrap_or((info, ""));
    match (word, rest) {
        ("", "") if commands.trim_start().starts_with(CTRL_C) => {
            Err("a Ctrl-C wants the name of its terminal".to_owned())
        }
        ("", "") => Ok(Place::Here),
        ("terminal", name) if plain(name) => Ok(Place::Terminal {
            name: name.to_owned(),
            interrupt: commands.starts_with(CTRL_C),
        }),
        ("not-run", reason) if !reason.is_empty() => Ok(Place::NotRun(reason.to_owned())),
        _ => Err(format!(
            "`sh {info}` is none of `sh`, `sh terminal NAME` and `sh not-run REASON`, nor one of these behind `sh on-servers`"
        )),
    }
}

fn how(info: &str, text: &str) -> Result<How, String> {
    let says_something = text.chars().any(|c| c != '…' && !c.is_whitespace());
    if !says_something {
        return Err("an output of which nothing is said".to_owned());
    }
    let mut how = How::default();
    for word in info.split(", ").filter(|word| !word.is_empty()) {
        match word {
            "any order" => how.any_order = true,
            "partitions vary" => how.partitions = true,
            "figures vary" => how.figures = true,
            _ => {
                return Err(format!(
                    "`text {info}`: an output says `any order`, `partitions vary`, `figures vary`, several of them with a comma and a blank in between, or nothing"
                ));
            }
        }
    }
    Ok(how)
}

/// The fenced blocks of a text, in its order. A fence has three backticks at the beginning of a line, after blanks perhaps.
pub(crate) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    let mut follows = false;
    for (line, number) in text.lines().zip(1..) {
        let fence = line.trim_start().strip_prefix("```");
        match (fence, open) {
            (Some(info), false) => {
                blocks.push(Block {
                    line: number,
                    info: info.trim().to_owned(),
                    text: String::new(),
                    follows,
                });
                open = true;
            }
            (Some(_), true) => (open, follows) = (false, true),
            (None, true) => {
                if let Some(block) = blocks.last_mut() {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
            }
            (None, false) => follows = follows && line.trim().is_empty(),
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        steps(text).unwrap_err().join("; ")
    }

    #[test]
    fn commands_and_their_output_are_found() {
        let text = "Do:\n\n```sh\necho a\n```\n\n```text any order, figures vary\na\n```\n\nthen\n\n```sh terminal shop\n# Ctrl-C\n```\nand\n```sh not-run no Docker here\ndocker\n```\n";
        let steps = steps(text).unwrap();
        assert_eq!(
            steps.iter().map(|step| step.line).collect::<Vec<_>>(),
            [3, 13, 17]
        );
        assert_eq!(steps[0].place, Place::Here);
        assert_eq!(steps[0].commands, "echo a\n");
        let expected = steps[0].expected.as_ref().unwrap();
        assert_eq!((expected.line, expected.text.as_str()), (7, "a\n"));
        assert!(expected.how.any_order && expected.how.figures);
        let terminal = Place::Terminal {
            name: "shop".to_owned(),
            interrupt: true,
        };
        assert_eq!(steps[1].place, terminal);
        assert_eq!(steps[2].place, Place::NotRun("no Docker here".to_owned()));
    }

    #[test]
    fn a_terminal_is_looked_at_again() {
        let text = "```sh\nls\n```\nIt shows:\n```text terminal one, any order\na\n```\n";
        let steps = steps(text).unwrap();
        assert_eq!(steps[0].expected, None);
        assert_eq!(steps[1].place, Place::Look("one".to_owned()));
        let expected = steps[1].expected.as_ref().unwrap();
        assert!(expected.how.any_order && !expected.how.figures && expected.text == "a\n");
    }

    #[test]
    fn text_that_stands_elsewhere_is_no_output() {
        let text = "```sh\necho a\n```\n\nLike this:\n\n```text\na\n```\n```json\n{}\n```\n";
        assert_eq!(steps(text).unwrap()[0].expected, None);
    }

    #[test]
    fn what_nobody_could_run_is_refused() {
        for (text, problem) in [
            ("```sh later\nls\n```", "`sh later` is none of"),
            ("```sh terminal\nls\n```", "is none of"),
            ("```sh terminal a b\nls\n```", "is none of"),
            ("```sh not-run\nls\n```", "is none of"),
            ("```sh\n# Ctrl-C\n```", "wants the name of its terminal"),
            ("```bash\nls\n```", "are in `sh` blocks"),
            ("```text terminal a b\nx\n```", "no terminal's name"),
            ("```text terminal one\n…\n```", "nothing is said"),
            ("```\nls\n```", "without a language"),
            ("```text any order\na\n```", "follows no commands"),
            ("```sh\nls\n```\n```text sorted\na\n```", "`text sorted`"),
            (
                "```sh\nls\n```\n```text\n…\n```",
                "of which nothing is said",
            ),
        ] {
            assert!(wrong(text).contains(problem), "{text}: {}", wrong(text));
        }
    }
}
