//! Waiting between attempts: exponential, with jitter, never over a second (KIP-580).

use std::time::Duration;

use rand::RngExt as _;

/// The first wait.
const BASE: Duration = Duration::from_millis(50);
/// The longest wait: a broker that is back is found again within about this.
const MAX: Duration = Duration::from_secs(1);

/// Counts failures in a row and says how long to wait before the next attempt.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// One more failure: how long to wait now. Waits double from 50 ms to 1 s, each shortened by up to 20 % so that clients do not march in step.
    pub(crate) fn next(&mut self) -> Duration {
        let wait = BASE.saturating_mul(1 << self.failures.min(10)).min(MAX);
        self.failures = self.failures.saturating_add(1);
        wait.mul_f64(rand::rng().random_range(0.8..1.0))
    }

    /// An attempt succeeded.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_second_and_start_anew_after_a_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..40).map(|_| backoff.next()).collect();
        assert!(waits[0] <= BASE && waits[0] >= BASE.mul_f64(0.8));
        assert!(waits.iter().all(|w| *w <= MAX));
        assert!(waits[39] >= MAX.mul_f64(0.8));
        backoff.reset();
        assert!(backoff.next() <= BASE);
    }
}
