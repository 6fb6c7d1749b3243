//! The batches of one partition, oldest first. Pure: no lock, no clock, no IO.

use std::collections::VecDeque;

use bytes::Bytes;
use kafka_wire::ResponseError;
use kafka_wire::batch::{BatchHeader, set_base_offset, set_leader_epoch};

use super::check::CheckedBatch;
use super::epochs::Epochs;
use super::producers::{Producers, Verdict};

/// How much a partition keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention {
    pub(crate) bytes: u64,
}

/// Where a batch ended up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) base_offset: i64,
    /// It was there already: an idempotent producer's retry.
    pub(crate) duplicate: bool,
}

/// A batch in the log, as it goes to consumers.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) base_offset: i64,
    pub(crate) last_offset: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) records: i32,
    pub(crate) bytes: Bytes,
}

#[derive(Debug)]
pub(crate) struct Log {
    batches: VecDeque<Stored>,
    start: i64,
    end: i64,
    bytes: u64,
    records: u64,
    appends: u64,
    epochs: Epochs,
    producers: Producers,
}

impl Log {
    pub(crate) fn new(leader_epoch: i32) -> Self {
        Self {
            batches: VecDeque::new(),
            start: 0,
            end: 0,
            bytes: 0,
            records: 0,
            appends: 0,
            epochs: Epochs::new(leader_epoch),
            producers: Producers::default(),
        }
    }

    /// The first offset that can be read.
    pub(crate) fn start_offset(&self) -> i64 {
        self.start
    }

    /// The offset that the next record gets; also the high watermark, since there is nothing to replicate.
    pub(crate) fn end_offset(&self) -> i64 {
        self.end
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        self.bytes
    }

    /// Records in the batches that are kept.
    pub(crate) fn record_count(&self) -> u64 {
        self.records
    }

    /// Batches that were ever appended.
    pub(crate) fn append_count(&self) -> u64 {
        self.appends
    }

    pub(crate) fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    /// A new leader appends from here on.
    pub(crate) fn begin_epoch(&mut self, epoch: i32) {
        self.epochs.begin(epoch, self.end);
    }

    /// Appends a batch, unless it is an idempotent producer's repetition or out of its order.
    pub(crate) fn append(
        &mut self,
        batch: CheckedBatch,
        leader_epoch: i32,
        retention: Retention,
    ) -> Result<Appended, ResponseError> {
        let CheckedBatch { header, mut bytes } = batch;
        if let Verdict::Duplicate { base_offset } = self.producers.check(&header)? {
            return Ok(Appended {
                base_offset,
                duplicate: true,
            });
        }
        let base_offset = self.end;
        let last_offset = base_offset
            .checked_add(i64::from(header.last_offset_delta))
            .ok_or(ResponseError::UnknownServerError)?;
        set_base_offset(&mut bytes, base_offset)
            .and_then(|()| set_leader_epoch(&mut bytes, leader_epoch))
            .map_err(|_| ResponseError::CorruptMessage)?;
        self.push(&header, base_offset, last_offset, bytes.freeze());
        self.retain(retention);
        Ok(Appended {
            base_offset,
            duplicate: false,
        })
    }

    fn push(&mut self, header: &BatchHeader, base_offset: i64, last_offset: i64, bytes: Bytes) {
        self.producers.appended(header, base_offset);
        self.bytes += bytes.len() as u64;
        self.records += u64::try_from(header.record_count).unwrap_or_default();
        self.appends += 1;
        self.end = last_offset + 1;
        self.batches.push_back(Stored {
            base_offset,
            last_offset,
            max_timestamp: header.max_timestamp,
            records: header.record_count,
            bytes,
        });
    }

    /// Drops the whole batches that reach to `end` or past it, as a new leader that never had them. Returns the log's new end.
    pub(crate) fn truncate_to(&mut self, end: i64) -> i64 {
        while self
            .batches
            .back()
            .is_some_and(|batch| batch.last_offset >= end)
        {
            if let Some(dropped) = self.batches.pop_back() {
                self.bytes -= dropped.bytes.len() as u64;
                self.records -= u64::try_from(dropped.records).unwrap_or_default();
                self.end = dropped.base_offset.max(self.start);
            }
        }
        self.epochs.truncate_back(self.end);
        // What the producers wrote since is forgotten with it.
        self.producers = Producers::default();
        for batch in &self.batches {
            if let Ok(header) = BatchHeader::read(&batch.bytes) {
                self.producers.appended(&header, batch.base_offset);
            }
        }
        self.end
    }

    /// Drops whole batches from the front until the rest is within bounds. The newest stays, whatever its size.
    pub(crate) fn retain(&mut self, retention: Retention) {
        while self.bytes > retention.bytes && self.batches.len() > 1 {
            self.drop_first();
        }
        if let Some(first) = self.batches.front() {
            self.start = self.start.max(first.base_offset);
        }
        self.epochs.truncate_front(self.start);
    }

    fn drop_first(&mut self) {
        if let Some(dropped) = self.batches.pop_front() {
            self.bytes -= dropped.bytes.len() as u64;
            self.records -= u64::try_from(dropped.records).unwrap_or_default();
        }
    }

    /// Moves the log's start, dropping the batches that lie before it (DeleteRecords, KIP-107).
    ///
    /// # Errors
    ///
    /// `OFFSET_OUT_OF_RANGE` past the log's end. An offset before the log's start leaves it where it is.
    pub(crate) fn delete_before(&mut self, offset: i64) -> Result<(), ResponseError> {
        if offset > self.end {
            return Err(ResponseError::OffsetOutOfRange);
        }
        self.start = self.start.max(offset);
        while self
            .batches
            .front()
            .is_some_and(|batch| batch.last_offset < self.start)
        {
            self.drop_first();
        }
        self.epochs.truncate_front(self.start);
        Ok(())
    }

    /// The whole batches from the one that holds `offset` on, up to `max_bytes`. With `at_least_one` the first comes even
    /// if it is larger, so that a consumer cannot get stuck (KIP-74).
    ///
    /// # Errors
    ///
    /// `OFFSET_OUT_OF_RANGE` before the log's start or after its end.
    pub(crate) fn read(
        &self,
        offset: i64,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Vec<Bytes>, ResponseError> {
        if offset < self.start || offset > self.end {
            return Err(ResponseError::OffsetOutOfRange);
        }
        let mut taken = Vec::new();
        let mut size = 0usize;
        for batch in self.batches_from(offset) {
            size = size.saturating_add(batch.bytes.len());
            if size > max_bytes && !(taken.is_empty() && at_least_one) {
                break;
            }
            taken.push(batch.bytes.clone());
            if size >= max_bytes {
                break;
            }
        }
        Ok(taken)
    }

    /// The batches from the one that holds `offset` on.
    pub(crate) fn batches_from(&self, offset: i64) -> impl Iterator<Item = &Stored> {
        let first = self
            .batches
            .partition_point(|batch| batch.last_offset < offset);
        self.batches.range(first..)
    }
}
