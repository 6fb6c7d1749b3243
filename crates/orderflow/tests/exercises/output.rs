//! Whether what commands printed is what their document says.
//!
//! The document shows what one run printed, and another run has other ids and times. So an id stands for an id, the same one
//! each time that the document names it; a time stands for a time; `…` stands for anything in its line, and for any lines where
//! it is a line by itself. Blanks are told by their being there and not by their number, and blank lines are passed over. All
//! else is compared as it is, numbers too. Where the block says `partitions vary`, the number of a partition (behind a topic's
//! name and a hyphen or blanks, or behind `"partition":`) stands for a partition, the same one each time in the block; where it
//! says `figures vary`, any number stands for any number.

use std::collections::BTreeMap;

use crate::markdown::How;

/// Which id of a run each id of the document stands for.
pub(crate) type Ids = BTreeMap<String, String>;

const ANYTHING: &str = "…";
/// The digits of a UUID, in groups.
const UUID: [usize; 5] = [8, 4, 4, 4, 12];

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Anything,
    Id(String),
    Partition(String),
    Time,
    Figure,
    Blank,
    Char(char),
}

/// Compares what was printed with what is expected; keeps in `ids` what the document's ids turned out to be.
///
/// # Errors
///
/// The first expected line that is not there, or the first printed one that is not expected.
pub(crate) fn compare(
    expected: &str,
    how: How,
    printed: &str,
    ids: &mut Ids,
) -> Result<(), String> {
    let printed = without_colours(printed);
    let wanted = lines(expected, how);
    let found = lines(&printed, how);
    // What may come in any order is tried in every order; where too few lines were printed, that would take very long and fail.
    let said = wanted.iter().filter(|(line, _)| *line != ANYTHING).count();
    if how.any_order && said > found.len() {
        return Err(format!("{} lines and not {said}", found.len()));
    }
    let mut search = Search {
        how,
        furthest: 0,
        names: Names {
            ids: ids.clone(),
            partitions: BTreeMap::new(),
        },
    };
    let mut taken = vec![false; found.len()];
    if search.from(&wanted, &found, 0, &mut taken) {
        *ids = search.names.ids;
        return Ok(());
    }
    Err(match wanted.get(search.furthest) {
        Some((line, _)) => format!("not printed, or not there: {line}"),
        None => "more was printed than is expected".to_owned(),
    })
}

/// The lines that say something, each with its tokens.
fn lines(text: &str, how: How) -> Vec<(&str, Vec<Token>)> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| (line, tokens(line, how)))
        .collect()
}

struct Search {
    how: How,
    /// How many expected lines were found at most.
    furthest: usize,
    names: Names,
}

/// What the document's names stand for.
#[derive(Clone)]
struct Names {
    ids: Ids,
    partitions: BTreeMap<String, String>,
}

type Lines<'a> = [(&'a str, Vec<Token>)];

impl Search {
    /// Whether the expected lines from `at` on are among the printed ones that are not taken, and nothing else is.
    fn from(
        &mut self,
        wanted: &Lines<'_>,
        found: &Lines<'_>,
        at: usize,
        taken: &mut [bool],
    ) -> bool {
        self.furthest = self.furthest.max(at);
        let first_free = taken.iter().position(|taken| !taken);
        let Some((line, tokens)) = wanted.get(at) else {
            return first_free.is_none()
                || self.how.any_order && wanted.iter().any(|(line, _)| *line == ANYTHING);
        };
        let Some(first_free) = first_free else {
            return *line == ANYTHING && self.from(wanted, found, at + 1, taken);
        };
        if *line == ANYTHING {
            return self.skipping(wanted, found, at, taken);
        }
        let last = if self.how.any_order {
            found.len()
        } else {
            first_free + 1
        };
        for candidate in first_free..last {
            if taken[candidate] {
                continue;
            }
            let before = self.names.clone();
            if fits(tokens, &found[candidate].1, &mut self.names) {
                taken[candidate] = true;
                if self.from(wanted, found, at + 1, taken) {
                    return true;
                }
                taken[candidate] = false;
            }
            self.names = before;
        }
        false
    }

