//! The handle on one assigned partition.

mod step;

use std::sync::Arc;

use kafka_wire::batch::BatchError;
use tokio::time::Instant;

use self::step::Step;
use super::decode::Decoder;
use super::error::ConsumerError;
use super::fetcher::Fetcher;
use super::manual::StartAt;
use super::offsets::{EARLIEST, LATEST};
use super::slot::{Slot, Start};
use crate::group::{Commits, PendingCommit};
use crate::records::Records;
use crate::topic_partition::TopicPartition;

/// A partition, owned: whoever has this handle is the only one in the group who reads the partition.
///
/// It is taken away in one of two ways. *Revoked*: [`poll`](Self::poll) returns `Ok(None)`; finish what is under way,
/// commit, drop the handle; the group waits for the drop, for the drain budget at most. *Lost*: everything fails with
/// [`ConsumerError::Lost`]; another member may own the partition already, so stop and drop the handle.
///
/// So a handle is what a rebalance listener is in Kafka's own client, partition by partition:
///
/// | `ConsumerRebalanceListener` | here |
/// |---|---|
/// | `onPartitionsAssigned` | [`GroupEvent::Assigned`](crate::GroupEvent::Assigned) brings the handle. What is done before its first poll is done before the first record. |
/// | `onPartitionsRevoked` | [`revoked`](Self::revoked) returns, polls return `Ok(None)`, commits still succeed. The partition moves when the handle is dropped, and not before, unless the drain budget runs out. |
/// | `onPartitionsLost` | [`revoked`](Self::revoked) returns, polls and commits fail with [`ConsumerError::Lost`] and the [`LostReason`](crate::LostReason). Nothing is waited for. |
///
/// Under a cooperative protocol (KIP-429) the handles of partitions that stay are not touched by a rebalance: position, what
/// is in memory, and commits go on.
///
/// Dropping a handle that was not revoked leaves the partition unread until the group rebalances.
#[derive(Debug)]
pub struct PartitionConsumer {
    slot: Arc<Slot>,
    fetcher: Fetcher,
    commits: Option<Arc<Commits>>,
    decoder: Option<Box<Decoder>>,
    /// The count of seeks that the decoder belongs to.
    seeks: u64,
    /// What the next poll fails with: it happened behind records that were good.
    failed: Option<BatchError>,
}

/// Notes when a poll ends, by whichever way.
struct Polled(Arc<Slot>);

impl Drop for Polled {
    fn drop(&mut self) {
        self.0.lock().polled_at = Some(Instant::now());
    }
}

impl PartitionConsumer {
    pub(crate) fn new(slot: Arc<Slot>, fetcher: Fetcher, commits: Option<Arc<Commits>>) -> Self {
        Self {
            slot,
            fetcher,
            commits,
            decoder: None,
            seeks: 0,
            failed: None,
        }
    }

    /// The topic.
    pub fn topic(&self) -> &Arc<str> {
        &self.slot.id.topic
    }

    /// The partition's number.
    pub fn partition(&self) -> i32 {
        self.slot.id.partition
    }

    /// Topic and partition.
    pub fn topic_partition(&self) -> &TopicPartition {
        &self.slot.id
    }

    /// The offset that poll hands out next; none until the committed offset, or the log's end, is known.
    pub fn position(&self) -> Option<i64> {
        self.slot.lock().position
    }

    /// The offset committed last, by this handle or by whoever had the partition before; none if there is none.
    pub fn committed(&self) -> Option<i64> {
        self.slot.lock().committed
    }

    /// One past the last offset that consumers may see, as of the last fetch; none before it.
    pub fn high_watermark(&self) -> Option<i64> {
        self.slot.lock().high_watermark
    }

    /// The replica that the partition is read from, if that is one in this client's rack which the leader named; none while it is
    /// read from the leader (KIP-392).
    pub fn preferred_read_replica(&self) -> Option<i32> {
        self.slot.lock().preferred.map(|(node, _)| node)
    }

    /// How many offsets there are between the position and the high watermark, as of the last fetch; none before it.
    pub fn lag(&self) -> Option<i64> {
        self.slot.lock().lag()
    }

    /// Waits for records and returns up to `max_records` (at least 1) of those in memory, or `Ok(None)` once the
    /// partition is revoked or the group closes: then finish, commit and drop the handle.
    ///
    /// Cancel safe: no record is lost when the future is dropped.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::Lost`], for good. [`ConsumerError::NoOffset`] and [`ConsumerError::Truncated`] until somebody seeks.
    /// [`ConsumerError::Fetch`], [`ConsumerError::Undecodable`] and [`ConsumerError::Client`] (of a place to start from that
    /// cannot be learned, or a broker that cannot be understood) until what they tell of is gone: the brokers are asked again when the partition is polled again,
    /// after a wait of up to a second.
    pub async fn poll(&mut self, max_records: usize) -> Result<Option<Records>, ConsumerError> {
        let _polled = Polled(Arc::clone(&self.slot));
        loop {
            match self.step(max_records)? {
                Step::Records(records) => return Ok(Some(records)),
                Step::Ended => return Ok(None),
                Step::Nothing => self.slot.readable.notified().await,
            }
        }
    }

