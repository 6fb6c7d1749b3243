//! A partition: its log, who leads it, and who waits for it.

use std::sync::Arc;

use bytes::Bytes;
use kafka_wire::ResponseError;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::check::CheckedBatch;
use super::store::{Appended, Log, Retention};
use super::timestamps::{FoundRecord, TimestampSearch, record_by_time};

/// Who leads a partition, and the epoch of that leadership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeaderAndEpoch {
    /// `None` while no node that has the partition is up.
    pub(crate) leader: Option<i32>,
    pub(crate) epoch: i32,
}

/// The node that is read from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reader {
    /// It must be the leader.
    Leader(i32),
    /// It must have the partition (KIP-392).
    Replica(i32),
}

/// What a fetch gets of a partition.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) batches: Vec<Bytes>,
    pub(crate) start_offset: i64,
    pub(crate) end_offset: i64,
}

/// A partition as an operator sees it.
#[derive(Debug, Clone)]
pub(crate) struct PartitionView {
    pub(crate) leadership: LeaderAndEpoch,
    pub(crate) replicas: Vec<i32>,
    pub(crate) start_offset: i64,
    pub(crate) end_offset: i64,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) appends: u64,
}

#[derive(Debug)]
pub(crate) struct Partition {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    leadership: LeaderAndEpoch,
    replicas: Vec<i32>,
    log: Log,
    deleted: bool,
    watchers: Vec<(u64, Arc<Notify>)>,
    next_watcher: u64,
}

impl State {
    /// Checks that the partition is asked for at its leader, and in its leader's epoch where the client names one (KIP-320).
    fn check_leader(&self, node: i32, epoch: i32) -> Result<(), ResponseError> {
        self.check_epoch(epoch)?;
        if self.leadership.leader != Some(node) {
            return Err(ResponseError::NotLeaderOrFollower);
        }
        Ok(())
    }

    /// As [`check_leader`](Self::check_leader), for a fetch.
    fn check_reader(&self, reader: Reader, epoch: i32) -> Result<(), ResponseError> {
        match reader {
            Reader::Replica(node) if self.replicas.contains(&node) => self.check_epoch(epoch),
            Reader::Leader(node) | Reader::Replica(node) => self.check_leader(node, epoch),
        }
    }

    fn check_epoch(&self, epoch: i32) -> Result<(), ResponseError> {
        if self.deleted {
            return Err(ResponseError::UnknownTopicOrPartition);
        }
        if epoch >= 0 && epoch < self.leadership.epoch {
            return Err(ResponseError::FencedLeaderEpoch);
        }
        if epoch > self.leadership.epoch {
            return Err(ResponseError::UnknownLeaderEpoch);
        }
        Ok(())
    }

    fn lead(&mut self, leader: Option<i32>) {
        self.leadership.leader = leader;
        self.leadership.epoch += 1;
        self.log.begin_epoch(self.leadership.epoch);
        if let Some(leader) = leader
            && !self.replicas.contains(&leader)
        {
            self.replicas.push(leader);
        }
        self.wake();
    }

    fn wake(&self) {
        for (_, watcher) in &self.watchers {
            watcher.notify_one();
        }
    }
}

/// No leader epoch named by the client.
const ANY_EPOCH: i32 = -1;

impl Partition {
    pub(crate) fn new(leader: Option<i32>, replicas: Vec<i32>) -> Self {
        Self {
            state: Mutex::new(State {
                leadership: LeaderAndEpoch { leader, epoch: 0 },
                replicas,
                log: Log::new(0),
                deleted: false,
                watchers: Vec::new(),
                next_watcher: 0,
            }),
        }
    }

    /// Appends a batch as `node`, which must be the leader, and wakes the fetches that wait for it. Returns the offset it
    /// got and the log's start.
    pub(crate) fn append(
        &self,
        node: i32,
        batch: CheckedBatch,
        retention: Retention,
    ) -> Result<(Appended, i64), ResponseError> {
        let mut state = self.state.lock();
        state.check_leader(node, ANY_EPOCH)?;
        let epoch = state.leadership.epoch;
        let appended = state.log.append(batch, epoch, retention)?;
        if !appended.duplicate {
            state.wake();
        }
        Ok((appended, state.log.start_offset()))
    }

