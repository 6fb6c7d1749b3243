//! Records as they are handed out: slices of the buffer that the fetch brought.

use std::slice;
use std::sync::Arc;

use kafka_wire::batch::{RecordBatch, RecordView, Records as BatchRecords};

/// Consecutive records of one partition, lent out of the fetch's buffer: nothing is allocated for a record.
///
/// The buffer lives as long as this does, so copy what is to be kept for long.
#[derive(Debug, Clone)]
pub struct Records {
    topic: Arc<str>,
    partition: i32,
    /// Batches whose records were all read once, so that reading them again cannot fail.
    batches: Vec<RecordBatch>,
    len: usize,
    next_offset: i64,
}

impl Records {
    pub(crate) fn new(
        topic: Arc<str>,
        partition: i32,
        batches: Vec<RecordBatch>,
        len: usize,
        next_offset: i64,
    ) -> Self {
        Self {
            topic,
            partition,
            batches,
            len,
            next_offset,
        }
    }

    /// The topic.
    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// The partition.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// How many records.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never for what a poll returned.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What to commit once all of these records are dealt with: the offset to read on from. It may be more than one past
    /// the last record where compaction or transactions left gaps.
    pub fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// The records, in the order of their offsets.
    pub fn iter(&self) -> RecordsIter<'_> {
        RecordsIter {
            batches: self.batches.iter(),
            current: None,
            remaining: self.len,
        }
    }
}

impl<'a> IntoIterator for &'a Records {
    type Item = RecordView<'a>;
    type IntoIter = RecordsIter<'a>;

    fn into_iter(self) -> RecordsIter<'a> {
        self.iter()
    }
}

/// Iterator over [`Records`].
#[derive(Debug, Clone)]
pub struct RecordsIter<'a> {
    batches: slice::Iter<'a, RecordBatch>,
    current: Option<BatchRecords<'a>>,
    remaining: usize,
}

impl<'a> Iterator for RecordsIter<'a> {
    type Item = RecordView<'a>;

    #[inline]
    fn next(&mut self) -> Option<RecordView<'a>> {
        loop {
            if let Some(Ok(record)) = self.current.as_mut().and_then(Iterator::next) {
                self.remaining = self.remaining.saturating_sub(1);
                return Some(record);
            }
            self.current = Some(self.batches.next()?.records());
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining, Some(self.remaining))
    }
}

impl ExactSizeIterator for RecordsIter<'_> {}
