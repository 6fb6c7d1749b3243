//! A batch: its bytes in every stage, its memory, and who waits for it.

use std::sync::Arc;

use bytes::Bytes;
use kafka_wire::batch::BatchBuilder;
use tokio::time::Instant;

use super::delivery::{Ack, BatchState};
use super::error::ProduceError;
use super::memory::Memory;

/// A batch and who waits for it.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(super) payload: Payload,
    pub(super) state: Arc<BatchState>,
    pub(super) created: Instant,
    /// Bytes of memory that it holds.
    pub(super) reserved: u32,
}

#[derive(Debug)]
pub(crate) enum Payload {
    /// Not compressed and stamped yet.
    Built(BatchBuilder),
    /// Sent before.
    Sealed(Bytes),
    /// With the sender.
    Out,
}

impl Batch {
    /// Two batches in the place of one, with its memory and those who wait for it, and the number of records in each.
    pub(super) fn into_parts(
        self,
        halves: [BatchBuilder; 2],
        topic: &Arc<str>,
        partition: i32,
    ) -> Vec<(Self, u32)> {
        let (mut first, mut reserved) = (0, self.reserved);
        let mut states = Vec::new();
        let mut parts = Vec::new();
        for half in halves {
            let records = half.record_count();
            let state = Arc::new(BatchState::new(Arc::clone(topic), partition));
            states.push((first, Arc::clone(&state)));
            first += records;
            let share = u32::try_from(half.len()).unwrap_or(u32::MAX).min(reserved);
            reserved -= share;
            let part = Self {
                payload: Payload::Built(half),
                state,
                created: self.created,
                reserved: share,
            };
            parts.push((part, records));
        }
        // What rounding left goes with one of them.
        if let Some((last, _)) = parts.last_mut() {
            last.reserved += reserved;
        }
        self.state.split(states);
        parts
    }

    /// Gives the memory back and tells who waits.
    pub(super) fn finish(self, outcome: Result<Ack, ProduceError>, memory: &Memory) {
        if let Payload::Sealed(bytes) = self.payload
            && bytes.is_unique()
        {
            memory.recycle(Vec::from(bytes));
        }
        memory.give_back(self.reserved);
        self.state.complete(outcome);
    }
}

/// How many more bytes a batch that needs `after` takes: it doubles, up to the largest batch.
pub(super) fn growth(after: usize, reserved: u32, batch_size: usize) -> u32 {
    let target = after.max((reserved as usize * 2).min(batch_size));
    u32::try_from(target).unwrap_or(u32::MAX) - reserved
}

pub(super) fn take(memory: &Memory, budget: &mut u32, bytes: u32) -> bool {
    if *budget >= bytes {
        *budget -= bytes;
        return true;
    }
    memory.try_take(bytes)
}