    /// Reads whole batches from `offset` on: see [`Log::read`].
    pub(crate) fn read(
        &self,
        reader: Reader,
        epoch: i32,
        offset: i64,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Read, (ResponseError, Read)> {
        let state = self.state.lock();
        let mut read = Read {
            batches: Vec::new(),
            start_offset: state.log.start_offset(),
            end_offset: state.log.end_offset(),
        };
        if let Err(e) = state.check_reader(reader, epoch) {
            return Err((
                e,
                Read {
                    start_offset: -1,
                    end_offset: -1,
                    ..read
                },
            ));
        }
        match state.log.read(offset, max_bytes, at_least_one) {
            Ok(batches) => {
                read.batches = batches;
                Ok(read)
            }
            Err(e) => Err((e, read)),
        }
    }

    /// Has `watcher` notified of every append and of every change of the leader, until it is unwatched.
    pub(crate) fn watch(&self, watcher: &Arc<Notify>) -> u64 {
        let mut state = self.state.lock();
        let id = state.next_watcher;
        state.next_watcher += 1;
        state.watchers.push((id, Arc::clone(watcher)));
        id
    }

    pub(crate) fn unwatch(&self, id: u64) {
        self.state.lock().watchers.retain(|(other, _)| *other != id);
    }

    /// The log's start, its end, and the leader's epoch.
    pub(crate) fn offsets(&self, node: i32, epoch: i32) -> Result<(i64, i64, i32), ResponseError> {
        let state = self.state.lock();
        state.check_leader(node, epoch)?;
        Ok((
            state.log.start_offset(),
            state.log.end_offset(),
            state.leadership.epoch,
        ))
    }

    /// Finds a record by its time; with it comes the epoch of the leader that appended it.
    pub(crate) fn find_by_time(
        &self,
        node: i32,
        epoch: i32,
        search: TimestampSearch,
    ) -> Result<Option<(FoundRecord, i32)>, ResponseError> {
        let (found, start_offset) = {
            let state = self.state.lock();
            state.check_leader(node, epoch)?;
            (state.log.batch_by_time(search), state.log.start_offset())
        };
        let Some(record) =
            found.and_then(|(batch, time)| record_by_time(batch, time, start_offset))
        else {
            return Ok(None);
        };
        let epoch = self.state.lock().log.epochs().at(record.offset);
        Ok(Some((record, epoch.unwrap_or(-1))))
    }

    /// Where `requested`, an epoch of this partition's leaders, ends.
    pub(crate) fn end_of_epoch(
        &self,
        node: i32,
        epoch: i32,
        requested: i32,
    ) -> Result<(i32, i64), ResponseError> {
        let state = self.state.lock();
        state.check_leader(node, epoch)?;
        let log = &state.log;
        Ok(log
            .epochs()
            .end_of(requested, state.leadership.epoch, log.end_offset()))
    }

    /// Deletes the records before `offset`, or all at −1, and returns the log's new start.
    pub(crate) fn delete_before(&self, node: i32, offset: i64) -> Result<i64, ResponseError> {
        let mut state = self.state.lock();
        state.check_leader(node, ANY_EPOCH)?;
        let offset = match offset {
            -1 => state.log.end_offset(),
            negative if negative < 0 => return Err(ResponseError::OffsetOutOfRange),
            offset => offset,
        };
        state.log.delete_before(offset)?;
        Ok(state.log.start_offset())
    }

    /// Applies a bound that was lowered.
    pub(crate) fn retain(&self, retention: Retention) {
        self.state.lock().log.retain(retention);
    }

    pub(crate) fn leadership(&self) -> LeaderAndEpoch {
        self.state.lock().leadership
    }

    /// Gives the partition another leader, in a new epoch, and wakes the fetches that wait at the old one.
    pub(crate) fn lead(&self, leader: Option<i32>) {
        let mut state = self.state.lock();
        if state.leadership.leader != leader {
            state.lead(leader);
        }
    }

    /// Gives the partition to a leader that lacks the batches which reach to `end` or past it, in a new epoch. Returns the
    /// log's new end.
    pub(crate) fn lead_uncleanly(&self, leader: i32, end: i64) -> i64 {
        let mut state = self.state.lock();
        let end = state.log.truncate_to(end);
        state.lead(Some(leader));
        end
    }

    /// Ends the partition with its topic.
    pub(crate) fn delete(&self) {
        let mut state = self.state.lock();
        state.deleted = true;
        state.leadership.leader = None;
        state.wake();
    }

    pub(crate) fn view(&self) -> PartitionView {
        let state = self.state.lock();
        PartitionView {
            leadership: state.leadership,
            replicas: state.replicas.clone(),
            start_offset: state.log.start_offset(),
            end_offset: state.log.end_offset(),
            records: state.log.record_count(),
            bytes: state.log.size_bytes(),
            appends: state.log.append_count(),
        }
    }

    /// All batches that are kept, oldest first.
    pub(crate) fn batches(&self) -> Vec<Bytes> {
        let state = self.state.lock();
        let start = state.log.start_offset();
        state
            .log
            .batches_from(start)
            .map(|batch| batch.bytes.clone())
            .collect()
    }
}
