//! What the manage loop waits for.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Shared;
use crate::consumer::{Ownership, Slot};

/// Partitions that are being let go of.
pub(super) struct Drain {
    pub(super) slots: Vec<Arc<Slot>>,
    /// When they are taken away; none if they are lost already and there is no hurry.
    pub(super) deadline: Option<Instant>,
}

impl Drain {
    /// Returns once the partitions are let go of and their commits are answered, and tells whether that was in time.
    pub(super) async fn is_done_in_time(&self, shared: &Shared) -> bool {
        let released = async {
            for slot in &self.slots {
                slot.released.cancelled().await;
                shared.commits.settled(slot).await;
            }
        };
        match self.deadline {
            Some(deadline) => tokio::time::timeout_at(deadline, released).await.is_ok(),
            None => {
                released.await;
                true
            }
        }
    }
}

/// When the first of the partitions that are held has not been polled for so long; none if their holders all wait in a poll.
pub(super) fn poll_overdue_at(slots: &[Arc<Slot>], max_poll_interval: Duration) -> Option<Instant> {
    let last_polls = slots.iter().filter_map(|slot| {
        let state = slot.lock();
        let counts = state.ownership == Ownership::Held && !state.paused;
        state.polled_at.filter(|_| counts)
    });
    last_polls.min()?.checked_add(max_poll_interval)
}

/// The future's output; never, without one.
pub(super) async fn or_never<F: Future + Unpin>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// Returns then; never, without a time.
pub(super) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumer::{Start, TopicPartition};

    const LONGEST: Duration = Duration::from_secs(300);

    #[tokio::test(start_paused = true)]
    async fn the_time_of_a_pause_is_not_counted_when_it_ends() {
        let slot = Arc::new(Slot::new(TopicPartition::new("orders", 0), Start::Ready));
        let overdue_at = || poll_overdue_at(std::slice::from_ref(&slot), LONGEST);
        let polled = Instant::now();
        slot.lock().polled_at = Some(polled);
        assert_eq!(overdue_at(), Some(polled + LONGEST));
        slot.lock().paused = true;
        assert_eq!(overdue_at(), None);
        tokio::time::advance(LONGEST * 2).await;
        slot.lock().resume();
        assert_eq!(overdue_at(), Some(Instant::now() + LONGEST));
        // Without a pause it is no sign of life.
        tokio::time::advance(LONGEST / 2).await;
        slot.lock().resume();
        assert_eq!(overdue_at(), Some(Instant::now() + LONGEST / 2));
        // Nor is there anything to count while the holder waits in a poll.
        slot.lock().polled_at = None;
        slot.lock().paused = true;
        slot.lock().resume();
        assert_eq!(overdue_at(), None);
    }
}
