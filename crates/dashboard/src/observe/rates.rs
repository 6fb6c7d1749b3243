//! How fast topics grow.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::cluster::TopicSeen;

/// Over how long.
const OVER: Duration = Duration::from_secs(2);
/// Looks that are remembered.
const MOST: usize = 8;

/// The ends of a topic's partitions, by number, as far as they are known.
type Ends = BTreeMap<i32, i64>;

/// The ends of topics at the last few looks.
#[derive(Debug, Default)]
pub(super) struct Rates {
    looks: VecDeque<(Instant, BTreeMap<Arc<str>, Ends>)>,
}

impl Rates {
    pub(super) fn see(&mut self, at: Instant, topics: &[TopicSeen]) {
        let ends = topics.iter().map(|topic| {
            let ends = topic.partitions.iter();
            let ends = ends.filter_map(|found| Some((found.partition, found.end?)));
            (Arc::clone(&topic.name), ends.collect())
        });
        self.looks.push_back((at, ends.collect()));
        // One look that is as old as wanted stays, for there is to be a difference over all of that.
        while self.looks.len() > MOST
            || self
                .looks
                .get(1)
                .is_some_and(|(then, _)| at - *then >= OVER)
        {
            self.looks.pop_front();
        }
    }

    /// Records a second, to a tenth, of the partitions whose ends are known at both times; 0 while there is one look only, or where a
    /// topic was made anew.
    pub(super) fn of(&self, topic: &str) -> f64 {
        let (Some((first, before)), Some((last, now))) = (self.looks.front(), self.looks.back())
        else {
            return 0.0;
        };
        let (Some(before), Some(now)) = (before.get(topic), now.get(topic)) else {
            return 0.0;
        };
        let seconds = (*last - *first).as_secs_f64();
        if seconds <= 0.0 {
            return 0.0;
        }
        let grown = now
            .iter()
            .filter_map(|(partition, end)| Some(end - before.get(partition)?));
        let rate = grown.sum::<i64>().max(0) as f64 / seconds;
        (rate * 10.0).round() / 10.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::cluster::PartitionSeen;

    fn ending_at(ends: &[i64]) -> Vec<TopicSeen> {
        known_to_end_at(&ends.iter().copied().map(Some).collect::<Vec<_>>())
    }

    fn known_to_end_at(ends: &[Option<i64>]) -> Vec<TopicSeen> {
        let partitions = (0..).zip(ends).map(|(partition, end)| PartitionSeen {
            partition,
            leader: Some(1),
            start: 0,
            end: *end,
        });
        vec![TopicSeen {
            name: Arc::from("t"),
            id: 0,
            partitions: partitions.collect(),
        }]
    }

    #[test]
    fn a_rate_is_that_of_all_partitions_over_the_last_two_seconds() {
        let (mut rates, start) = (Rates::default(), Instant::now());
        assert_eq!(rates.of("t"), 0.0);
        for half_seconds in 0..10_i64 {
            let at = start + Duration::from_millis(500) * half_seconds as u32;
            rates.see(at, &ending_at(&[half_seconds * 10, half_seconds * 5]));
        }
        assert_eq!(rates.of("t"), 30.0);
        assert_eq!(rates.of("another"), 0.0);
        for half_seconds in 10..15_u32 {
            let at = start + Duration::from_millis(500) * half_seconds;
            rates.see(at, &ending_at(&[90, 45]));
        }
        assert_eq!(rates.of("t"), 0.0, "nothing comes any more");
    }

    #[test]
    fn a_topic_that_was_made_anew_has_no_negative_rate() {
        let (mut rates, start) = (Rates::default(), Instant::now());
        rates.see(start, &ending_at(&[100]));
        rates.see(start + Duration::from_secs(1), &ending_at(&[3]));
        assert_eq!(rates.of("t"), 0.0);
    }

    #[test]
    fn an_end_that_was_not_known_before_is_no_burst_of_records() {
        let (mut rates, start) = (Rates::default(), Instant::now());
        rates.see(start, &known_to_end_at(&[Some(100), None]));
        let after = start + Duration::from_secs(1);
        rates.see(after, &known_to_end_at(&[Some(110), Some(50_000)]));
        assert_eq!(rates.of("t"), 10.0);
    }
}