    /// Any number of printed lines is passed over. In any order they are those that remain in the end.
    fn skipping(
        &mut self,
        wanted: &Lines<'_>,
        found: &Lines<'_>,
        at: usize,
        taken: &mut [bool],
    ) -> bool {
        if self.how.any_order {
            return self.from(wanted, found, at + 1, taken);
        }
        let before = taken.to_vec();
        loop {
            if self.from(wanted, found, at + 1, taken) {
                return true;
            }
            let Some(next) = taken.iter().position(|taken| !taken) else {
                taken.copy_from_slice(&before);
                return false;
            };
            taken[next] = true;
        }
    }
}

/// Whether a printed line is an expected one: what stands between two `…` is looked for from left to right, where it comes first.
fn fits(expected: &[Token], printed: &[Token], names: &mut Names) -> bool {
    let mut pieces: Vec<&[Token]> = expected.split(|token| *token == Token::Anything).collect();
    let Some(last) = pieces.pop() else {
        return printed.is_empty();
    };
    let mut rest = printed;
    for (number, piece) in pieces.iter().enumerate() {
        let furthest = if number == 0 { 0 } else { rest.len() };
        let Some(start) = (0..=furthest).find(|start| begins(piece, &rest[*start..], names)) else {
            return false;
        };
        rest = &rest[start + piece.len()..];
    }
    let exact = pieces.is_empty();
    let Some(start) = rest.len().checked_sub(last.len()) else {
        return false;
    };
    (!exact || start == 0) && begins(last, &rest[start..], names)
}

/// Whether the printed tokens begin with the expected ones, which have no `…`.
fn begins(expected: &[Token], printed: &[Token], names: &mut Names) -> bool {
    let before = names.clone();
    let same = expected.len() <= printed.len()
        && expected.iter().zip(printed).all(|pair| match pair {
            (Token::Id(shown), Token::Id(real)) => same_id(shown, real, &mut names.ids),
            (Token::Partition(shown), Token::Partition(real)) => {
                names
                    .partitions
                    .entry(shown.clone())
                    .or_insert_with(|| real.clone())
                    == real
            }
            (token, next) => token == next,
        });
    if !same {
        *names = before;
    }
    same
}

/// Whether the document's id stands for this one, or may from now on. Two ids of the document are never one.
fn same_id(shown: &str, real: &str, ids: &mut Ids) -> bool {
    match ids.get(shown) {
        Some(known) => known == real,
        None if ids.values().any(|other| other == real) => false,
        None => {
            ids.insert(shown.to_owned(), real.to_owned());
            true
        }
    }
}

fn tokens(line: &str, how: How) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = line;
    while let Some(next) = rest.chars().next() {
        let in_word = matches!(tokens.last(), Some(Token::Char(c)) if c.is_alphanumeric());
        let (token, length) = if rest.starts_with(ANYTHING) {
            (Token::Anything, ANYTHING.len())
        } else if let Some(length) = uuid(rest).filter(|_| !in_word) {
            (Token::Id(rest[..length].to_owned()), length)
        } else if let Some(length) = time(rest).filter(|_| !in_word) {
            (Token::Time, length)
        } else if let Some(length) =
            partition(&line[..line.len() - rest.len()], rest).filter(|_| how.partitions)
        {
            (Token::Partition(rest[..length].to_owned()), length)
        } else if let Some(length) = figure(rest).filter(|_| how.figures && !in_word) {
            (Token::Figure, length)
        } else if next.is_whitespace() {
            let end = rest.find(|c: char| !c.is_whitespace());
            (Token::Blank, end.unwrap_or(rest.len()))
        } else {
            (Token::Char(next), next.len_utf8())
        };
        tokens.push(token);
        rest = &rest[length..];
    }
    tokens
}

/// How many bytes at the beginning are a UUID.
fn uuid(text: &str) -> Option<usize> {
    let mut groups = text.splitn(5, '-');
    for length in UUID {
        let group = groups.next()?.get(..length)?;
        if !group.chars().all(|c| c.is_ascii_hexdigit()) {
            return None;
        }
    }
    // Each group but the last ends at a hyphen: the hyphens must stand where they belong.
    let length = UUID.iter().sum::<usize>() + 4;
    let hyphens = [8, 13, 18, 23];
    hyphens
        .iter()
        .all(|at| text.as_bytes().get(*at) == Some(&b'-'))
        .then_some(length)
}

