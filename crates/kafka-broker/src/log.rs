//! What a partition holds: checked batches, the producers' sequences, the leader epochs.

mod check;
mod epochs;
mod partition;
mod producers;
mod store;
#[cfg(test)]
mod tests;
mod timestamps;

pub(crate) use check::{Rejection, check};
pub(crate) use partition::{Partition, Read, Reader};
pub(crate) use store::Retention;
pub(crate) use timestamps::{FoundRecord, TimestampSearch};
