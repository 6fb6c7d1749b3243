//! The sequence numbers of idempotent producers, as Kafka's `ProducerStateManager` keeps them (KIP-98, KIP-360).

use std::collections::{HashMap, VecDeque};

use kafka_wire::ResponseError;
use kafka_wire::batch::BatchHeader;

/// A producer has at most five requests in flight, so that a retry can only repeat one of its last five batches.
const REMEMBERED_BATCHES: usize = 5;

/// Past this many producers a partition forgets the one that was silent longest. A producer that was forgotten may go on
/// with any sequence, as on a broker where its id expired.
const MAX_PRODUCERS: usize = 10_000;

/// What to do with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Append,
    /// The batch was appended before, here.
    Duplicate {
        base_offset: i64,
    },
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Producers {
    by_id: HashMap<i64, Producer>,
    appends: u64,
}

#[derive(Debug, Clone)]
struct Producer {
    epoch: i16,
    recent: VecDeque<Remembered>,
    /// Counts appends to the partition; the least is the producer that was silent longest.
    last_append: u64,
}

#[derive(Debug, Clone, Copy)]
struct Remembered {
    first_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
}

impl Producers {
    /// # Errors
    ///
    /// `INVALID_PRODUCER_EPOCH` for an epoch that was followed by a later one, `OUT_OF_ORDER_SEQUENCE_NUMBER` for a gap.
    pub(crate) fn check(&self, header: &BatchHeader) -> Result<Verdict, ResponseError> {
        if !header.is_idempotent() {
            return Ok(Verdict::Append);
        }
        let Some(producer) = self.by_id.get(&header.producer_id) else {
            // The producer's state may have gone with old batches; then any sequence may come next (KIP-360).
            return Ok(Verdict::Append);
        };
        if header.producer_epoch < producer.epoch {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        if header.producer_epoch > producer.epoch {
            return if header.base_sequence == 0 {
                Ok(Verdict::Append)
            } else {
                Err(ResponseError::OutOfOrderSequenceNumber)
            };
        }
        let last_sequence = last_sequence(header);
        let same = |b: &&Remembered| {
            b.first_sequence == header.base_sequence && b.last_sequence == last_sequence
        };
        if let Some(repeated) = producer.recent.iter().find(same) {
            return Ok(Verdict::Duplicate {
                base_offset: repeated.base_offset,
            });
        }
        let expected = producer
            .recent
            .back()
            .map_or(0, |last| advance(last.last_sequence, 1));
        if header.base_sequence == expected {
            Ok(Verdict::Append)
        } else {
            Err(ResponseError::OutOfOrderSequenceNumber)
        }
    }

    /// Notes a batch that was appended at `base_offset`.
    pub(crate) fn appended(&mut self, header: &BatchHeader, base_offset: i64) {
        if !header.is_idempotent() {
            return;
        }
        self.appends += 1;
        let last_append = self.appends;
        let producer = self
            .by_id
            .entry(header.producer_id)
            .or_insert_with(|| Producer {
                epoch: header.producer_epoch,
                recent: VecDeque::with_capacity(REMEMBERED_BATCHES),
                last_append,
            });
        if producer.epoch != header.producer_epoch {
            producer.epoch = header.producer_epoch;
            producer.recent.clear();
        }
        if producer.recent.len() == REMEMBERED_BATCHES {
            producer.recent.pop_front();
        }
        producer.recent.push_back(Remembered {
            first_sequence: header.base_sequence,
            last_sequence: last_sequence(header),
            base_offset,
        });
        producer.last_append = last_append;
        if self.by_id.len() > MAX_PRODUCERS {
            self.forget_the_most_silent();
        }
    }

    fn forget_the_most_silent(&mut self) {
        let oldest = self
            .by_id
            .iter()
            .min_by_key(|(_, producer)| producer.last_append)
            .map(|(id, _)| *id);
        if let Some(id) = oldest {
            self.by_id.remove(&id);
        }
    }
}

fn last_sequence(header: &BatchHeader) -> i32 {
    advance(header.base_sequence, header.last_offset_delta)
}

/// Sequences run from 0 to the largest int32 and start over.
fn advance(sequence: i32, by: i32) -> i32 {
    sequence
        .checked_add(by)
        .unwrap_or_else(|| by - (i32::MAX - sequence) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(producer_id: i64, epoch: i16, sequence: i32, records: i32) -> BatchHeader {
        BatchHeader {
            base_offset: 0,
            batch_length: 61,
            partition_leader_epoch: -1,
            magic: 2,
            crc: 0,
            attributes: 0,
            last_offset_delta: records - 1,
            base_timestamp: 0,
            max_timestamp: 0,
            producer_id,
            producer_epoch: epoch,
            base_sequence: sequence,
            record_count: records,
        }
    }

    #[test]
    fn the_last_five_batches_are_recognised_and_a_sixth_is_not() {
        let mut producers = Producers::default();
        for i in 0..6 {
            let batch = batch(7, 0, i * 10, 10);
            assert_eq!(producers.check(&batch), Ok(Verdict::Append));
            producers.appended(&batch, 100 + i64::from(i) * 10);
        }
        for i in 1..6 {
            assert_eq!(
                producers.check(&batch(7, 0, i * 10, 10)),
                Ok(Verdict::Duplicate {
                    base_offset: 100 + i64::from(i) * 10
                })
            );
        }
        let forgotten = producers.check(&batch(7, 0, 0, 10));
        assert_eq!(forgotten, Err(ResponseError::OutOfOrderSequenceNumber));
        // Other bounds than those of the batch that was appended are no repetition of it.
        let other_bounds = producers.check(&batch(7, 0, 50, 9));
        assert_eq!(other_bounds, Err(ResponseError::OutOfOrderSequenceNumber));
    }

    #[test]
    fn a_gap_is_out_of_order() {
        let mut producers = Producers::default();
        producers.appended(&batch(7, 0, 0, 3), 0);
        let gap = producers.check(&batch(7, 0, 4, 1));
        assert_eq!(gap, Err(ResponseError::OutOfOrderSequenceNumber));
        assert_eq!(producers.check(&batch(7, 0, 3, 1)), Ok(Verdict::Append));
    }

    #[test]
    fn a_later_epoch_starts_at_zero_and_shuts_out_the_earlier() {
        let mut producers = Producers::default();
        producers.appended(&batch(7, 1, 0, 3), 0);
        let not_zero = producers.check(&batch(7, 2, 3, 1));
        assert_eq!(not_zero, Err(ResponseError::OutOfOrderSequenceNumber));
        let bumped = batch(7, 2, 0, 1);
        assert_eq!(producers.check(&bumped), Ok(Verdict::Append));
        producers.appended(&bumped, 3);
        let fenced = producers.check(&batch(7, 1, 3, 1));
        assert_eq!(fenced, Err(ResponseError::InvalidProducerEpoch));
    }

    #[test]
    fn an_unknown_producer_starts_anywhere_and_sequences_wrap() {
        let mut producers = Producers::default();
        let before_the_end = batch(7, 0, i32::MAX - 1, 2);
        assert_eq!(producers.check(&before_the_end), Ok(Verdict::Append));
        producers.appended(&before_the_end, 0);
        assert_eq!(producers.check(&batch(7, 0, 0, 1)), Ok(Verdict::Append));

        let across = batch(8, 0, i32::MAX, 3);
        producers.appended(&across, 2);
        assert_eq!(producers.check(&batch(8, 0, 2, 1)), Ok(Verdict::Append));
    }

    #[test]
    fn the_most_silent_producer_is_forgotten_first() {
        let mut producers = Producers::default();
        for id in 0..=MAX_PRODUCERS as i64 {
            producers.appended(&batch(id, 0, 0, 1), id);
        }
        assert_eq!(producers.by_id.len(), MAX_PRODUCERS);
        assert!(!producers.by_id.contains_key(&0));
    }
}
