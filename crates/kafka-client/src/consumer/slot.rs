//! What is shared about one assigned partition: by its handle, the task that fetches it, and the group.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::decode::Chunk;
use super::error::{ConsumerError, LostReason};
use crate::backoff::Backoff;
use crate::metric::PartitionMeters;
use crate::topic_partition::TopicPartition;

/// The most changes of the leader that are remembered of what was fetched and not committed.
const MOST_EPOCHS: usize = 32;

/// Who may do what with the partition. It only ever moves down this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ownership {
    /// Read and commit.
    Held,
    /// Finish, commit, drop.
    Revoked,
    /// Drop.
    Lost(LostReason),
}

/// How far the partition is on its way to a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// The committed offset is being asked for.
    AwaitsCommitted,
    /// The log's ends are to be asked for; the offset is the one that is not in the log, if there is one.
    NeedsReset(Option<i64>),
    /// The offset of this time is to be asked for: milliseconds since 1970, or one of Kafka's names for the log's ends.
    AtTime(i64),
    /// The leader changed: whether it has what was read is to be asked (KIP-320).
    Unvalidated,
    /// It has a position.
    Ready,
}

/// One assigned partition.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) id: TopicPartition,
    state: Mutex<SlotState>,
    pub(crate) meters: PartitionMeters,
    /// Wakes the handle: records, an error, or the end.
    pub(crate) readable: Notify,
    /// Cancelled when the partition is revoked or lost.
    pub(crate) ending: CancellationToken,
    /// Cancelled when the partition is lost.
    pub(crate) lost: CancellationToken,
    /// Cancelled when the handle is dropped.
    pub(crate) released: CancellationToken,
}

#[derive(Debug)]
pub(crate) struct SlotState {
    pub(crate) ownership: Ownership,
    pub(crate) start: Start,
    /// The offset that poll hands out next.
    pub(crate) position: Option<i64>,
    /// The offset to fetch next, ahead of the position by what is in memory.
    pub(crate) fetch_offset: i64,
    /// Counts seeks, so that answers to fetches from before are told.
    pub(crate) seeks: u64,
    /// Counts fetches.
    pub(crate) fetches: u64,
    /// The fetch under way; an answer to any other is dropped.
    pub(crate) in_flight: Option<u64>,
    /// The count of seeks for which an offset, or whether it stands, is being asked for.
    pub(crate) resetting: Option<u64>,
    pub(crate) buffer: VecDeque<Chunk>,
    pub(crate) buffered_bytes: usize,
    pub(crate) paused: bool,
    /// When the last poll returned; none while the holder waits in one.
    pub(crate) polled_at: Option<Instant>,
    /// What the next poll fails with.
    pub(crate) failure: Option<ConsumerError>,
    /// No fetch before this, after an error.
    pub(crate) not_before: Option<Instant>,
    pub(crate) backoff: Backoff,
    pub(crate) high_watermark: Option<i64>,
    pub(crate) log_start: Option<i64>,
    pub(crate) committed: Option<i64>,
    /// The question for the committed offset that is under way; an answer to any other is dropped.
    pub(crate) committed_asked: Option<u64>,
    /// Wakes whoever asks for committed offsets.
    pub(crate) committed_wanted: Option<Arc<Notify>>,
    /// Counts how often the next commit was allowed to go back, so that answers to commits from before are told.
    pub(crate) commit_era: u64,
    /// The highest offset that was committed in this era.
    pub(crate) acknowledged: Option<i64>,
    /// The leader epochs of what was fetched, each with the offset it begins at (KIP-320); commits carry them.
    epochs: VecDeque<(i64, i32)>,
    /// The leader's epoch in which the leader was last known to have all that was fetched, −1 where that is not known.
    validated: i32,
    /// A replica near by that the leader named, and how long to believe it (KIP-392).
    pub(crate) preferred: Option<(i32, Instant)>,
    /// Such a replica failed: until then the leader is not to name another.
    pub(crate) leader_only: Option<Instant>,
    /// Wakes the task that fetches this partition.
    pub(crate) fetcher: Option<Arc<Notify>>,
}

impl Slot {
    /// A partition that nobody in particular reads.
    #[cfg(test)]
    pub(crate) fn new(id: TopicPartition, start: Start) -> Self {
        Self::of_client(id, start, &Arc::from("client"), None)
    }

