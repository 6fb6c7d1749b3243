//! A poll's step: records out of memory, decoded as they are taken, or why there are none.

use std::sync::Arc;

use kafka_wire::batch::BatchError;

use super::PartitionConsumer;
use crate::consumer::decode::{Decoder, Taken};
use crate::consumer::error::ConsumerError;
use crate::consumer::slot::{Ownership, SlotState, Start};
use crate::records::Records;

/// What there is to hand out now.
pub(super) enum Step {
    Records(Records),
    Ended,
    Nothing,
}

impl PartitionConsumer {
    pub(super) fn step(&mut self, max_records: usize) -> Result<Step, ConsumerError> {
        let max_records = max_records.max(1);
        let mut taken = Taken::default();
        let mut position;
        {
            let mut state = self.slot.lock();
            state.polled_at = None;
            match state.ownership {
                Ownership::Held => {}
                Ownership::Revoked => return Ok(Step::Ended),
                Ownership::Lost(reason) => return Err(self.slot.lost_error(reason)),
            }
            if state.paused {
                return Ok(Step::Nothing);
            }
            // What came before the failure is handed out first.
            let drained = self.decoder.is_none() && state.buffer.is_empty();
            if let Some(failure) = state.failure.clone().filter(|_| drained) {
                if !waits_for_seek(&failure) {
                    self.try_again(&mut state);
                }
                return Err(failure);
            }
            let Some(start) = state.position.filter(|_| state.start == Start::Ready) else {
                return Ok(Step::Nothing);
            };
            position = start;
            if self.seeks != state.seeks {
                self.seeks = state.seeks;
                self.decoder = None;
                self.failed = None;
            }
        }
        if let Some(error) = self.failed.take() {
            return Err(self.undecodable(position, error));
        }
        if let Err(error) = self.fill(&mut position, max_records, &mut taken) {
            self.decoder = None;
            if taken.records == 0 {
                return Err(self.undecodable(position, error));
            }
            self.failed = Some(error);
        }
        self.finish(position, taken)
    }

    /// Has what failed tried again.
    fn try_again(&self, state: &mut SlotState) {
        state.failure = None;
        match state.start {
            Start::Ready if state.fetcher.is_some() => state.wake_fetcher(),
            Start::Ready | Start::Unvalidated => self.fetcher.wake(),
            Start::NeedsReset(_) | Start::AtTime(_) => {
                state.resetting = None;
                self.fetcher.wake();
            }
            Start::AwaitsCommitted => {
                // The failure may be of the leader, and the question under way.
                if state.committed_asked.is_none() {
                    state.ask_committed_anew();
                }
                self.fetcher.wake();
            }
        }
    }

    /// Takes from the buffer until there are `max_records`. The slot is locked once a chunk and not while decoding.
    fn fill(
        &mut self,
        position: &mut i64,
        max_records: usize,
        taken: &mut Taken,
    ) -> Result<(), BatchError> {
        loop {
            if let Some(decoder) = &mut self.decoder {
                decoder.take(position, max_records, taken)?;
                if !decoder.is_finished() {
                    return Ok(());
                }
                self.decoder = None;
            }
            if taken.records == max_records {
                return Ok(());
            }
            let chunk = {
                let mut state = self.slot.lock();
                let cap = self.fetcher.config().partition_buffer_bytes;
                let Some(chunk) = state.buffer.pop_front() else {
                    return Ok(());
                };
                let was_full = state.buffered_bytes >= cap;
                state.buffered_bytes -= chunk.records.len().min(state.buffered_bytes);
                if was_full && state.buffered_bytes < cap {
                    state.wake_fetcher();
                }
                chunk
            };
            let limit = self.fetcher.decompressed_limit();
            self.decoder = Some(Box::new(Decoder::new(chunk, limit)));
        }
    }

    fn finish(&mut self, position: i64, taken: Taken) -> Result<Step, ConsumerError> {
        let mut state = self.slot.lock();
        match state.ownership {
            Ownership::Held => {}
            Ownership::Revoked => return Ok(Step::Ended),
            Ownership::Lost(reason) => return Err(self.slot.lost_error(reason)),
        }
        // A seek, or a leader that has not what is in memory, came in between: none of it is handed out.
        if state.seeks != self.seeks {
            return Ok(Step::Nothing);
        }
        state.position = Some(position);
        let lag = state.lag();
        drop(state);
        if taken.records == 0 {
            return Ok(Step::Nothing);
        }
        self.slot.meters.records.increment(taken.records as u64);
        self.slot.meters.lag(lag);
        Ok(Step::Records(Records::new(
            Arc::clone(&self.slot.id.topic),
            self.slot.id.partition,
            taken.batches,
            taken.records,
            position,
        )))
    }

    /// Has the partition fetched again from where it could not be read, after a moment.
    fn undecodable(&mut self, position: i64, source: BatchError) -> ConsumerError {
        self.decoder = None;
        let mut state = self.slot.lock();
        state.move_to(position);
        state.hold_back();
        state.wake_fetcher();
        self.seeks = state.seeks;
        ConsumerError::Undecodable {
            partition: self.slot.id.clone(),
            offset: position,
            source,
        }
    }
}

/// Whether asking again is of no use: there is nowhere to read on from, and the policy leaves it to the holder.
fn waits_for_seek(failure: &ConsumerError) -> bool {
    matches!(
        failure,
        ConsumerError::NoOffset { .. } | ConsumerError::Truncated { .. }
    )
}
