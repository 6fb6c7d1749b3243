//! What to commit when records are dealt with at the same time and end out of order.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::records::Records;

/// Follows which records of one partition are dealt with, and says how far the offset may be committed: up to the first that
/// is not.
///
/// A commit says of every earlier offset that it is done, so a partition whose records are worked on in parallel may commit
/// only the contiguous prefix of what has ended. Clones follow the same records: keep one where the partition is polled
/// and give one to each worker.
///
/// A record that is never [`done`](Self::done), because its worker failed or panicked, holds the commit back for good, and
/// with it everything behind: that is the point, since its next owner then gets it again. Watch
/// [`in_progress`](Self::in_progress) and stop polling at a bound of your own, which also bounds what is read twice after a crash.
///
/// A tracker belongs to one assignment. After a seek, or when the partition comes back, make a new one: workers that
/// still hold the old one then cannot mark offsets that are read anew.
///
/// ```
/// # use kafka_client::OffsetTracker;
/// let tracker = OffsetTracker::new();
/// tracker.begin_offsets([4, 5, 7], 8);
/// tracker.done(5);
/// assert_eq!(tracker.committable(), None, "4 is not done");
/// tracker.done(4);
/// assert_eq!(tracker.committable(), Some(7), "4 and 5 are, 6 was never there");
/// tracker.committed(7);
/// tracker.done(7);
/// assert_eq!(tracker.committable(), Some(8));
/// ```
#[derive(Debug, Clone, Default)]
pub struct OffsetTracker {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    /// Told whenever the prefix grows.
    progress: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// What was begun and is not part of the prefix, by offset.
    open: VecDeque<Open>,
    /// How many of these are not done.
    in_progress: usize,
    /// The offset to read on from once everything that was begun is done.
    end: Option<i64>,
    /// The prefix: everything before this offset is done. None until the first record is.
    prefix: Option<i64>,
    /// What the caller said that he committed.
    committed: Option<i64>,
}

#[derive(Debug)]
struct Open {
    offset: i64,
    done: bool,
}

impl State {
    fn committable(&self) -> Option<i64> {
        self.prefix.filter(|_| self.prefix > self.committed)
    }
}

impl OffsetTracker {
    /// A tracker that follows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Follows these records too. To be called in the order in which they were polled, before any of them is
    /// [`done`](Self::done).
    pub fn begin(&self, records: &Records) {
        self.begin_offsets(
            records.iter().map(|record| record.offset),
            records.next_offset(),
        );
    }

    /// Follows these offsets too, ascending; `next_offset` is what may be committed once they and all before them are done.
    ///
    /// An offset that is not above all those of before is left out: it is followed already, or was done.
    pub fn begin_offsets(&self, offsets: impl IntoIterator<Item = i64>, next_offset: i64) {
        let mut state = self.inner.state.lock();
        for offset in offsets {
            if state.end.is_some_and(|end| offset < end) {
                continue;
            }
            state.end = Some(offset.saturating_add(1));
            state.in_progress += 1;
            state.open.push_back(Open {
                offset,
                done: false,
            });
        }
        state.end = state.end.max(Some(next_offset));
    }

    /// The record at this offset is dealt with. False if it is not followed or was done before.
    pub fn done(&self, offset: i64) -> bool {
        let mut state = self.inner.state.lock();
        let Ok(place) = state.open.binary_search_by_key(&offset, |open| open.offset) else {
            return false;
        };
        let Some(open) = state.open.get_mut(place).filter(|open| !open.done) else {
            return false;
        };
        open.done = true;
        state.in_progress -= 1;
        if place > 0 {
            return true;
        }
        while state.open.front().is_some_and(|open| open.done) {
            state.open.pop_front();
        }
        state.prefix = state
            .open
            .front()
            .map_or(state.end, |open| Some(open.offset));
        drop(state);
        self.inner.progress.notify_waiters();
        true
    }

    /// The offset to commit: the first that is not done, or the one to read on from if all are. None while that is no more
    /// than what is [`committed`](Self::committed).
    pub fn committable(&self) -> Option<i64> {
        self.inner.state.lock().committable()
    }

    /// Notes that `next_offset` is committed, so that [`committable`](Self::committable) tells of later ones only.
    pub fn committed(&self, next_offset: i64) {
        let mut state = self.inner.state.lock();
        state.committed = state.committed.max(Some(next_offset));
    }

    /// How many records are followed and not done: the bound of what may be read twice after a crash, but for the records that
    /// are done and wait for one of these.
    pub fn in_progress(&self) -> usize {
        self.inner.state.lock().in_progress
    }