    /// A partition that this client reads, as a member of `group` or without one.
    pub(crate) fn of_client(
        id: TopicPartition,
        start: Start,
        client_id: &Arc<str>,
        group: Option<&Arc<str>>,
    ) -> Self {
        Self {
            meters: PartitionMeters::new(&id, client_id, group),
            id,
            state: Mutex::new(SlotState {
                ownership: Ownership::Held,
                start,
                position: None,
                fetch_offset: 0,
                seeks: 0,
                fetches: 0,
                in_flight: None,
                resetting: None,
                buffer: VecDeque::new(),
                buffered_bytes: 0,
                paused: false,
                polled_at: None,
                failure: None,
                not_before: None,
                backoff: Backoff::default(),
                high_watermark: None,
                log_start: None,
                committed: None,
                committed_asked: None,
                committed_wanted: None,
                commit_era: 0,
                acknowledged: None,
                epochs: VecDeque::new(),
                validated: -1,
                preferred: None,
                leader_only: None,
                fetcher: None,
            }),
            readable: Notify::new(),
            ending: CancellationToken::new(),
            lost: CancellationToken::new(),
            released: CancellationToken::new(),
        }
    }

    pub(crate) fn lock(&self) -> parking_lot::MutexGuard<'_, SlotState> {
        self.state.lock()
    }

    /// Asks the holder to finish.
    pub(crate) fn revoke(&self) {
        self.end(Ownership::Revoked);
    }

    /// Takes the partition away.
    pub(crate) fn lose(&self, reason: LostReason) {
        self.end(Ownership::Lost(reason));
    }

    fn end(&self, ownership: Ownership) {
        {
            let mut state = self.lock();
            if matches!(state.ownership, Ownership::Lost(_)) {
                return;
            }
            state.ownership = ownership;
            state.clear_buffer();
        }
        self.ending.cancel();
        if matches!(ownership, Ownership::Lost(_)) {
            self.lost.cancel();
        }
        self.readable.notify_one();
    }

    /// What using the partition fails with, once it is lost.
    pub(crate) fn check_not_lost(&self) -> Result<(), ConsumerError> {
        match self.lock().ownership {
            Ownership::Lost(reason) => Err(self.lost_error(reason)),
            Ownership::Held | Ownership::Revoked => Ok(()),
        }
    }

    pub(crate) fn lost_error(&self, reason: LostReason) -> ConsumerError {
        ConsumerError::Lost {
            partition: self.id.clone(),
            reason,
        }
    }

    /// Gives the partition a position, in answer to a question that began at `seeks` seeks; a later seek wins. `epoch` is
    /// that of the record before it, −1 where unknown.
    pub(crate) fn start_at(&self, offset: i64, epoch: i32, seeks: u64) {
        let mut state = self.lock();
        if state.seeks == seeks && state.start != Start::Ready {
            state.move_to(offset);
            state.backoff.reset();
            state.note_epoch(offset - 1, epoch);
            // The place is another than that which was read up to, and so may the next commit be.
            state.forget_commits();
            state.wake_fetcher();
        }
    }

    /// Makes the next poll fail.
    pub(crate) fn fail(&self, error: ConsumerError) {
        let seeks = self.lock().seeks;
        self.fail_since(error, seeks);
    }

    /// Makes the next poll fail with the answer to a question that began at `seeks` seeks; a later seek wins.
    pub(crate) fn fail_since(&self, error: ConsumerError, seeks: u64) {
        {
            let mut state = self.lock();
            if state.seeks != seeks {
                return;
            }
            state.failure = Some(error);
            state.hold_back();
        }
        self.readable.notify_one();
    }
}

impl SlotState {
    pub(crate) fn is_held(&self) -> bool {
        self.ownership == Ownership::Held
    }

    /// Reads on from `offset`; what is in memory and on its way is forgotten.
    pub(crate) fn move_to(&mut self, offset: i64) {
        self.start = Start::Ready;
        self.position = Some(offset);
        self.fetch_offset = offset;
        self.seeks += 1;
        self.in_flight = None;
        self.clear_buffer();
        self.epochs.clear();
        self.validated = -1;
        self.failure = None;
        self.not_before = None;
    }

    /// Has a place to read on from looked for; what is in memory and on its way is forgotten.
    pub(crate) fn look_for(&mut self, start: Start) {
        self.move_to(0);
        self.position = None;
        self.start = start;
    }

    /// Has it asked whether the position stands, if the leader's epoch is one in which that is not known.
    pub(crate) fn doubt(&mut self, leader_epoch: i32) {
        if self.is_held() && self.is_in_doubt(leader_epoch) {
            self.start = Start::Unvalidated;
            // What is on its way is from before the change.
            self.in_flight = None;
        }
    }