/// How many bytes at the beginning are a time: `2026-11-26T08:22:56.278Z`.
fn time(text: &str) -> Option<usize> {
    let shape = "dddd-dd-ddTdd:dd:dd";
    let fits = text.len() >= shape.len()
        && shape.bytes().zip(text.bytes()).all(|(shape, byte)| {
            if shape == b'd' {
                byte.is_ascii_digit()
            } else {
                shape == byte
            }
        });
    let fraction = text.get(shape.len()..).filter(|_| fits)?;
    let end = fraction.find(|c: char| c != '.' && !c.is_ascii_digit())?;
    fraction[end..]
        .starts_with('Z')
        .then_some(shape.len() + end + 1)
}

/// How many bytes at the beginning are a partition's number, after what is before them in the line.
fn partition(before: &str, text: &str) -> Option<usize> {
    let length = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let topic = before
        .strip_suffix('-')
        .or_else(|| Some(before.trim_end()).filter(|topic| topic.len() < before.len()))
        .and_then(|before| before.rsplit(char::is_whitespace).next());
    let named = topic.is_some_and(|topic| {
        topic.contains('_')
            && topic
                .chars()
                .all(|c| c.is_ascii_lowercase() || "_.-".contains(c))
    });
    (length > 0 && (named || before.ends_with("\"partition\":"))).then_some(length)
}

/// How many bytes at the beginning are a number, with its decimals.
fn figure(text: &str) -> Option<usize> {
    let digits = |text: &str| {
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len())
    };
    let whole = Some(digits(text)).filter(|length| *length > 0)?;
    let decimals = text[whole..].strip_prefix('.').map_or(0, digits);
    Some(if decimals > 0 {
        whole + 1 + decimals
    } else {
        whole
    })
}

