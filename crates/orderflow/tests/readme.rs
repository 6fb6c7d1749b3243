//! The README's commands and settings are the program's.
#![allow(
    clippy::panic,
    reason = "a test that cannot read the repository must fail"
)]

use std::fs;
use std::path::Path;

use clap::{CommandFactory, Parser};
use orderflow::cli::Cli;

/// Variables of the logging library and of the Compose file.
const NOT_THE_PROGRAMS: [&str; 3] = ["MONGO_EXPRESS_PASSWORD", "MONGO_EXPRESS_USER", "RUST_LOG"];

fn readme() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()))
}

/// What follows `cargo run --release --` in the lines of code and between backticks.
fn commands(text: &str) -> Vec<Vec<&str>> {
    text.split(['\n', '`'])
        .filter_map(|code| code.split_once("cargo run --release"))
        .map(|(_, rest)| {
            rest.split(['#', '&', ')', '|', ';'])
                .next()
                .unwrap_or_default()
        })
        .filter_map(|rest| rest.strip_prefix(" -- "))
        .map(|arguments| arguments.split_whitespace().collect())
        .collect()
}

/// What stands between backticks in capitals and underscores: the name of a variable.
fn variables(text: &str) -> Vec<&str> {
    let mut names: Vec<&str> = text
        .split('`')
        .filter(|word| word.len() > 4 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn known_variables() -> Vec<String> {
    let program = Cli::command();
    let commands = std::iter::once(&program).chain(program.get_subcommands());
    let arguments = commands.flat_map(clap::Command::get_arguments);
    arguments
        .filter_map(|argument| argument.get_env()?.to_str().map(str::to_owned))
        .collect()
}

#[test]
fn its_commands_are_understood() {
    let readme = readme();
    let commands = commands(&readme);
    assert!(commands.len() >= 7, "{commands:?}");
    for arguments in commands {
        if let Err(error) =
            Cli::try_parse_from(std::iter::once("orderflow").chain(arguments.iter().copied()))
        {
            panic!(
                "README.md has `cargo run --release -- {}`: {error}",
                arguments.join(" ")
            );
        }
    }
}

#[test]
fn its_variables_are_read_and_all_are_named() {
    let readme = readme();
    let (named, known) = (variables(&readme), known_variables());
    let unread: Vec<_> = named
        .iter()
        .filter(|name| {
            !known.iter().any(|known| known == *name) && !NOT_THE_PROGRAMS.contains(name)
        })
        .collect();
    assert!(
        unread.is_empty(),
        "README.md names variables that nothing reads: {unread:?}"
    );
    let unnamed: Vec<_> = known
        .iter()
        .filter(|known| !named.contains(&known.as_str()))
        .collect();
    assert!(
        unnamed.is_empty(),
        "README.md does not name the variables {unnamed:?}"
    );
}

/// A body that curl is not told the type of goes out as a form, which is refused.
#[test]
fn its_requests_say_that_they_send_json() {
    let readme = readme();
    let sending: Vec<&str> = readme
        .lines()
        .filter(|line| line.contains("curl ") && line.contains(" -d "))
        .collect();
    assert!(!sending.is_empty());
    for line in sending {
        assert!(
            line.contains("-H 'content-type: application/json'"),
            "{line}"
        );
    }
}

#[test]
fn commands_and_variables_are_found_in_text() {
    let text = "run `cargo run --release -- topics` or\ncargo run --release -- serve order  # one role\ncargo run --release\nset `HTTP_HOST`, not `P001` or `GET /x`";
    assert_eq!(commands(text), [vec!["topics"], vec!["serve", "order"]]);
    assert_eq!(variables(text), ["HTTP_HOST"]);
}