    /// Whether the leader of this epoch may not have what was fetched.
    pub(crate) fn is_in_doubt(&self, leader_epoch: i32) -> bool {
        self.start == Start::Ready
            && leader_epoch > self.validated
            && self.epoch_before(self.fetch_offset) >= 0
    }

    /// The leader of this epoch has all that was fetched.
    pub(crate) fn validate(&mut self, leader_epoch: i32) {
        self.validated = leader_epoch;
        if self.start == Start::Unvalidated {
            self.start = Start::Ready;
            self.resetting = None;
            self.wake_fetcher();
        }
    }

    /// Forgets what is in memory: it is fetched again from the position, if that stands.
    pub(crate) fn rewind(&mut self) {
        if let Some(position) = self.position {
            self.fetch_offset = position;
            self.epochs.retain(|(from, _)| *from < position);
        }
        self.seeks += 1;
        self.in_flight = None;
        self.clear_buffer();
    }

    /// Takes in what a fetch brought.
    pub(crate) fn push(&mut self, chunk: Chunk) {
        self.buffered_bytes += chunk.records.len();
        self.fetch_offset = chunk.next_offset;
        self.buffer.push_back(chunk);
    }

    pub(crate) fn clear_buffer(&mut self) {
        self.buffer.clear();
        self.buffered_bytes = 0;
    }

    /// A fetch failed: if it was from a replica, the leader serves the partition for so long. Returns whether it was.
    pub(crate) fn leave_replica(&mut self, rest: Duration) -> bool {
        let was_one = self.preferred.take().is_some();
        if was_one {
            self.leader_only = Some(Instant::now() + rest);
        }
        was_one
    }

    /// Ends a pause. The time in it does not count as time without a poll.
    pub(crate) fn resume(&mut self) {
        if self.paused {
            self.paused = false;
            self.polled_at = self.polled_at.map(|_| Instant::now());
        }
        self.wake_fetcher();
    }

    /// Has the committed offset asked for (again), if it is still needed.
    pub(crate) fn ask_committed_anew(&mut self) {
        if self.start == Start::AwaitsCommitted
            && let Some(wanted) = &self.committed_wanted
        {
            self.committed_asked = None;
            wanted.notify_one();
        }
    }

    /// Keeps the partition from being fetched, or asked about, for a while, longer with every failure in a row.
    pub(crate) fn hold_back(&mut self) {
        self.not_before = Some(Instant::now() + self.backoff.next());
    }

    pub(crate) fn wake_fetcher(&self) {
        if let Some(fetcher) = &self.fetcher {
            fetcher.notify_one();
        }
    }

    /// Notes that records from `offset` on have this leader epoch; −1 says nothing.
    pub(crate) fn note_epoch(&mut self, offset: i64, epoch: i32) {
        if epoch < 0 || self.epochs.back().is_some_and(|(_, last)| *last == epoch) {
            return;
        }
        // Whoever never commits does not need what lies far back.
        if self.epochs.len() == MOST_EPOCHS {
            self.epochs.pop_front();
        }
        self.epochs.push_back((offset, epoch));
    }

    /// The leader epoch of the record before `offset`, −1 where unknown.
    pub(crate) fn epoch_before(&self, offset: i64) -> i32 {
        self.epochs
            .iter()
            .rev()
            .find(|(from, _)| *from < offset)
            .map_or(-1, |(_, epoch)| *epoch)
    }

    /// Notes that `offset`, which was asked for in this era, is committed.
    pub(crate) fn acknowledge_commit(&mut self, offset: i64, era: u64) {
        self.committed = Some(offset);
        if era != self.commit_era {
            return;
        }
        self.acknowledged = self.acknowledged.max(Some(offset));
        // What lies before can only be asked for after a seek, and then anew.
        while self.epochs.get(1).is_some_and(|(from, _)| *from < offset) {
            self.epochs.pop_front();
        }
    }

    /// Lets the next commit go back: the holder sought, or the offset was not in the log.
    pub(crate) fn forget_commits(&mut self) {
        self.commit_era += 1;
        self.acknowledged = None;
    }

    /// max(end − max(position, log start), 0); unknown before the first fetch.
    pub(crate) fn lag(&self) -> Option<i64> {
        let position = self.position?.max(self.log_start.unwrap_or(0));
        Some((self.high_watermark? - position).max(0))
    }
}
