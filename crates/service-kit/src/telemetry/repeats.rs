//! Which warnings were written just now.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// For how long a warning is not written again.
const QUIET: Duration = Duration::from_secs(5);
/// How many warnings are remembered at most.
const MOST: usize = 256;

/// The warnings that were written within [`QUIET`], and how many of each were left out since.
#[derive(Default)]
pub(super) struct Repeats {
    written: HashMap<String, Written>,
}

struct Written {
    at: Instant,
    left_out: u64,
}

impl Repeats {
    /// Takes note of a warning: none if it is to be left out, and else how many of its kind were left out before it.
    pub(super) fn left_out_before(&mut self, line: &str, now: Instant) -> Option<u64> {
        let quiet = |written: &Written| now.saturating_duration_since(written.at) < QUIET;
        if let Some(written) = self.written.get_mut(line) {
            if quiet(written) {
                written.left_out += 1;
                return None;
            }
            let left_out = std::mem::take(&mut written.left_out);
            written.at = now;
            return Some(left_out);
        }
        if self.written.len() >= MOST {
            self.written.retain(|_, written| quiet(written));
        }
        // With so many different ones at a time none is a repeat of much.
        if self.written.len() < MOST {
            let written = Written {
                at: now,
                left_out: 0,
            };
            self.written.insert(line.to_owned(), written);
        }
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Instant, MOST, QUIET, Repeats};

    #[test]
    fn a_warning_comes_again_after_a_while_and_says_how_many_were_left_out() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        let mut note = |line: &str, after: Duration| repeats.left_out_before(line, start + after);
        assert_eq!(note("a", Duration::ZERO), Some(0));
        assert_eq!(note("a", QUIET / 4), None);
        assert_eq!(note("b", QUIET / 3), Some(0));
        assert_eq!(note("a", QUIET / 2), None);
        assert_eq!(note("a", QUIET), Some(2));
        assert_eq!(note("a", QUIET * 3 / 2), None);
        assert_eq!(note("a", QUIET * 2), Some(1));
    }

    #[test]
    fn no_more_than_so_many_are_remembered() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        for line in 0..2 * MOST {
            assert_eq!(repeats.left_out_before(&line.to_string(), start), Some(0));
        }
        assert_eq!(repeats.written.len(), MOST);
        assert_eq!(repeats.left_out_before("late", start + QUIET), Some(0));
        assert_eq!(repeats.written.len(), 1);
    }
}
