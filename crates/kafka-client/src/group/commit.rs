//! Commits: those of all partitions that wait go out in one OffsetCommit, as soon as none is under way.

mod send;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_wire::ResponseError;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::consumer::{ConsumerError, LostReason, Slot, TopicPartition};

pub(super) use send::run;

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
    /// Partitions whose commit is under way.
    under_way: Vec<Arc<Slot>>,
    ended: Option<LostReason>,
}

/// The commit of one partition.
#[derive(Debug)]
struct Entry {
    slot: Arc<Slot>,
    offset: i64,
    leader_epoch: i32,
    deadline: Instant,
    last_error: Option<String>,
    waiters: Vec<oneshot::Sender<Result<(), ConsumerError>>>,
}

impl Commits {
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            waiting: Mutex::default(),
            wake: Notify::new(),
            settled: Notify::new(),
        }
    }

    /// Commits one partition and waits until Kafka has it.
    pub(crate) async fn commit(&self, slot: &Arc<Slot>, offset: i64) -> Result<(), ConsumerError> {
        let partition = || slot.id.clone();
        if offset < 0 {
            let partition = partition();
            return Err(ConsumerError::InvalidOffset { partition, offset });
        }
        slot.check_not_lost()?;
        let leader_epoch = {
            let mut state = slot.lock();
            if let Some(committed) = state.commit_floor.filter(|floor| *floor > offset) {
                return Err(ConsumerError::CommitBehind {
                    partition: partition(),
                    offset,
                    committed,
                });
            }
            state.commit_floor = Some(offset);
            state.epoch_before(offset)
        };
        let (waiter, answer) = oneshot::channel();
        self.enqueue(Entry {
            slot: Arc::clone(slot),
            offset,
            leader_epoch,
            deadline: Instant::now() + self.timeout,
            last_error: None,
            waiters: vec![waiter],
        })?;
        tokio::select! {
            biased;
            answer = answer => answer.unwrap_or_else(|_| slot.check_not_lost().and(Err(slot.lost_error(LostReason::Closed)))),
            () = slot.lost.cancelled() => slot.check_not_lost(),
        }
    }

    fn enqueue(&self, entry: Entry) -> Result<(), ConsumerError> {
        let mut waiting = self.waiting.lock();
        if let Some(reason) = waiting.ended {
            return Err(entry.slot.lost_error(reason));
        }
        waiting.add(entry, true);
        drop(waiting);
        self.wake.notify_one();
        Ok(())
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
                if !waits && !waiting.under_way.iter().any(|s| Arc::ptr_eq(s, slot)) {
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
        for entry in std::mem::take(&mut waiting.entries).into_values() {
            if let Err(lost) = entry.slot.check_not_lost() {
                entry.answer(Err(lost));
            } else if entry.deadline <= now {
                entry.time_out();
            } else {
                ready.push(entry);
            }
        }
        waiting.under_way = ready.iter().map(|e| Arc::clone(&e.slot)).collect();
        ready
    }

    /// Puts commits back that are to be tried again.
    fn put_back(&self, entries: Vec<Entry>) {
        let mut waiting = self.waiting.lock();
        waiting.under_way.clear();
        if waiting.ended.is_none() {
            for entry in entries {
                waiting.add(entry, false);
            }
        }
        drop(waiting);
        self.settled.notify_waiters();
    }

    fn has_waiting(&self) -> bool {
        !self.waiting.lock().entries.is_empty()
    }

    fn first_deadline(&self) -> Option<Instant> {
        self.waiting
            .lock()
            .entries
            .values()
            .map(|e| e.deadline)
            .min()
    }
}

impl Waiting {
    /// Joins a commit with one of the same partition that waits; the newer offset is the one that goes out.
    fn add(&mut self, mut entry: Entry, is_newer: bool) {
        match self.entries.remove(&entry.slot.id) {
            Some(mut waiting) if Arc::ptr_eq(&waiting.slot, &entry.slot) => {
                let (mut kept, other) = if is_newer {
                    waiting.waiters.retain(|w| !w.is_closed());
                    (entry, waiting)
                } else {
                    (waiting, entry)
                };
                kept.waiters.extend(other.waiters);
                entry = kept;
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
    fn answer(self, result: Result<(), ConsumerError>) {
        {
            let mut state = self.slot.lock();
            match &result {
                Ok(()) => state.acknowledge_commit(self.offset),
                // It was not committed, so that it does not stand in the way of others.
                Err(_) => state.refuse_commit(self.offset),
            }
        }
        for waiter in self.waiters {
            let _ = waiter.send(result.clone());
        }
    }

    fn time_out(mut self) {
        let error = ConsumerError::CommitTimeout {
            partition: self.slot.id.clone(),
            offset: self.offset,
            last: self.last_error.take(),
        };
        self.answer(Err(error));
    }
}
