//! Commits: those of all partitions that wait go out in one OffsetCommit, as soon as none is under way.

mod pending;
mod send;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_wire::ResponseError;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::consumer::{ConsumerError, LostReason, Slot, TopicPartition};

pub use pending::{PendingCommit, PendingCommits};
pub(super) use send::run;

use pending::Waiter;

/// The partitions that a commit of several did not commit. The others were committed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{} partitions were not committed{}", failed.len(),
    failed.first().map(|(_, e)| format!("; the first: {e}")).unwrap_or_default())]
pub struct CommitError {
    /// Which, and why.
    pub failed: Vec<(TopicPartition, ConsumerError)>,
}

/// Who the coordinator takes the commits from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) member_id: Arc<str>,
    pub(super) generation: i32,
    pub(super) instance: Option<Arc<str>>,
}

/// A commit that the coordinator refused because of who it came from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    pub(super) generation: i32,
    pub(super) code: ResponseError,
}

/// Commits that wait to be sent.
#[derive(Debug)]
pub(crate) struct Commits {
    timeout: Duration,
    waiting: Mutex<Waiting>,
    wake: Notify,
    /// Told whenever commits were answered.
    settled: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    entries: BTreeMap<TopicPartition, Entry>,
    under_way: Vec<UnderWay>,
    ended: Option<LostReason>,
}

/// A commit that was sent and is not answered.
#[derive(Debug)]
struct UnderWay {
    slot: Arc<Slot>,
    offset: i64,
    era: u64,
}

/// The commit of one partition.
#[derive(Debug)]
struct Entry {
    slot: Arc<Slot>,
    offset: i64,
    leader_epoch: i32,
    /// The slot's era in which it was asked for: the next commit of a later one may go back.
    era: u64,
    /// Until when it is tried: that of the last of those who asked for it.
    deadline: Instant,
    last_error: Option<String>,
    waiters: Vec<Waiter>,
}

/// How commits ended.
type Settled = Vec<(Entry, Result<(), ConsumerError>)>;

impl Commits {
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            waiting: Mutex::default(),
            wake: Notify::new(),
            settled: Notify::new(),
        }
    }

    /// Queues the commit of one partition, and tells when Kafka has it.
    pub(crate) fn commit(&self, slot: &Arc<Slot>, offset: i64) -> PendingCommit {
        match self.enqueue(slot, offset) {
            Ok(answer) => PendingCommit::new(slot, answer),
            Err(error) => PendingCommit::failed(error),
        }
    }

    fn enqueue(
        &self,
        slot: &Arc<Slot>,
        offset: i64,
    ) -> Result<oneshot::Receiver<Result<(), ConsumerError>>, ConsumerError> {
        let partition = || slot.id.clone();
        if offset < 0 {
            let partition = partition();
            return Err(ConsumerError::InvalidOffset { partition, offset });
        }
        slot.check_not_lost()?;
        // Held throughout, so that what is looked at and what is queued are in the same order.
        let mut waiting = self.waiting.lock();
        if let Some(reason) = waiting.ended {
            return Err(slot.lost_error(reason));
        }
        let (leader_epoch, era, acknowledged) = {
            let state = slot.lock();
            let epoch = state.epoch_before(offset);
            (epoch, state.commit_era, state.acknowledged)
        };
        let before = acknowledged.max(waiting.last_offset(slot, era));
        if let Some(committed) = before.filter(|before| *before > offset) {
            return Err(ConsumerError::CommitBehind {
                partition: partition(),
                offset,
                committed,
            });
        }
        let deadline = Instant::now() + self.timeout;
        let (waiter, answer) = Waiter::new(offset, deadline);
        let entry = Entry {
            slot: Arc::clone(slot),
            offset,
            leader_epoch,
            era,
            deadline,
            last_error: None,
            waiters: vec![waiter],
        };
        waiting.add(entry, true);
        drop(waiting);
        self.wake.notify_one();
        Ok(answer)
    }

    /// Returns once no commit of this partition waits or is under way.
    pub(super) async fn settled(&self, slot: &Arc<Slot>) {
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            {
                let waiting = self.waiting.lock();
                let waits = waiting.entries.values().any(|e| Arc::ptr_eq(&e.slot, slot));
                if !waits && !waiting.under_way.iter().any(|u| Arc::ptr_eq(&u.slot, slot)) {
                    return;
                }
            }
            settled.await;
        }
    }

    /// Has the commits looked at again: partitions were lost, or there is a new generation.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Nothing is committed any more.
    pub(super) fn end(&self, reason: LostReason) {
        let mut waiting = self.waiting.lock();
        waiting.ended = Some(reason);
        let entries = std::mem::take(&mut waiting.entries);
        drop(waiting);
        for entry in entries.into_values() {
            let error = entry.slot.lost_error(reason);
            entry.answer(Err(error));
        }
        self.settled.notify_waiters();
    }

    /// All commits that can be sent; those of lost partitions and those that took too long are answered.
    fn take(&self) -> Vec<Entry> {
        let now = Instant::now();
        let mut waiting = self.waiting.lock();
        let mut ready = Vec::new();
        for mut entry in std::mem::take(&mut waiting.entries).into_values() {
            if let Err(lost) = entry.slot.check_not_lost() {
                entry.answer(Err(lost));
                continue;
            }
            entry.time_out(now);
            if entry.deadline > now {
                ready.push(entry);
            }
        }
        let under_way = ready.iter().map(|entry| UnderWay {
            slot: Arc::clone(&entry.slot),
            offset: entry.offset,
            era: entry.era,
        });
        waiting.under_way = under_way.collect();
        ready
    }

    /// Ends what was under way: some commits are answered, the others are to be tried again.
    fn finish(&self, settled: Settled, again: Vec<Entry>) {
        // Under the lock throughout: whoever is told of a failure finds nothing of it in the way of the next commit.
        let mut waiting = self.waiting.lock();
        waiting.under_way.clear();
        for (entry, result) in settled {
            entry.answer(result);
        }
        for entry in again {
            match waiting.ended {
                None => waiting.add(entry, false),
                Some(reason) => {
                    let error = entry.slot.lost_error(reason);
                    entry.answer(Err(error));
                }
            }
        }
        drop(waiting);
        self.settled.notify_waiters();
    }

    fn has_waiting(&self) -> bool {
        !self.waiting.lock().entries.is_empty()
    }

    /// When the first of those who wait is to be told that it took too long.
    fn first_deadline(&self) -> Option<Instant> {
        let waiting = self.waiting.lock();
        let entries = waiting.entries.values();
        entries.map(Entry::first_deadline).min()
    }

    /// When the first of those who wait for a commit that is queued has waited for its time.
    fn first_waiter(&self) -> Option<Instant> {
        let waiting = self.waiting.lock();
        waiting
            .entries
            .values()
            .filter_map(Entry::first_waiter)
            .min()
    }

    /// Tells those who have waited for their time for a commit that is queued.
    fn time_out(&self, now: Instant) {
        let mut waiting = self.waiting.lock();
        let entries = waiting.entries.values_mut();
        entries.for_each(|entry| entry.time_out(now));
    }
}

