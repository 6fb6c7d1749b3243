//! What the sources may say, and how files are named and cut.

/// Past this a file is two things.
const MAX_LINES: usize = 600;

/// How the command that runs an ignored test, or that starts what it needs, may begin.
const COMMANDS: [&str; 4] = [
    "cargo test ",
    "bash .ci/ignored-tests ",
    "deploy/testbed/up",
    "just ",
];

/// Top-level names that nobody agreed on; dotfiles are free.
pub(crate) fn strangers(names: &[String], allowed: &[&str]) -> Vec<String> {
    names
        .iter()
        .filter(|name| !name.starts_with('.') && !allowed.contains(&name.as_str()))
        .map(|name| {
            format!("`{name}` does not belong at the top level: put it under crates/, deploy/ or docs/, or make it a dotfile")
        })
        .collect()
}

/// Files called `mod.rs`, among (path, text) pairs.
pub(crate) fn named_mod_rs(files: &[(String, String)]) -> Vec<String> {
    files
        .iter()
        .filter_map(|(path, _)| path.strip_suffix("/mod.rs"))
        .map(|folder| {
            format!(
                "{folder}/mod.rs: call it {folder}.rs, so that each open file has a name of its own"
            )
        })
        .collect()
}

/// Files that nobody reads in one sitting.
pub(crate) fn too_long(files: &[(String, String)]) -> Vec<String> {
    files
        .iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(path, lines)| {
            format!("{path} has {lines} lines, more than {MAX_LINES}: split it by role, tests into a `tests.rs` beside it if need be")
        })
        .collect()
}

/// Lines that let time pass instead of waiting for what the test is about.
pub(crate) fn sleeps(files: &[(String, String)]) -> Vec<String> {
    lines(files)
        .filter(|(_, _, line)| !line.starts_with("//") && names_sleep(line))
        .map(|(path, number, line)| {
            format!(
                "{path}:{number} sleeps: `{line}`; await the event (a channel, a state, a long poll) under `tokio::time::timeout`, \
                 or move the clock with `tokio::time::advance`"
            )
        })
        .collect()
}

/// Whether `sleep` or `sleep_until` stands in the line as a path's last part, an import or a call. A name that only contains it is fine.
fn names_sleep(line: &str) -> bool {
    ["sleep", "sleep_until", "sleep_ms"].iter().any(|word| {
        line.match_indices(word).any(|(start, _)| {
            let before = line[..start].chars().next_back();
            let after = line[start + word.len()..].chars().next();
            let part_of_a_name =
                |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
            !part_of_a_name(before)
                && !part_of_a_name(after)
                && (after == Some('(') || line[..start].ends_with("::") || line.starts_with("use "))
        })
    })
}

/// Ignored tests without a reason, and ignored code in documentation: nothing would ever run them.
pub(crate) fn silently_ignored(files: &[(String, String)]) -> Vec<String> {
    let bare = concat!("#[", "ignore]");
    let with_reason = concat!("#[", "ignore = \"");
    let mut problems = Vec::new();
    for (path, number, line) in lines(files) {
        let documentation = line.starts_with("//!") || line.starts_with("///");
        let has_command = COMMANDS.iter().any(|command| line.contains(command));
        if line == bare || (line.starts_with(with_reason) && !has_command) {
            problems.push(format!(
                "{path}:{number} ignores a test without the command that runs it: \
                 {with_reason}needs a real Kafka: deploy/testbed/up, then bash .ci/ignored-tests run single\"]"
            ));
        }
        if documentation && line.contains("```") && line.contains("ignore") {
            problems.push(format!(
                "{path}:{number} has example code that nothing compiles: make it compile (`no_run` if it needs a server), or call it `text`"
            ));
        }
    }
    problems
}

/// (path, number, trimmed line) of every line.
fn lines(files: &[(String, String)]) -> impl Iterator<Item = (&str, usize, &str)> {
    files.iter().flat_map(|(path, text)| {
        let numbered = text.lines().zip(1..);
        numbered.map(|(line, number)| (path.as_str(), number, line.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: impl Into<String>) -> Vec<(String, String)> {
        vec![(path.to_owned(), text.into())]
    }

    #[test]
    fn strangers_are_found() {
        let names = ["crates", ".ci", "scripts", "notes.txt"].map(str::to_owned);
        let problems = strangers(&names, &["crates"]);
        assert_eq!(problems.len(), 2, "{problems:?}");
    }

    #[test]
    fn mod_rs_is_found_and_renamed() {
        let problems = named_mod_rs(&file("crates/a/src/group/mod.rs", ""));
        assert!(
            problems[0].contains("call it crates/a/src/group.rs"),
            "{problems:?}"
        );
        assert!(named_mod_rs(&file("crates/a/src/group.rs", "")).is_empty());
    }

    #[test]
    fn length_is_counted_in_lines() {
        assert!(too_long(&file("a.rs", "x\n".repeat(MAX_LINES))).is_empty());
        assert_eq!(
            too_long(&file("a.rs", "x\n".repeat(MAX_LINES + 1))).len(),
            1
        );
    }

    /// Puts the word in, so that this file itself passes the check.
    fn with_the_word(line: &str) -> Vec<(String, String)> {
        file("a.rs", line.replace("NAP", "sleep"))
    }

    #[test]
    fn sleeps_are_found_however_they_are_written() {
        for line in [
            "    std::thread::NAP(Duration::from_secs(1));",
            "tokio::time::NAP(delay).await;",
            "use std::thread::NAP;",
            "use tokio::time::{timeout, NAP};",
            "tokio::time::NAP_until(deadline).await;",
            "let nap = NAP(delay);",
        ] {
            assert_eq!(sleeps(&with_the_word(line)).len(), 1, "{line}");
        }
    }

    #[test]
    fn what_only_speaks_of_it_is_no_sleep() {
        for line in [
            "// never NAP(here)",
            "fn without_NAP() {}",
            "let message = \"the broker may NAP\";",
            "NAPer(1);",
        ] {
            assert!(sleeps(&with_the_word(line)).is_empty(), "{line}");
        }
    }

    #[test]
    fn silently_ignored_tests_and_examples_are_found() {
        for line in [
            concat!("    #[", "ignore]"),
            concat!("#[", "ignore = \"slow\"]"),
            concat!("//! ```", "ignore"),
            concat!("/// ```rust,", "ignore"),
        ] {
            assert_eq!(silently_ignored(&file("a.rs", line)).len(), 1, "{line}");
        }
        let good = concat!(
            "#[",
            "ignore = \"needs a real Kafka: deploy/testbed/up, then cargo test -- --ignored\"]"
        );
        assert!(silently_ignored(&file("a.rs", good)).is_empty());
    }
}
