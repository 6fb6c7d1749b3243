//! The commands of docs/learn and of the README do what these say: each document is worked through as somebody would who reads it.
//!
//! What a block of a document is for is told in docs/learn/README.md. The documents start the whole shop, on its fixed ports, so
//! each is worked through in a network of its own where the machine permits that (`unshare`), and is ignored otherwise unasked:
//! `cargo test -p orderflow --test exercises -- --ignored --test-threads=1`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "exercises/markdown.rs"]
mod markdown;
#[path = "exercises/output.rs"]
mod output;
#[path = "exercises/session.rs"]
mod session;
#[path = "exercises/work.rs"]
mod work;

use markdown::Servers;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A test for each document, which works through it.
macro_rules! documents {
    ($($test:ident: $path:literal),+ $(,)?) => {
        /// The documents that have a test.
        const DOCUMENTS: &[&str] = &[$($path),+];

        $(
            #[tokio::test]
            #[ignore = "takes the shop's fixed ports: cargo test -p orderflow --test exercises -- --ignored --test-threads=1"]
            async fn $test() {
                work::through($path, Servers::None).await;
            }
        )+
    };
}

documents! {
    readme: "README.md",
    exercise_01: "docs/learn/01-your-first-order.md",
    exercise_02: "docs/learn/02-keys-and-partitions.md",
    exercise_03: "docs/learn/03-consumer-groups.md",
    exercise_04: "docs/learn/04-commits-crash-and-redelivery.md",
    exercise_05: "docs/learn/05-break-and-recover.md",
    exercise_06: "docs/learn/06-rebalances.md",
    exercise_07: "docs/learn/07-dead-letters.md",
    exercise_08: "docs/learn/08-the-outbox.md",
    exercise_09: "docs/learn/09-replay.md",
    exercise_10: "docs/learn/10-add-a-service.md",
    exercise_11: "docs/learn/11-kafka-or-mongodb-away.md",
    exercise_12: "docs/learn/12-your-own-client.md",
}

/// Those blocks of the README that say so.
#[tokio::test]
#[ignore = "needs the test bed and the shop's fixed ports: eval \"$(deploy/testbed/up)\" && cargo test -p orderflow --test exercises -- --ignored readme_on_real_servers"]
async fn readme_on_real_servers() {
    work::through("README.md", Servers::Real).await;
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

fn read(document: &str) -> String {
    fs::read_to_string(root().join(document)).unwrap_or_else(|error| {
        panic!("{document} cannot be read: {error}");
    })
}

/// The exercises that there are, by their files.
fn exercises() -> BTreeSet<String> {
    fs::read_dir(root().join("docs/learn"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".md"))
        .map(|name| format!("docs/learn/{name}"))
        .collect()
}

#[test]
fn every_document_has_a_test() {
    let tested: BTreeSet<String> = DOCUMENTS.iter().map(|path| (*path).to_owned()).collect();
    let mut there = exercises();
    there.insert("README.md".to_owned());
    // The index has nothing to run.
    assert!(there.remove("docs/learn/README.md"));
    assert_eq!(tested, there);
    let index = markdown::steps(&read("docs/learn/README.md")).unwrap();
    assert!(
        index
            .iter()
            .all(|step| matches!(step.place, markdown::Place::NotRun(_)))
    );
}

#[test]
fn every_block_says_what_it_is_for() {
    let mut problems = Vec::new();
    for document in DOCUMENTS {
        match markdown::steps(&read(document)) {
            Ok(steps) => {
                assert!(!steps.is_empty(), "{document} has no commands");
                problems.extend(steps.iter().filter_map(|step| {
                    let problem = unparsed(&step.commands)?;
                    Some(format!("{document}:{}: {problem}", step.line))
                }));
            }
            Err(found) => problems.extend(found.iter().map(|one| format!("{document}: {one}"))),
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// What bash says of commands that it cannot read.
fn unparsed(commands: &str) -> Option<String> {
    let mut bash = Command::new("bash");
    let checked = bash.args(["-n", "-c", commands]).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    (!checked.status.success()).then_some(said)
}

#[test]
fn the_index_and_the_exercises_lead_to_each_other() {
    let index = read("docs/learn/README.md");
    for exercise in exercises()
        .iter()
        .filter(|path| !path.ends_with("README.md"))
    {
        let name = exercise.rsplit('/').next().unwrap();
        assert!(index.contains(&format!("]({name})")), "{name}");
        let text = read(exercise);
        for part in ["**Goal.**", "## Commands", "## Why", "## Try further"] {
            assert!(text.contains(part), "{exercise} has no {part}");
        }
    }
}

/// Headings of this repository's own documents that links name.
#[test]
fn parts_of_documents_that_links_name_are_there() {
    let root = root();
    let mut problems = Vec::new();
    for document in exercises().iter().chain([&"README.md".to_owned()]) {
        let text = read(document);
        let folder = root.join(document).parent().unwrap().to_owned();
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let Some((path, part)) = target.split_once('#') else {
                continue;
            };
            if path.contains("://") {
                continue;
            }
            let there = if path.is_empty() {
                text.clone()
            } else {
                fs::read_to_string(folder.join(path)).unwrap_or_default()
            };
            if !anchors(&there).contains(part) {
                problems.push(format!("{document}: {target}"));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// What GitHub calls the headings of a text in links.
fn anchors(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix('#'))
        .map(|line| line.trim_start_matches('#').trim().to_lowercase())
        .map(|heading| {
            heading
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect()
}
