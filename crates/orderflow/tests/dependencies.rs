//! What `.deny.toml` allows, checked against Cargo.lock and cargo's metadata with nothing but cargo; and how what is depended on is built.
//!
//! `cargo deny check bans licenses sources` reads the same file and looks at every platform; this looks at the one it runs on.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot read the repository must fail"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;
use spdx::{Expression, LicenseReq, ParseMode};
use toml::{Table, Value};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read_table(name: &str) -> Table {
    let text = fs::read_to_string(root().join(name))
        .unwrap_or_else(|error| panic!("{name} cannot be read: {error}"));
    text.parse()
        .unwrap_or_else(|error| panic!("{name} is not TOML: {error}"))
}

fn strings<'a>(table: &'a Table, section: &str, key: &str) -> Vec<&'a str> {
    let list = table
        .get(section)
        .and_then(|section| section.get(key))
        .and_then(Value::as_array);
    let list = list.unwrap_or_else(|| panic!(".deny.toml lacks {section}.{key}"));
    list.iter()
        .filter_map(|entry| {
            entry
                .as_str()
                .or_else(|| entry.get("crate").and_then(Value::as_str))
        })
        .collect()
}

/// (name, source) of each package in Cargo.lock; the source is missing for our own.
fn locked(lock: &Table) -> Vec<(&str, Option<&str>)> {
    let packages = lock
        .get("package")
        .and_then(Value::as_array)
        .expect("Cargo.lock lists packages");
    packages
        .iter()
        .map(|package| {
            let name = package
                .get("name")
                .and_then(Value::as_str)
                .expect("a package has a name");
            (name, package.get("source").and_then(Value::as_str))
        })
        .collect()
}

fn banned(packages: &[(&str, Option<&str>)], bans: &[&str]) -> Vec<String> {
    packages
        .iter()
        .filter(|(name, _)| bans.contains(name))
        .map(|(name, _)| format!("{name} is banned by .deny.toml; `cargo tree --target all --invert {name}` shows who asks for it"))
        .collect()
}

fn from_elsewhere(packages: &[(&str, Option<&str>)], registries: &[&str]) -> Vec<String> {
    packages
        .iter()
        .filter_map(|(name, source)| source.map(|source| (name, source)))
        .filter(|(_, source)| {
            !source
                .strip_prefix("registry+")
                .is_some_and(|registry| registries.contains(&registry))
        })
        .map(|(name, source)| {
            format!("{name} comes from {source}, and .deny.toml allows {registries:?} only")
        })
        .collect()
}

