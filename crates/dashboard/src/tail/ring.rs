//! What is kept of a partition's last records.

use std::collections::VecDeque;

use kafka_client::{RecordView, Records};

use super::LONGEST;
use crate::snapshot::{Tail, TailRecord};

/// Records that are kept: more than are told, since a reader is ahead of the look that says where the end is.
const KEPT: usize = 256;
/// Characters of a key that are told.
const KEY: usize = 8;
/// Bytes at the end of a key that are looked at for them.
const KEY_BYTES: usize = 32;
/// Characters of a type that are told.
const TYPE: usize = 64;
/// The header that says an event's type.
const CE_TYPE: &str = "ce_type";

#[derive(Debug)]
pub(super) struct Ring {
    /// From here on everything is known.
    from: i64,
    /// Up to here.
    next: i64,
    records: VecDeque<(i64, TailRecord)>,
}

impl Ring {
    pub(super) fn starting_at(offset: i64) -> Self {
        Self {
            from: offset,
            next: offset,
            records: VecDeque::new(),
        }
    }

    pub(super) fn push(&mut self, records: &Records) {
        for record in records {
            self.add(record.offset, told(record));
        }
        self.next = records.next_offset();
    }

    fn add(&mut self, offset: i64, record: TailRecord) {
        if offset < self.next {
            // The log was cut, and others have these offsets now.
            *self = Self::starting_at(offset);
        }
        self.records.push_back((offset, record));
        self.next = offset + 1;
        if self.records.len() > KEPT
            && let Some((dropped, _)) = self.records.pop_front()
        {
            self.from = dropped + 1;
        }
    }

    pub(super) fn window(&self, start: i64, end: i64) -> Tail {
        let next = self.next.min(end);
        let from = (next - LONGEST).max(self.from).max(start);
        if from >= next {
            return Tail {
                from: end,
                records: Vec::new(),
            };
        }
        let at = |offset: i64| {
            let found = self.records.binary_search_by_key(&offset, |(at, _)| *at);
            found
                .ok()
                .and_then(|at| self.records.get(at))
                .map(|(_, record)| record.clone())
        };
        Tail {
            from,
            records: (from..next).map(at).collect(),
        }
    }
}

fn told(record: RecordView<'_>) -> TailRecord {
    let kind = record
        .headers
        .filter(|header| header.key == CE_TYPE)
        .find_map(|header| header.value)
        .map(|value| String::from_utf8_lossy(value).chars().take(TYPE).collect());
    TailRecord(record.key.map(end_of), kind, record.timestamp)
}

/// The last characters of a key: ids that begin with the time differ there.
fn end_of(key: &[u8]) -> String {
    let end = String::from_utf8_lossy(&key[key.len().saturating_sub(KEY_BYTES)..]);
    let skipped = end.chars().count().saturating_sub(KEY);
    end.chars().skip(skipped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(from: i64, offsets: impl IntoIterator<Item = i64>) -> Ring {
        let mut ring = Ring::starting_at(from);
        for offset in offsets {
            ring.add(offset, TailRecord(None, None, offset));
        }
        ring
    }

    fn offsets(tail: &Tail) -> Vec<Option<i64>> {
        tail.records
            .iter()
            .map(|record| record.as_ref().map(|record| record.2))
            .collect()
    }

    #[test]
    fn the_last_records_up_to_the_end_are_told() {
        let tail = ring(0, 0..500).window(0, 400);
        assert_eq!(tail.from, 400 - LONGEST);
        assert_eq!(
            offsets(&tail),
            (400 - LONGEST..400).map(Some).collect::<Vec<_>>()
        );
        assert_eq!(ring(0, 0..500).window(390, 400).from, 390);
    }

    #[test]
    fn what_is_missing_in_between_is_told_as_none_and_what_is_not_read_is_not_told() {
        let tail = ring(2, [2, 5]).window(0, 9);
        assert_eq!(tail.from, 2);
        assert_eq!(offsets(&tail), [Some(2), None, None, Some(5)]);
        assert!(ring(4, []).window(0, 9).records.is_empty());
    }

    #[test]
    fn offsets_that_come_again_are_another_log() {
        let tail = ring(0, [7, 8, 9, 3]).window(0, 4);
        assert_eq!((tail.from, offsets(&tail)), (3, vec![Some(3)]));
    }

    #[test]
    fn of_a_key_the_end_is_told() {
        assert_eq!(end_of(b"019ab3c4-0000-7000-8000-0123456789ab"), "456789ab");
        assert_eq!(end_of(b"short"), "short");
        assert_eq!(
            end_of("größe-größen".as_bytes()).chars().count(),
            KEY,
            "characters, not bytes"
        );
        assert_eq!(end_of(&[0xff; 40]).chars().count(), KEY);
    }
}
