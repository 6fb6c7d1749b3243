//! The conventions of docs/architecture.md, read off the manifests, the sources and the documents.
//!
//! What a check looks for is a function of text in one of the modules below, tested there on bad input; here the functions are
//! let loose on the repository. A failure lists everything that is wrong and how to mend it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot read the repository must fail"
)]

#[path = "architecture/manifest.rs"]
mod manifest;
#[path = "architecture/prose.rs"]
mod prose;
#[path = "architecture/source.rs"]
mod source;

use std::fs;
use std::path::{Path, PathBuf};

use manifest::Manifest;

/// What may lie at the top of the repository, dotfiles aside. `target` is cargo's own.
const TOP_LEVEL: [&str; 10] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "compose.yml",
    "crates",
    "deploy",
    "docs",
    "justfile",
    "target",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the repository's root exists")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", folder.display()))
        .map(|entry| entry.expect("a folder's entry can be read").path())
        .collect();
    paths.sort();
    paths
}

/// All files under a folder; none if the folder does not exist.
fn files_under(folder: &Path) -> Vec<PathBuf> {
    if !folder.is_dir() {
        return Vec::new();
    }
    entries(folder)
        .into_iter()
        .flat_map(|path| {
            if path.is_dir() {
                files_under(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

fn relative(path: &Path) -> String {
    let root = root();
    let path = path.strip_prefix(&root).unwrap_or(path);
    path.to_string_lossy().replace('\\', "/")
}

/// The crates' manifests: those of the workspace, or those that it leaves out.
fn manifests_that_are(left_out: bool) -> Vec<Manifest> {
    let excluded = manifest::excluded(&read(&root().join("Cargo.toml")))
        .unwrap_or_else(|problem| panic!("Cargo.toml: {problem}"));
    entries(&root().join("crates"))
        .iter()
        .filter(|folder| excluded.contains(&relative(folder)) == left_out)
        .map(|folder| folder.join("Cargo.toml"))
        .filter(|path| path.is_file())
        .map(|path| {
            Manifest::parse(&read(&path))
                .unwrap_or_else(|problem| panic!("{}: {problem}", relative(&path)))
        })
        .collect()
}

fn manifests() -> Vec<Manifest> {
    manifests_that_are(false)
}

/// The Rust files of all crates whose path inside the crate satisfies `wanted`, each with its path and text.
fn sources(wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let crates = root().join("crates");
    files_under(&crates)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter(|path| {
            let inside = path.strip_prefix(&crates).expect("it lies under crates");
            let inside: PathBuf = inside.components().skip(1).collect();
            // A package outside of the workspace may have a target folder of its own.
            !inside.starts_with("target") && wanted(&inside.to_string_lossy().replace('\\', "/"))
        })
        .map(|path| (relative(&path), read(&path)))
        .collect()
}

fn assert_none(problems: Vec<String>) {
    assert!(
        problems.is_empty(),
        "{} problem(s):\n- {}",
        problems.len(),
        problems.join("\n- ")
    );
}

#[test]
fn dependencies_point_one_way() {
    assert_none(manifest::wrong_arrows(&manifests()));
}

#[test]
fn drivers_stay_behind_their_layer() {
    assert_none(manifest::drivers_out_of_place(&manifests()));
}

#[test]
fn every_crate_takes_the_workspace_lints() {
    assert_none(manifest::without_workspace_lints(&manifests()));
}

#[test]
fn what_lies_outside_of_the_workspace_stays_outside() {
    let outsiders = manifests_that_are(true);
    assert_none(manifest::outsiders_let_in(&outsiders, &manifests()));
}

#[test]
fn the_top_level_holds_nothing_else() {
    let names: Vec<String> = entries(&root()).iter().map(|path| relative(path)).collect();
    assert_none(source::strangers(&names, &TOP_LEVEL));
}

#[test]
fn paths_in_documents_exist() {
    let root = root();
    let mut documents = files_under(&root.join("docs"));
    documents.extend(files_under(&root.join("deploy")));
    documents.push(root.join("README.md"));
    let problems = documents
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .flat_map(|path| {
            let folder = path.parent().expect("a file lies in a folder");
            prose::dead_paths(
                &relative(path),
                &read(path),
                &TOP_LEVEL,
                |named| match named {
                    prose::Named::FromRoot(named) => prose::exists(&root, named),
                    prose::Named::FromDocument(named) => prose::exists(folder, named),
                },
            )
        })
        .collect();
    assert_none(problems);
}

#[test]
fn the_code_map_names_every_crate() {
    let map = read(&root().join("docs/architecture.md"));
    let problems = entries(&root().join("crates"))
        .iter()
        .filter(|folder| folder.join("Cargo.toml").is_file())
        .map(|folder| relative(folder))
        .filter(|folder| !map.contains(&format!("`{folder}`")))
        .map(|folder| {
            format!("docs/architecture.md does not name `{folder}`: add a line to its code map")
        })
        .collect();
    assert_none(problems);
}

#[test]
fn modules_are_named_and_readable_in_one_sitting() {
    let files = sources(|inside| inside.starts_with("src/"));
    assert_none(source::named_mod_rs(&files));
    assert_none(source::too_long(&files));
}

#[test]
fn tests_wait_for_events_and_not_for_time() {
    let files = sources(|inside| {
        inside.starts_with("tests/") || inside.ends_with("tests.rs") || inside.contains("/tests/")
    });
    assert_none(source::sleeps(&files));
}

#[test]
fn ignored_tests_say_how_to_run_them() {
    let files = sources(|_| true);
    assert_none(source::silently_ignored(&files));
}
