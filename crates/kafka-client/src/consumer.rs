//! Reading partitions: what is fetched, what waits in memory, and the handle through which it is read.
//!
//! ```text
//! broker ──fetch──▶ BrokerTask ──bytes──▶ Slot ──▶ PartitionConsumer::poll ──▶ Records
//!                   (a task a leader)    (buffer)  (checks and decompresses, in the caller's task)
//! ```

mod broker;
mod config;
mod decode;
mod error;
mod fetcher;
mod handle;
mod manual;
mod offsets;
mod request;
mod slot;
mod tracker;
mod validate;
mod watchdog;

pub(crate) use crate::topic_partition::TopicPartition;
pub use config::{ConsumerConfig, IsolationLevel, OffsetReset};
pub use error::{ConsumerError, LostReason};
pub(crate) use fetcher::Fetcher;
pub use handle::PartitionConsumer;
pub use manual::StartAt;
pub(crate) use slot::{Ownership, Slot, Start};
pub use tracker::OffsetTracker;
