//! How far each group was behind, second by second: what somebody who begins to watch cannot have seen.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use crate::snapshot::Group;

/// From one figure to the next.
const STEP_MS: i64 = 1_000;
/// How many are kept of a group.
const MOST: usize = 120;

/// The lag of each group over the last two minutes of looking.
#[derive(Debug, Default, Serialize)]
pub(super) struct History {
    /// When the newest figures are of, in milliseconds since 1970.
    at: i64,
    step_ms: StepMs,
    /// By group, the newest last; fewer of a group that was not there before.
    lag: BTreeMap<String, VecDeque<i64>>,
}

/// Always [`STEP_MS`].
#[derive(Debug, Default)]
struct StepMs;

impl Serialize for StepMs {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(STEP_MS)
    }
}

impl History {
    /// Notes what a look at this time found. Of several within a second the last one counts; a second without a look has the
    /// figure before it.
    pub(super) fn see(&mut self, at: i64, groups: &[Group]) {
        let at = at - at.rem_euclid(STEP_MS);
        let steps = (at - self.at) / STEP_MS;
        if steps < 0 || steps >= MOST as i64 {
            self.lag.clear();
        }
        self.at = at;
        self.lag
            .retain(|known, _| groups.iter().any(|group| group.group == *known));
        for group in groups {
            let lag = self.lag.entry(group.group.clone()).or_default();
            if let Some(last) = lag.back().copied() {
                lag.extend((0..steps).map(|_| last));
                lag.pop_back();
            }
            lag.push_back(group.lag);
            while lag.len() > MOST {
                lag.pop_front();
            }
        }
    }

    /// Forgets all of it: nobody looks for a while.
    pub(super) fn rest(&mut self) {
        self.lag.clear();
    }

    /// As one line of JSON.
    pub(super) fn line(&self) -> String {
        // Numbers by name always become JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str, lag: i64) -> Group {
        Group {
            group: name.to_owned(),
            state: "Stable".to_owned(),
            note: None,
            protocol: String::new(),
            generation: None,
            lag,
            members: Vec::new(),
            offsets: Vec::new(),
        }
    }

    fn seen(history: &History, group: &str) -> Vec<i64> {
        history.lag[group].iter().copied().collect()
    }

    #[test]
    fn a_second_has_one_figure_however_often_it_was_looked() {
        let mut history = History::default();
        let start = 1_700_000_000_000;
        for (after, lag) in [(100, 1), (600, 2), (1_100, 3), (4_200, 4), (4_700, 5)] {
            history.see(start + after, &[group("g", lag)]);
        }
        assert_eq!(seen(&history, "g"), [2, 3, 3, 3, 5]);
        assert_eq!(
            history.line(),
            r#"{"at":1700000004000,"step_ms":1000,"lag":{"g":[2,3,3,3,5]}}"#
        );
    }

    #[test]
    fn the_last_two_minutes_are_kept_of_the_groups_that_are_there() {
        let mut history = History::default();
        for second in 0..200_i64 {
            let groups = [group("g", second), group("late", second)];
            let there = if second < 190 { &groups[..1] } else { &groups };
            history.see(second * STEP_MS, there);
        }
        let lag = seen(&history, "g");
        assert_eq!((lag.len(), lag[0], lag[119]), (MOST, 80, 199));
        assert_eq!(seen(&history, "late"), (190..200).collect::<Vec<_>>());
        history.see(200 * STEP_MS, &[group("late", 0)]);
        assert!(!history.lag.contains_key("g"));
        // Nobody looked for longer than is kept.
        history.see(500 * STEP_MS, &[group("late", 7)]);
        assert_eq!(seen(&history, "late"), [7]);
    }
}
