//! Latencies, and what is told of them.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// How long something took, over many times, in milliseconds; all zero where it never happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Half of the times it took at most this.
    pub p50_ms: f64,
    /// 99 of 100 times.
    pub p99_ms: f64,
    /// 999 of 1,000 times.
    pub p99_9_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Latency {
    /// What these times come to; they are sorted for it.
    pub fn of(times: &mut [Duration]) -> Self {
        times.sort_unstable();
        let milliseconds =
            |permille| percentile(times, permille).map_or(0.0, |time| time.as_secs_f64() * 1000.0);
        Self {
            p50_ms: milliseconds(500),
            p99_ms: milliseconds(990),
            p99_9_ms: milliseconds(999),
            max_ms: milliseconds(1000),
        }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return f.write_str("never");
        }
        write!(
            f,
            "p50 {:.2} ms   p99 {:.2} ms   p99.9 {:.2} ms   max {:.2} ms",
            self.p50_ms, self.p99_ms, self.p99_9_ms, self.max_ms
        )
    }
}

/// The smallest of the times, sorted, that so many of a thousand of them do not exceed; none of none.
pub fn percentile(sorted: &[Duration], permille: u32) -> Option<Duration> {
    let rank = (sorted.len() as u128 * u128::from(permille)).div_ceil(1000);
    let rank = usize::try_from(rank).ok()?.clamp(1, sorted.len().max(1));
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(count: u64) -> Vec<Duration> {
        (1..=count).map(Duration::from_millis).collect()
    }

    #[test]
    fn a_percentile_is_one_of_the_times() {
        let at = |count, permille| percentile(&times(count), permille).map(|t| t.as_millis());
        assert_eq!(at(1000, 500), Some(500));
        assert_eq!(at(1000, 999), Some(999));
        assert_eq!(at(1000, 1000), Some(1000));
        // Of so few, the 99.9th is the longest.
        assert_eq!(at(10, 999), Some(10));
        assert_eq!(at(3, 500), Some(2));
        assert_eq!(at(1, 0), Some(1));
        assert_eq!(at(0, 500), None);
    }

    #[test]
    fn the_order_in_which_they_were_met_does_not_matter() {
        let mut forth = times(500);
        let mut back: Vec<_> = times(500).into_iter().rev().collect();
        let latency = Latency::of(&mut back);
        assert_eq!(latency, Latency::of(&mut forth));
        assert_eq!((latency.p50_ms, latency.max_ms), (250.0, 500.0));
        assert_eq!(Latency::of(&mut []), Latency::default());
        assert_eq!(Latency::of(&mut []).to_string(), "never");
    }
}
