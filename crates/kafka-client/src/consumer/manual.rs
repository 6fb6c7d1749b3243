//! Partitions read without a group.

use std::sync::Arc;

use super::config::{ConsumerConfig, OffsetReset};
use super::fetcher::Fetcher;
use super::handle::PartitionConsumer;
use super::offsets::{EARLIEST, LATEST};
use super::slot::{Slot, Start};
use crate::client::Client;
use crate::error::ClientError;
use crate::topic_partition::TopicPartition;

/// Where to start reading a partition without a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAt {
    /// At this offset; one outside of the log is treated by the reset policy.
    Offset(i64),
    /// At the oldest record that there is.
    Earliest,
    /// Behind the newest record; under read_committed, behind the last stable one.
    Latest,
    /// At the first record of this time or a later one, in milliseconds since 1970; behind the newest record where there
    /// is none (KIP-79).
    Timestamp(i64),
    /// As [`ConsumerConfig::auto_offset_reset`] says.
    Reset,
}

impl Client {
    /// Reads these partitions without a group: nothing is committed and nobody is told.
    ///
    /// The handles are independent of one another; the last one to be dropped stops the fetching. Must be called within
    /// a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`ClientError::Config`] when the configuration cannot work, an offset or a timestamp is negative, a partition is
    /// named twice, or is to start by [`OffsetReset::Error`].
    pub fn consume(
        &self,
        config: ConsumerConfig,
        partitions: impl IntoIterator<Item = (TopicPartition, StartAt)>,
    ) -> Result<Vec<PartitionConsumer>, ClientError> {
        config.check()?;
        let reset = config.auto_offset_reset;
        let client_id = &self.config().client_id;
        let new = |id, start| Slot::of_client(id, start, client_id, None);
        let mut slots: Vec<Arc<Slot>> = Vec::new();
        for (id, at) in partitions {
            if slots.iter().any(|slot| slot.id == id) {
                return Err(ClientError::Config(format!("{id} is named twice")));
            }
            let slot = match at {
                StartAt::Offset(offset) if offset >= 0 => {
                    let slot = new(id, Start::Ready);
                    slot.lock().move_to(offset);
                    slot
                }
                StartAt::Earliest => new(id, Start::AtTime(EARLIEST)),
                StartAt::Latest => new(id, Start::AtTime(LATEST)),
                StartAt::Timestamp(time) if time >= 0 => new(id, Start::AtTime(time)),
                StartAt::Reset if reset != OffsetReset::Error => new(id, Start::NeedsReset(None)),
                at => {
                    return Err(ClientError::Config(format!("{id} cannot start at {at:?}")));
                }
            };
            slots.push(Arc::new(slot));
        }
        let fetcher = Fetcher::start(self.cluster().clone(), config);
        fetcher.add(&slots);
        Ok(slots
            .into_iter()
            .map(|slot| PartitionConsumer::new(slot, fetcher.clone(), None))
            .collect())
    }
}
