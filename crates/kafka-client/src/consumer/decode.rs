//! From the bytes of a fetch to records: checks, decompresses, and leaves out what no user shall see. Pure.

use std::collections::HashSet;

use bytes::Bytes;
use kafka_wire::batch::{
    BatchError, BatchHeader, Batches, ControlType, RawBatch, RecordBatch, batches,
};

/// What one fetch brought for one partition.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Whole batches.
    pub(crate) records: Bytes,
    /// The transactions that were aborted within, by producer and first offset; empty unless read_committed.
    pub(crate) aborted: Vec<(i64, i64)>,
    /// The offset to fetch next.
    pub(crate) next_offset: i64,
}

/// The end of the last whole batch of a fetch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// The offset behind it.
    pub(crate) next_offset: i64,
    /// The bytes up to there.
    pub(crate) length: usize,
    /// The leader epochs of the batches, each with the offset that it begins at.
    pub(crate) epochs: Vec<(i64, i32)>,
}

/// Finds the end by the batches' headers alone; none if there is no whole batch.
pub(crate) fn end_of(records: &[u8]) -> Option<End> {
    let mut rest = records;
    let mut next_offset = None;
    let mut epochs: Vec<(i64, i32)> = Vec::new();
    while let Ok(header) = BatchHeader::read(rest) {
        match rest.get(header.total_len()..) {
            Some(after) => rest = after,
            None => break,
        }
        next_offset = Some(header.last_offset() + 1);
        let epoch = header.partition_leader_epoch;
        if epochs.last().is_none_or(|(_, last)| *last != epoch) {
            epochs.push((header.base_offset, epoch));
        }
    }
    Some(End {
        next_offset: next_offset?,
        length: records.len() - rest.len(),
        epochs,
    })
}

/// Reads a chunk batch by batch.
#[derive(Debug)]
pub(crate) struct Decoder {
    batches: Batches,
    open: Option<RecordBatch>,
    aborted: Aborted,
    next_offset: i64,
    limit: usize,
    finished: bool,
}

/// What [`Decoder::take`] took.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) records: usize,
}

impl Decoder {
    /// A batch that takes more than `limit` bytes decompressed is an error.
    pub(crate) fn new(chunk: Chunk, limit: usize) -> Self {
        Self {
            batches: batches(chunk.records),
            open: None,
            aborted: Aborted::new(chunk.aborted),
            next_offset: chunk.next_offset,
            limit,
            finished: false,
        }
    }

    /// Whether all was taken.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Appends records from `position` on until `taken` has `max`, or the chunk ends, and moves the position behind what
    /// was taken or passed over.
    ///
    /// On an error `position` is where it happened, and what was taken before is good.
    pub(crate) fn take(
        &mut self,
        position: &mut i64,
        max: usize,
        taken: &mut Taken,
    ) -> Result<(), BatchError> {
        loop {
            if let Some(batch) = &mut self.open {
                let room = u32::try_from(max - taken.records).unwrap_or(u32::MAX);
                if batch.record_count() > 0 {
                    if room == 0 {
                        return Ok(());
                    }
                    let first = batch.split_to(room)?;
                    taken.records += first.record_count() as usize;
                    if let Some(next) = batch.records().next() {
                        *position = next?.offset;
                        taken.batches.push(first);
                        return Ok(());
                    }
                    taken.batches.push(first);
                }
                // The header's last offset survives compaction, so that a gap at the batch's end is passed over.
                *position = (*position).max(batch.header().last_offset() + 1);
                self.open = None;
            }
            match self.batches.next() {
                None => {
                    *position = (*position).max(self.next_offset);
                    self.finished = true;
                    return Ok(());
                }
                Some(raw) => {
                    let raw = raw?;
                    if raw.header().last_offset() >= *position {
                        self.open(raw, position)?;
                    }
                }
            }
        }
    }

    /// Opens a batch, leaving out records before the position; a batch that users do not see is passed over.
    fn open(&mut self, raw: RawBatch, position: &mut i64) -> Result<(), BatchError> {
        let after = raw.header().last_offset() + 1;
        self.aborted.advance(raw.header().last_offset());
        if !raw.header().is_control() && self.aborted.covers(raw.header()) {
            *position = after;
            return Ok(());
        }
        let mut batch = raw.open(self.limit)?;
        if let Some(control) = batch.control_type()? {
            if control == ControlType::Abort {
                self.aborted.ended(batch.header().producer_id);
            }
            *position = after;
            return Ok(());
        }
        // Every record is read once here, so that whoever iterates over them later meets no error.
        let mut before = 0;
        for record in batch.records() {
            if record?.offset < *position {
                before += 1;
            }
        }
        batch.split_to(before)?;
        self.open = Some(batch);
        Ok(())
    }
}

/// The aborted transactions of a fetch (KIP-98): the records of a producer are left out from a transaction's first offset
/// until its abort marker.
#[derive(Debug)]
struct Aborted {
    /// By first offset, the lowest last.
    ahead: Vec<(i64, i64)>,
    open: HashSet<i64>,
}

impl Aborted {
    fn new(mut transactions: Vec<(i64, i64)>) -> Self {
        transactions.sort_by_key(|(_, first_offset)| std::cmp::Reverse(*first_offset));
        Self {
            ahead: transactions,
            open: HashSet::new(),
        }
    }

    fn advance(&mut self, last_offset: i64) {
        while let Some((producer, _)) = self.ahead.pop_if(|(_, first)| *first <= last_offset) {
            self.open.insert(producer);
        }
    }

    fn covers(&self, header: &BatchHeader) -> bool {
        header.is_transactional() && self.open.contains(&header.producer_id)
    }

    fn ended(&mut self, producer: i64) {
        self.open.remove(&producer);
    }
}

#[cfg(test)]
mod tests;