/// What is wrong with a package's licence, if anything. `None` for the licence means that its manifest names none.
fn unlicensed(name: &str, license: Option<&str>, allowed: &[&str]) -> Option<String> {
    let Some(license) = license else {
        return Some(format!("{name} names no licence"));
    };
    let expression = match Expression::parse_mode(license, ParseMode::LAX) {
        Ok(expression) => expression,
        Err(error) => {
            return Some(format!(
                "{name}: the licence `{license}` cannot be read: {}",
                error.reason
            ));
        }
    };
    let acceptable = |wanted: &LicenseReq| allowed.contains(&wanted.to_string().as_str());
    (!expression.evaluate(acceptable)).then(|| {
        format!("{name} is under `{license}`, which .deny.toml does not allow; choose another crate, or add the licence if Apache-2.0 may carry it")
    })
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(arguments)
        .output()
        .expect("cargo can be started");
    assert!(
        output.status.success(),
        "cargo {} failed:\n{}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
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
fn nothing_banned_is_locked() {
    let (lock, deny) = (read_table("Cargo.lock"), read_table(".deny.toml"));
    let bans = strings(&deny, "bans", "deny");
    assert!(
        bans.contains(&"rdkafka-sys") && bans.contains(&"openssl-sys"),
        "{bans:?}"
    );
    assert_none(banned(&locked(&lock), &bans));
}

#[test]
fn everything_comes_from_the_allowed_registry() {
    let (lock, deny) = (read_table("Cargo.lock"), read_table(".deny.toml"));
    assert_none(from_elsewhere(
        &locked(&lock),
        &strings(&deny, "sources", "allow-registry"),
    ));
}

#[test]
fn every_licence_is_allowed() {
    let deny = read_table(".deny.toml");
    let allowed = strings(&deny, "licenses", "allow");
    let version = cargo(&["--version", "--verbose"]);
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .expect("cargo names its host");
    // Without the filter cargo would want the sources of other platforms' crates, which an offline machine does not have.
    let metadata = cargo(&[
        "metadata",
        "--format-version",
        "1",
        "--locked",
        "--offline",
        "--filter-platform",
        host,
    ]);
    let metadata: Json = serde_json::from_str(&metadata).expect("cargo's metadata is JSON");
    let packages = metadata["packages"]
        .as_array()
        .expect("the metadata lists packages");
    assert!(!packages.is_empty());
    let exceptions = deny["licenses"].get("exceptions");
    let exceptions = exceptions.and_then(toml::Value::as_array);
    let problems = packages.iter().filter_map(|package| {
        let name = package["name"].as_str().expect("a package has a name");
        let mut allowed = allowed.clone();
        for exception in exceptions.into_iter().flatten() {
            let exception = exception.as_table().expect("an exception is a table");
            if exception["crate"].as_str() == Some(name) {
                let more = exception["allow"].as_array().expect("it lists licences");
                allowed.extend(more.iter().filter_map(toml::Value::as_str));
            }
        }
        unlicensed(name, package["license"].as_str(), &allowed)
    });
    assert_none(problems.collect());
}

#[test]
fn banned_crates_are_found() {
    let packages = [("openssl-sys", None), ("serde", None)];
    assert_eq!(banned(&packages, &["openssl-sys"]).len(), 1);
    assert!(banned(&packages, &["openssl"]).is_empty());
}

#[test]
fn other_sources_are_found() {
    let allowed = ["https://example.org/index"];
    let packages = [
        ("ours", None),
        ("good", Some("registry+https://example.org/index")),
        ("other", Some("registry+https://example.org/index2")),
        ("git", Some("git+https://example.org/index#0123")),
    ];
    let problems = from_elsewhere(&packages, &allowed);
    assert_eq!(problems.len(), 2, "{problems:?}");
}

#[test]
fn licences_are_weighed_as_expressions() {
    let allowed = ["Apache-2.0", "MIT"];
    let verdict = |license| unlicensed("x", license, &allowed).is_none();
    assert!(verdict(Some("MIT")));
    assert!(verdict(Some("MIT/Apache-2.0")));
    assert!(verdict(Some("GPL-3.0-only OR MIT")));
    assert!(!verdict(Some("MIT AND ISC")));
    assert!(!verdict(Some("GPL-3.0-only")));
    assert!(!verdict(Some("Apache-2.0 WITH LLVM-exception")));
    assert!(!verdict(Some("no licence at all")));
    assert!(!verdict(None));
}

/// `dist` inherits from `release`, also what that leaves unoptimized to be built soon.
#[test]
fn all_that_is_shipped_is_optimized() {
    let (manifest, lock) = (read_table("Cargo.toml"), read_table("Cargo.lock"));
    let profile = |name: &str| -> &Value {
        let profiles = manifest.get("profile").expect("there are profiles");
        profiles.get(name).expect("the profile is there")
    };
    let level = |settings: &Value| settings.get("opt-level").cloned();
    let levels = |name: &str| -> Vec<(String, Option<Value>)> {
        let packages = profile(name).get("package").and_then(Value::as_table);
        let packages = packages.expect("the profile names packages").iter();
        packages
            .map(|(name, settings)| (name.clone(), level(settings)))
            .collect()
    };
    let best = Some(Value::Integer(3));
    let (locked, dist) = (locked(&lock), levels("dist"));
    assert_eq!(level(profile("dist")), best);
    for (name, level) in levels("release") {
        let there = locked.iter().any(|(locked, _)| *locked == name);
        assert!(there, "release names {name}, which is not there");
        let shipped = dist.iter().find(|(named, _)| *named == name);
        let shipped = shipped.map_or(level, |(_, level)| level.clone());
        assert_eq!(shipped, best, "{name} in dist");
    }
}
