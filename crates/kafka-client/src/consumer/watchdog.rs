//! Notices partitions that should move and do not, so that they are started anew instead of standing still for ever.
//!
//! Every wait in here has a bound of its own, so this is for what nobody thought of: an answer that is lost between tasks, a
//! broker that answers and never sends what it says it has.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::slot::{Slot, SlotState, Start};
use crate::topic_partition::TopicPartition;

/// How often each partition is looked at within the time in which it has to move.
const LOOKS: u32 = 4;

#[derive(Debug)]
pub(super) struct Watchdog {
    patience: Duration,
    looks: Interval,
    seen: HashMap<TopicPartition, Look>,
}

#[derive(Debug)]
struct Look {
    sign: Sign,
    since: Instant,
}

/// What is another when a partition has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sign {
    start: Start,
    seeks: u64,
    fetch_offset: i64,
    /// Fetches, where there is nothing to be fetched and each answer is as good as the one before.
    fetches: Option<u64>,
}

impl Sign {
    /// None where nothing is to be expected, or it is the caller's turn.
    fn of(state: &SlotState) -> Option<Self> {
        let waits_for_caller = state.paused || state.failure.is_some() || !state.buffer.is_empty();
        if !state.is_held() || waits_for_caller {
            return None;
        }
        let behind = state
            .high_watermark
            .is_some_and(|end| end > state.fetch_offset);
        Some(Self {
            start: state.start,
            seeks: state.seeks,
            fetch_offset: state.fetch_offset,
            fetches: (!behind).then_some(state.fetches),
        })
    }
}

impl Watchdog {
    pub(super) fn new(patience: Duration) -> Self {
        let mut looks = interval((patience / LOOKS).max(Duration::from_millis(1)));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            patience,
            looks,
            seen: HashMap::new(),
        }
    }

    /// Waits until it is time to look.
    pub(super) async fn time_to_look(&mut self) {
        self.looks.tick().await;
    }

    /// Those of these partitions that have not moved for too long. Each is named once in that time, which begins anew for one
    /// that was not among those of the last look.
    pub(super) fn stalled(&mut self, slots: &[Arc<Slot>]) -> Vec<Arc<Slot>> {
        let now = Instant::now();
        let before = std::mem::take(&mut self.seen);
        let mut stalled = Vec::new();
        for slot in slots {
            let Some(sign) = Sign::of(&slot.lock()) else {
                continue;
            };
            let mut since = before
                .get(&slot.id)
                .filter(|look| look.sign == sign)
                .map_or(now, |look| look.since);
            if now.duration_since(since) >= self.patience {
                stalled.push(Arc::clone(slot));
                since = now;
            }
            self.seen.insert(slot.id.clone(), Look { sign, since });
        }
        stalled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn slot() -> Arc<Slot> {
        let slot = Slot::new(TopicPartition::new("orders", 0), Start::Ready);
        slot.lock().move_to(5);
        Arc::new(slot)
    }

    async fn stalls_after(watchdog: &mut Watchdog, slot: &Arc<Slot>, time: Duration) -> usize {
        tokio::time::advance(time).await;
        watchdog.stalled(std::slice::from_ref(slot)).len()
    }

    #[tokio::test(start_paused = true)]
    async fn a_partition_that_does_not_move_is_told_once_in_its_time() {
        let (mut watchdog, slot) = (Watchdog::new(PATIENCE), slot());
        slot.lock().high_watermark = Some(9);
        assert_eq!(stalls_after(&mut watchdog, &slot, Duration::ZERO).await, 0);
        // Fetches alone are no progress while the log has more.
        slot.lock().fetches += 1;
        assert_eq!(stalls_after(&mut watchdog, &slot, PATIENCE / 2).await, 0);
        assert_eq!(stalls_after(&mut watchdog, &slot, PATIENCE / 2).await, 1);
        assert_eq!(stalls_after(&mut watchdog, &slot, PATIENCE / 2).await, 0);
        slot.lock().fetch_offset += 1;
        assert_eq!(stalls_after(&mut watchdog, &slot, PATIENCE / 2).await, 0);
        assert_eq!(stalls_after(&mut watchdog, &slot, PATIENCE).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_end_of_the_log_it_is_enough_to_ask() {
        let (mut watchdog, slot) = (Watchdog::new(PATIENCE), slot());
        slot.lock().high_watermark = Some(5);
        for _ in 0..5 {
            assert_eq!(stalls_after(&mut watchdog, &slot, PATIENCE).await, 0);
            slot.lock().fetches += 1;
        }
        stalls_after(&mut watchdog, &slot, Duration::ZERO).await;
        assert_eq!(stalls_after(&mut watchdog, &slot, PATIENCE).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_the_caller_is_left_alone() {
        let (mut watchdog, slot) = (Watchdog::new(PATIENCE), slot());
        slot.lock().paused = true;
        for _ in 0..3 {
            assert_eq!(stalls_after(&mut watchdog, &slot, PATIENCE).await, 0);
        }
        slot.lock().paused = false;
        assert_eq!(stalls_after(&mut watchdog, &slot, PATIENCE).await, 0);
        slot.revoke();
        assert_eq!(stalls_after(&mut watchdog, &slot, PATIENCE).await, 0);
    }
}