impl Waiting {
    /// The offset that the last commit of this era that is not answered asked for.
    fn last_offset(&self, slot: &Arc<Slot>, era: u64) -> Option<i64> {
        let waits = self
            .entries
            .get(&slot.id)
            .map(|e| (&e.slot, e.offset, e.era));
        let under_way = self.under_way.iter().map(|u| (&u.slot, u.offset, u.era));
        waits
            .into_iter()
            .chain(under_way)
            .filter(|(of, _, asked)| Arc::ptr_eq(of, slot) && *asked == era)
            .map(|(_, offset, _)| offset)
            .max()
    }

    /// Takes a commit in, together with one of the same partition that waits.
    fn add(&mut self, mut entry: Entry, is_newer: bool) {
        match self.entries.remove(&entry.slot.id) {
            Some(waiting) if Arc::ptr_eq(&waiting.slot, &entry.slot) => {
                entry = waiting.join(entry);
            }
            // Of an assignment before this one, or after it.
            Some(waiting) => {
                let (keep, drop) = if is_newer {
                    (entry, waiting)
                } else {
                    (waiting, entry)
                };
                let lost = drop.slot.lost_error(LostReason::IllegalGeneration);
                drop.answer(Err(lost));
                entry = keep;
            }
            None => {}
        }
        self.entries.insert(entry.slot.id.clone(), entry);
    }
}

impl Entry {
    /// Makes one commit of two of the same partition. The larger offset goes out, unless the holder sought between them:
    /// then it is the one of after that.
    fn join(self, other: Self) -> Self {
        let (mut kept, overtaken) = if (self.era, self.offset) > (other.era, other.offset) {
            (self, other)
        } else {
            (other, self)
        };
        kept.deadline = kept.deadline.max(overtaken.deadline);
        for waiter in overtaken.waiters {
            if waiter.offset > kept.offset {
                let partition = kept.slot.id.clone();
                waiter.supersede(partition);
            } else if !waiter.is_gone() {
                kept.waiters.push(waiter);
            }
        }
        kept
    }

    fn answer(self, result: Result<(), ConsumerError>) {
        if result.is_ok() {
            let mut state = self.slot.lock();
            state.acknowledge_commit(self.offset, self.era);
        }
        for waiter in self.waiters {
            waiter.tell(result.clone());
        }
    }

    fn first_deadline(&self) -> Instant {
        self.first_waiter().unwrap_or(self.deadline)
    }

    fn first_waiter(&self) -> Option<Instant> {
        self.waiters.iter().map(|waiter| waiter.deadline).min()
    }

    /// Tells those who have waited for their time.
    fn time_out(&mut self, now: Instant) {
        let waiters = std::mem::take(&mut self.waiters).into_iter();
        let (late, waiting) = waiters.partition(|waiter| waiter.deadline <= now);
        self.waiters = waiting;
        let late: Vec<Waiter> = late;
        for waiter in late {
            let error = ConsumerError::CommitTimeout {
                partition: self.slot.id.clone(),
                offset: waiter.offset,
                last: self.last_error.clone(),
            };
            waiter.tell(Err(error));
        }
    }
}

#[cfg(test)]
mod tests;
