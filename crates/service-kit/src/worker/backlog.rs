//! What a partition has handed out and what of it may be begun: events of one key go one after the other, others side by side.
//!
//! ```text
//! polled ──▶ waiting ──▶ working ──▶ ready ──▶ (a batch under way) ──▶ ended
//!                └────────────────────▲        what takes no simulated time goes straight to it
//! ```
//!
//! There is no I/O and no clock here: time is handed in.

#[cfg(test)]
mod tests;

use std::collections::{HashSet, VecDeque};

use contracts::OrderId;
use tokio::time::{Duration, Instant};

/// Events that are handled together: enough to make a bulk write pay, few enough to be done soon when asked to stop. Also
/// how many wait in memory.
pub(super) const BATCH: usize = 500;

/// How long after a batch another one is begun beside it that is not full: one of its events may be stuck. It doubles with each
/// batch under way. Else a store that is slow for a moment would get ever more and ever smaller ones, and with those be slow for good.
const PATIENCE: Duration = Duration::from_millis(50);
/// How often it doubles at most, to 1.6 s: batches that are stuck must not hold up the others for long.
const DOUBLINGS: u32 = 5;

/// The events of one partition that are handed out and not ended.
#[derive(Debug)]
pub(super) struct Backlog<T> {
    /// The most events under way.
    concurrency: usize,
    /// How long an event is worked on before it is handled.
    work: Duration,
    waiting: VecDeque<Entry<T>>,
    /// The ones that are worked on and when they are done, the first to be done in front.
    working: VecDeque<(Instant, Entry<T>)>,
    /// What the next batch will be made of, at most [`BATCH`].
    ready: Vec<Entry<T>>,
    /// The keys of what is ready and was not worked on: another one of these may join them.
    joinable: HashSet<OrderId>,
    /// The keys of what is worked on or was, and of what is in a batch: another one of these has to wait.
    held: HashSet<OrderId>,
    under_way: usize,
    batches: usize,
    /// When the last batch was begun.
    begun: Option<Instant>,
}

#[derive(Debug)]
struct Entry<T> {
    /// What events are told apart by; none for what is no event and waits for nothing.
    key: Option<OrderId>,
    works: bool,
    item: T,
}

/// What is handled together; to be handed to [`Backlog::end`] when that is done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Keys {
    held: Vec<OrderId>,
    entries: usize,
}

impl<T> Backlog<T> {
    pub(super) fn new(concurrency: usize, work: Duration) -> Self {
        Self {
            concurrency: concurrency.max(1),
            work,
            waiting: VecDeque::new(),
            working: VecDeque::new(),
            ready: Vec::new(),
            joinable: HashSet::new(),
            held: HashSet::new(),
            under_way: 0,
            batches: 0,
            begun: None,
        }
    }

    /// How many more may be polled.
    pub(super) fn room(&self) -> usize {
        BATCH.saturating_sub(self.waiting.len())
    }

    /// The next one that the partition has handed out, and whether it is work.
    pub(super) fn add(&mut self, key: Option<OrderId>, works: bool, item: T) {
        let works = works && !self.work.is_zero();
        self.waiting.push_back(Entry { key, works, item });
    }

    /// Begins what may be begun and takes in what was worked on for long enough.
    pub(super) fn begin(&mut self, now: Instant) {
        while self.ready.len() < BATCH
            && self.working.front().is_some_and(|(done, _)| *done <= now)
            && let Some((_, entry)) = self.working.pop_front()
        {
            self.ready.push(entry);
        }
        let mut passed_over = VecDeque::new();
        let mut behind = HashSet::new();
        while self.under_way < self.concurrency
            && self.ready.len() < BATCH
            && let Some(entry) = self.waiting.pop_front()
        {
            let waits = entry.key.is_some_and(|key| {
                self.held.contains(&key)
                    || behind.contains(&key)
                    || (entry.works && self.joinable.contains(&key))
            });
            if waits {
                behind.extend(entry.key);
                passed_over.push_back(entry);
                continue;
            }
            self.under_way += 1;
            if entry.works {
                self.held.extend(entry.key);
                self.working.push_back((now + self.work, entry));
            } else {
                self.joinable.extend(entry.key);
                self.ready.push(entry);
            }
        }
        while let Some(entry) = passed_over.pop_back() {
            self.waiting.push_front(entry);
        }
    }

    /// When to look again, though nothing came in and no batch has ended.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let done = self.working.front().map(|(done, _)| *done);
        let beside = self.beside().filter(|_| !self.ready.is_empty());
        done.into_iter().chain(beside).min()
    }

    /// When a batch may be begun beside those under way though it is not full; none where none is under way.
    fn beside(&self) -> Option<Instant> {
        let others = u32::try_from(self.batches).ok()?.checked_sub(1)?;
        let patience = PATIENCE * 2_u32.pow(others.min(DOUBLINGS));
        self.begun.map(|begun| begun + patience)
    }

    /// What is to be handled now, of each key in the order in which it was polled; none while it is better to wait. Beside other batches
    /// only a full one is begun: while those are on their way, more comes together, and a batch of one costs as much as one of
    /// many. But if they take long, what is there does not wait for them.
    pub(super) fn next_batch(&mut self, now: Instant) -> Option<(Keys, Vec<T>)> {
        let full = self.ready.len() == BATCH;
        let waits = self.beside().is_some_and(|at| now < at) && !full;
        if self.ready.is_empty() || waits {
            return None;
        }
        self.begun = Some(now);
        let entries = std::mem::take(&mut self.ready);
        self.joinable.clear();
        let keys = Keys {
            held: entries.iter().filter_map(|entry| entry.key).collect(),
            entries: entries.len(),
        };
        self.held.extend(keys.held.iter().copied());
        self.batches += 1;
        let items = entries.into_iter().map(|entry| entry.item).collect();
        Some((keys, items))
    }

    /// These were handled, so that others with their keys may be begun.
    pub(super) fn end(&mut self, keys: &Keys) {
        for key in &keys.held {
            self.held.remove(key);
        }
        self.under_way -= keys.entries;
        self.batches -= 1;
    }
}