    /// As [`poll`](Self::poll), without waiting: `Ok(None)` when nothing is in memory, or when the partition is revoked,
    /// which [`is_revoked`](Self::is_revoked) tells.
    ///
    /// # Errors
    ///
    /// As [`poll`](Self::poll).
    pub fn try_poll(&mut self, max_records: usize) -> Result<Option<Records>, ConsumerError> {
        let _polled = Polled(Arc::clone(&self.slot));
        match self.step(max_records)? {
            Step::Records(records) => Ok(Some(records)),
            Step::Ended | Step::Nothing => Ok(None),
        }
    }

    /// Commits `next_offset`, the offset to read on from, and waits until Kafka has it. Commits of several partitions
    /// that wait at the same time go out in one request.
    ///
    /// Returns within [`GroupConfig::commit_timeout`](crate::GroupConfig::commit_timeout). If that is how it ends, the outcome
    /// is unknown: the commit may have been carried out, or still be under way and be so later. Work that is done over is
    /// the worst that comes of it, since what Kafka has is never ahead of what was asked for.
    ///
    /// Cancel safe in that the commit goes out all the same, once this was polled.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::Lost`], [`ConsumerError::CommitBehind`], [`ConsumerError::InvalidOffset`],
    /// [`ConsumerError::Commit`], [`ConsumerError::CommitTimeout`], [`ConsumerError::CommitSuperseded`], and
    /// [`ConsumerError::NotAssigned`] without a group.
    pub async fn commit(&self, next_offset: i64) -> Result<(), ConsumerError> {
        self.commit_async(next_offset).await
    }

    /// As [`commit`](Self::commit), without waiting: the commit is queued before this returns, and reading goes on
    /// meanwhile. What it returns can be awaited, at any time, or dropped: the commit goes out all the same, and a failure
    /// is then logged.
    ///
    /// A commit says that everything before its offset is done. So of several that wait only the last goes out, and answers
    /// those before it as well.
    pub fn commit_async(&self, next_offset: i64) -> PendingCommit {
        match &self.commits {
            Some(commits) => commits.commit(&self.slot, next_offset),
            None => PendingCommit::failed(ConsumerError::NotAssigned {
                partition: self.slot.id.clone(),
            }),
        }
    }

    /// Reads on from `offset`, whatever was read before. A commit may then go back as well. An offset outside of the log
    /// is treated by the reset policy.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::InvalidOffset`] when it is negative, [`ConsumerError::Lost`].
    pub fn seek(&mut self, offset: i64) -> Result<(), ConsumerError> {
        self.slot.check_not_lost()?;
        if offset < 0 {
            return Err(ConsumerError::InvalidOffset {
                partition: self.slot.id.clone(),
                offset,
            });
        }
        self.decoder = None;
        self.failed = None;
        let mut state = self.slot.lock();
        state.move_to(offset);
        state.forget_commits();
        state.wake_fetcher();
        Ok(())
    }

    /// As [`seek`](Self::seek), to a place that is looked for: the log's ends, or a time. Until it is found the
    /// [`position`](Self::position) is none; polls wait for it.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::InvalidOffset`] when the offset or the timestamp is negative, [`ConsumerError::Lost`].
    pub fn seek_to(&mut self, place: StartAt) -> Result<(), ConsumerError> {
        let start = match place {
            StartAt::Offset(offset) => return self.seek(offset),
            StartAt::Timestamp(time) if time < 0 => return self.seek(time),
            StartAt::Timestamp(time) => Start::AtTime(time),
            StartAt::Earliest => Start::AtTime(EARLIEST),
            StartAt::Latest => Start::AtTime(LATEST),
            StartAt::Reset => Start::NeedsReset(None),
        };
        self.slot.check_not_lost()?;
        self.decoder = None;
        self.failed = None;
        let mut state = self.slot.lock();
        state.look_for(start);
        state.forget_commits();
        drop(state);
        self.fetcher.wake();
        Ok(())
    }

    /// Stops fetching and handing out records, and keeps those in memory.
    pub fn pause(&mut self) {
        self.slot.lock().paused = true;
    }

    /// Goes on after [`pause`](Self::pause), with the records in memory first.
    pub fn resume(&mut self) {
        self.slot.lock().resume();
        self.slot.readable.notify_one();
    }

    /// Whether the partition is paused.
    pub fn is_paused(&self) -> bool {
        self.slot.lock().paused
    }

    /// Whether the partition is revoked or lost: time to finish.
    pub fn is_revoked(&self) -> bool {
        self.slot.ending.is_cancelled()
    }

    /// Returns once the partition is revoked or lost; for a `select!` around long work.
    pub async fn revoked(&self) {
        self.slot.ending.cancelled().await;
    }
}

impl Drop for PartitionConsumer {
    fn drop(&mut self) {
        self.fetcher.remove(&self.slot);
        if self.slot.lock().is_held() {
            tracing::debug!(partition = %self.slot.id, "a partition's handle was dropped though it was not revoked");
        }
        // It is not ours to be behind with any more.
        self.slot.meters.lag(Some(0));
        self.slot.released.cancel();
    }
}
