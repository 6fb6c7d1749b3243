//! Paths that the documents name must exist.

use std::path::Path;

/// A path in a document, and from where it is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named<'a> {
    /// In code: from the repository's root.
    FromRoot(&'a str),
    /// A link: from the document's own folder.
    FromDocument(&'a str),
}

/// The paths in a Markdown text for which `exists` says no.
pub(crate) fn dead_paths(
    document: &str,
    text: &str,
    top_level: &[&str],
    exists: impl Fn(Named<'_>) -> bool,
) -> Vec<String> {
    let mut problems = Vec::new();
    let mut fenced = false;
    for (line, number) in text.lines().zip(1..) {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        let codes = if fenced { vec![line] } else { code_spans(line) };
        let in_code = codes
            .into_iter()
            .flat_map(|code| paths_in_code(code, top_level))
            .map(Named::FromRoot);
        let links = if fenced {
            Vec::new()
        } else {
            link_targets(line)
        };
        let in_links = links
            .into_iter()
            .filter_map(local_part)
            .map(Named::FromDocument);
        for named in in_code.chain(in_links).filter(|named| !exists(*named)) {
            let (Named::FromRoot(path) | Named::FromDocument(path)) = named;
            problems.push(format!("{document}:{number} names {path}, which does not exist: name what is there, or take the line out"));
        }
    }
    problems
}

/// What stands between backticks in a line.
fn code_spans(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).collect()
}

/// The words of a piece of code that look like paths in this repository: a top-level name, or something under one.
fn paths_in_code<'a>(code: &'a str, top_level: &[&str]) -> Vec<&'a str> {
    let boundary = |c: char| c.is_whitespace() || "\"'()<>|;,=$&".contains(c);
    code.split(boundary)
        .map(|word| {
            word.trim_start_matches("./")
                .trim_end_matches(['.', ':', '/'])
        })
        // A line number after a file's name is not part of the path.
        .map(|word| word.split_once(':').map_or(word, |(path, _)| path))
        .filter(|word| {
            let (first, rest) = word
                .split_once('/')
                .map_or((*word, None), |(first, rest)| (first, Some(rest)));
            let file_at_the_top = rest.is_none() && first.contains('.') && !first.starts_with('.');
            let known = top_level.contains(&first) && (rest.is_some() || file_at_the_top);
            let dotted =
                first.len() > 1 && first.starts_with('.') && first != ".." && rest.is_some();
            // What cargo makes is not there before a build.
            first != "target" && (known || dotted)
        })
        .collect()
}

/// The targets of Markdown links in a line: `[text](target)`.
fn link_targets(line: &str) -> Vec<&str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target)
        .collect()
}

/// The file that a link means, if it means one here.
fn local_part(target: &str) -> Option<&str> {
    let path = target.split('#').next().unwrap_or_default();
    (!path.is_empty() && !path.contains("://") && !path.starts_with("mailto:")).then_some(path)
}

/// Whether the path exists under the folder; a `*` stands for any part of one name.
pub(crate) fn exists(folder: &Path, path: &str) -> bool {
    let (first, rest) = path
        .split_once('/')
        .map_or((path, None), |(first, rest)| (first, Some(rest)));
    if !first.contains('*') {
        let next = folder.join(first);
        return rest.map_or_else(|| next.exists(), |rest| exists(&next, rest));
    }
    let names = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.file_name());
    names
        .filter_map(|name| name.into_string().ok())
        .filter(|name| matches(first, name))
        .any(|name| {
            let next = folder.join(name);
            rest.is_none_or(|rest| exists(&next, rest))
        })
}

/// Whether a name fits a pattern with one or more `*`.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return pattern == name;
    };
    name.strip_prefix(head).is_some_and(|rest| {
        (0..=rest.len())
            .filter(|cut| rest.is_char_boundary(*cut))
            .any(|cut| matches(tail, &rest[cut..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOP: [&str; 4] = ["README.md", "crates", "docs", "target"];

    fn dead(text: &str, there: &[&str]) -> Vec<String> {
        dead_paths("docs/a.md", text, &TOP, |named| {
            let (Named::FromRoot(path) | Named::FromDocument(path)) = named;
            there.contains(&path)
        })
    }

    #[test]
    fn a_dead_path_is_found_in_code_fences_and_links() {
        assert_eq!(dead("see `crates/gone/src/lib.rs`", &[]).len(), 1);
        assert_eq!(dead("see `bash .ci/gone --flag`", &[]).len(), 1);
        assert_eq!(dead("```sh\neval \"$(crates/gone)\"\n```", &[]).len(), 1);
        assert_eq!(dead("see [there](decisions/gone.md#top)", &[]).len(), 1);
        assert_eq!(dead("`README.md`", &[]).len(), 1);
        let problem = &dead("fine\n`docs/gone.md`", &[])[0];
        assert!(
            problem.contains("docs/a.md:2 names docs/gone.md"),
            "{problem}"
        );
    }

    #[test]
    fn what_is_there_passes() {
        assert!(
            dead(
                "`crates/a/src/lib.rs:12` and `crates/a/`.",
                &["crates/a/src/lib.rs", "crates/a"]
            )
            .is_empty()
        );
        assert!(dead("[there](decisions/one.md#top)", &["decisions/one.md"]).is_empty());
    }

    #[test]
    fn what_is_no_path_of_ours_is_left_alone() {
        for text in [
            "crates/unquoted is prose",
            "`cargo test --workspace`",
            "`crates` and `docs`",
            "`order_placed/0`",
            "`target/release/orderflow`",
            "`group.instance.id`",
            "[the site](https://example.org/docs/x)",
            "[above](#part)",
        ] {
            assert_eq!(dead(text, &[]), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn a_star_stands_for_part_of_a_name() {
        assert!(matches("*", "anything"));
        assert!(matches("kafka-*", "kafka-wire"));
        assert!(matches("*-service", "order-service"));
        assert!(!matches("*-service", "service-kit"));
        assert!(!matches("kafka-*", "contracts"));

        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(exists(folder, "tests/*/prose.rs"));
        assert!(exists(folder, "tests/arch*.rs"));
        assert!(!exists(folder, "tests/*/gone.rs"));
        assert!(!exists(folder, "tests/gone/prose.rs"));
    }
}