    /// Waits until there is something to commit and returns it. Cancel safe; for a `select!` beside
    /// [`poll`](crate::PartitionConsumer::poll).
    pub async fn progress(&self) -> i64 {
        self.wait_for(State::committable).await
    }

    /// Waits until all records that are followed are done, which is what a worker owes a partition that is revoked. Cancel
    /// safe; bound it by a timeout, since a record that failed is never done.
    pub async fn idle(&self) {
        self.wait_for(|state| state.open.is_empty().then_some(()))
            .await;
    }

    async fn wait_for<T>(&self, mut reached: impl FnMut(&State) -> Option<T>) -> T {
        loop {
            // Waiting begins before looking, so that what happens in between is not missed.
            let progress = self.inner.progress.notified();
            let now = reached(&self.inner.state.lock());
            match now {
                Some(reached) => return reached,
                None => progress.await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use futures_util::FutureExt as _;
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        /// Begin so many records, with so large a gap before each, and a gap at the end.
        Begin(Vec<i64>, i64),
        /// End one of those in progress: which, by its place among them.
        Done(prop::sample::Index),
        /// Commit what there is.
        Commit,
        /// End what was never begun, or is done.
        Stray(i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            2 => (prop::collection::vec(0i64..3, 0..6), 0i64..3).prop_map(|(gaps, end)| Step::Begin(gaps, end)),
            8 => any::<prop::sample::Index>().prop_map(Step::Done),
            2 => Just(Step::Commit),
            1 => (-5i64..400).prop_map(Step::Stray),
        ]
    }

    proptest! {
        #[test]
        fn only_the_contiguous_prefix_is_committable(steps in prop::collection::vec(step(), 1..120)) {
            let tracker = OffsetTracker::new();
            let (mut next, mut committed) = (0, None);
            let mut open = BTreeSet::new();
            let mut prefix = None;
            for step in steps {
                match step {
                    Step::Begin(gaps, end) => {
                        let offsets: Vec<i64> = gaps.iter().map(|gap| { next += gap + 1; next - 1 }).collect();
                        next += end;
                        tracker.begin_offsets(offsets.iter().copied(), next);
                        open.extend(offsets);
                    }
                    Step::Done(which) => {
                        let in_progress: Vec<i64> = open.iter().copied().collect();
                        if in_progress.is_empty() { continue; }
                        let offset = *which.get(&in_progress);
                        prop_assert!(tracker.done(offset));
                        open.remove(&offset);
                        // The prefix moves when its first does, and never back.
                        if in_progress.first() == Some(&offset) {
                            prefix = Some(open.first().copied().unwrap_or(next));
                        }
                    }
                    Step::Commit => if let Some(offset) = tracker.committable() {
                        prop_assert!(Some(offset) > committed, "commits go forward");
                        committed = Some(offset);
                        tracker.committed(offset);
                    }
                    Step::Stray(offset) => {
                        let followed = open.remove(&offset);
                        prop_assert_eq!(tracker.done(offset), followed);
                        if followed && open.first().is_none_or(|first| *first > offset) {
                            prefix = Some(open.first().copied().unwrap_or(next));
                        }
                    }
                }
                prop_assert_eq!(tracker.in_progress(), open.len());
                prop_assert_eq!(tracker.committable(), prefix.filter(|_| prefix > committed));
                prop_assert_eq!(tracker.idle().now_or_never().is_some(), open.is_empty());
                prop_assert!(tracker.committable().is_none_or(|offset| open.first().is_none_or(|first| offset <= *first)),
                    "nothing that is in progress is committed");
            }
        }
    }

    #[tokio::test]
    async fn whoever_waits_is_told() {
        let tracker = OffsetTracker::new();
        tracker.begin_offsets([0, 1], 5);
        let waiting = tokio::spawn({
            let tracker = tracker.clone();
            async move { (tracker.progress().await, tracker.idle().await).0 }
        });
        tokio::task::yield_now().await;
        assert!(tracker.done(1));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "0 is not done");
        assert!(tracker.done(0));
        assert_eq!(waiting.await.unwrap(), 5);
    }

    #[test]
    fn offsets_that_were_followed_before_are_left_out() {
        let tracker = OffsetTracker::new();
        tracker.begin_offsets([3, 4], 5);
        tracker.begin_offsets([3, 4, 5], 6);
        assert_eq!(tracker.in_progress(), 3);
        for offset in [3, 4, 5] {
            assert!(tracker.done(offset));
        }
        assert_eq!(tracker.committable(), Some(6));
    }
}
