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