/// What a terminal shows in colours, without them.
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        let end = after.find(|c: char| c.is_ascii_alphabetic());
        rest = end.map_or("", |end| &after[end + 1..]);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXACT: How = How {
        any_order: false,
        partitions: false,
        figures: false,
    };
    const ANY_ORDER: How = How {
        any_order: true,
        ..EXACT
    };
    const PARTITIONS: How = How {
        partitions: true,
        ..EXACT
    };
    const FIGURES: How = How {
        figures: true,
        ..EXACT
    };
    const ONE: &str = "01a216f3-5816-7028-9fd6-60a02834ba68";
    const TWO: &str = "0f02372c-8f03-54a4-a619-40147488d883";
    const THREE: &str = "f2f17bdf-b389-5bde-9890-6b5bddab9855";

    fn same(expected: &str, how: How, printed: &str) -> bool {
        compare(expected, how, printed, &mut Ids::new()).is_ok()
    }

    #[test]
    fn what_is_the_same_passes() {
        assert!(same("a 1\nb  2\n", EXACT, "a    1\n\nb 2"));
        assert!(same(
            "at 2026-11-26T08:22:56.278Z",
            EXACT,
            "at 2027-01-01T00:00:00Z"
        ));
        assert!(same("a", EXACT, "\x1b[32ma\x1b[0m"));
        assert!(same("a …, \"n\":1 …", EXACT, "a lot, \"n\":1 }"));
        assert!(same("a\n…\nd", EXACT, "a\nb\nc\nd"));
        assert!(same("…\nd\n…", EXACT, "d"));
    }

    #[test]
    fn wrong_output_fails() {
        for (expected, printed) in [
            ("a", "b"),
            ("a", "a\nb"),
            ("a\nb", "a"),
            ("a\nb", "b\na"),
            ("a", ""),
            ("lag 0", "lag 1"),
            ("lag 0", "lag 00"),
            ("a b", "ab"),
            ("a … c", "a b d"),
            ("a\n…\nd", "a\nb\nc"),
            ("…\nd", "d\ne"),
            ("…\na\n…\na\n…", "b\na\nc"),
            ("at 2026-11-26T08:22:56.278Z", "at noon"),
            (ONE, "none"),
        ] {
            assert!(!same(expected, EXACT, printed), "{expected:?} {printed:?}");
        }
    }

    #[test]
    fn missing_output_fails() {
        assert!(!same("a", EXACT, ""));
        assert!(!same("…\na\n…", EXACT, ""));
        assert!(!same("a\n…", ANY_ORDER, ""));
        assert!(!same("1", FIGURES, "\n"));
    }

    #[test]
    fn an_id_stands_for_one_id() {
        let mut ids = Ids::new();
        compare(ONE, EXACT, TWO, &mut ids).unwrap();
        compare(&format!("x {ONE}"), EXACT, &format!("x {TWO}"), &mut ids).unwrap();
        compare(ONE, EXACT, THREE, &mut ids).unwrap_err();
        compare(THREE, EXACT, TWO, &mut ids).unwrap_err();
        compare(THREE, EXACT, ONE, &mut ids).unwrap();
    }

    #[test]
    fn what_does_not_fit_leaves_no_id_behind() {
        let mut ids = Ids::new();
        compare(&format!("{ONE}\nb"), EXACT, &format!("{TWO}\nc"), &mut ids).unwrap_err();
        assert!(ids.is_empty());
    }

    #[test]
    fn any_order_is_no_other_number_of_lines() {
        assert!(same("a\nb\nb", ANY_ORDER, "b\na\nb"));
        assert!(!same("a\nb\nb", ANY_ORDER, "b\na\na"));
        assert!(!same("a\nb", ANY_ORDER, "b\na\nb"));
        assert!(same("a\n…", ANY_ORDER, "b\na\nb"));
        // What fits several lines leaves to the others what only they can take.
        assert!(same(
            "x … 0\nx … 0\nx 2 0",
            ANY_ORDER,
            "x 2 0\nx 1 0\nx 3 0"
        ));
        let (expected, printed) = (
            format!("0 {ONE}\n1 {ONE}\n2 {TWO}"),
            format!("2 {THREE}\n1 {TWO}\n0 {TWO}"),
        );
        assert!(same(&expected, ANY_ORDER, &printed));
        assert!(!same(
            &expected,
            ANY_ORDER,
            &printed.replace(&format!("1 {TWO}"), &format!("1 {THREE}"))
        ));
    }

    #[test]
    fn a_partition_stands_for_one_partition() {
        assert!(same(
            "order_placed-2 at 0\npayment_processed-2 at 1",
            PARTITIONS,
            "order_placed-0 at 0\npayment_processed-0 at 1"
        ));
        assert!(!same(
            "order_placed-2 at 0\npayment_processed-2 at 1",
            PARTITIONS,
            "order_placed-0 at 0\npayment_processed-1 at 1"
        ));
        assert!(!same(
            "order_placed-2 at 0",
            PARTITIONS,
            "order_placed-2 at 1"
        ));
        assert!(!same("order_placed-2", EXACT, "order_placed-1"));
        assert!(same("order_placed  2  7", PARTITIONS, "order_placed  1  7"));
        assert!(!same(
            "order_placed  2  7",
            PARTITIONS,
            "order_placed  2  8"
        ));
        assert!(same(
            "{\"partition\":2,\"offset\":7}",
            PARTITIONS,
            "{\"partition\":1,\"offset\":7}"
        ));
        assert!(!same(
            "{\"partition\":2,\"offset\":7}",
            PARTITIONS,
            "{\"partition\":1,\"offset\":8}"
        ));
        assert!(!same("service-2", PARTITIONS, "service-1"));
    }

    #[test]
    fn figures_vary_only_where_that_is_said() {
        assert!(same("p50 22.44 ms", FIGURES, "p50 7 ms"));
        assert!(!same("p50 22.44 ms", EXACT, "p50 7 ms"));
        assert!(!same("p50 22.44 ms", FIGURES, "p99 22.44 ms"));
        assert!(!same("p50 22.44 ms", FIGURES, "p50 n/a ms"));
    }
}
