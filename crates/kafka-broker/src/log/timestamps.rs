//! Finding offsets by time, for ListOffsets (KIP-79, KIP-734).

use bytes::Bytes;
use kafka_wire::batch::batches;

use super::store::Log;

/// The batches come from our own log, where larger ones were refused; the bound is for the decoder's sake.
const MAX_UNPACKED_BYTES: usize = 64 * 1024 * 1024;

/// A record found by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FoundRecord {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
}

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimestampSearch {
    /// The first record that is not older.
    AtOrAfter(i64),
    /// The first record of the youngest.
    Max,
}

impl Log {
    /// The batch that holds the record, and the time to look for in it. Unpacking it is left to the caller, who need not
    /// hold the partition's lock for it.
    pub(super) fn batch_by_time(&self, search: TimestampSearch) -> Option<(Bytes, i64)> {
        let mut kept = self.batches_from(self.start_offset());
        match search {
            TimestampSearch::AtOrAfter(timestamp) => kept
                .find(|batch| batch.max_timestamp >= timestamp)
                .map(|batch| (batch.bytes.clone(), timestamp)),
            // Of several equal ones the first: `max_by_key` would give the last.
            TimestampSearch::Max => kept
                .reduce(|best, next| {
                    if next.max_timestamp > best.max_timestamp {
                        next
                    } else {
                        best
                    }
                })
                .map(|batch| (batch.bytes.clone(), batch.max_timestamp)),
        }
    }
}

/// The first record of `batch` from `start_offset` on that is not older than `timestamp`.
pub(super) fn record_by_time(
    batch: Bytes,
    timestamp: i64,
    start_offset: i64,
) -> Option<FoundRecord> {
    let opened = batches(batch).next()?.ok()?.open(MAX_UNPACKED_BYTES).ok()?;
    opened
        .records()
        .map_while(Result::ok)
        .find(|record| record.offset >= start_offset && record.timestamp >= timestamp)
        .map(|record| FoundRecord {
            offset: record.offset,
            timestamp: record.timestamp,
        })
}
