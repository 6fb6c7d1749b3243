//! The last records of each partition, read without a group and only while somebody watches.
//!
//! A reader a partition follows its end. Of what it reads it keeps a few characters: values are not looked at. One that falls
//! behind goes forward to the end instead of reading what nobody would see.

mod ring;

use std::collections::HashMap;
use std::sync::Arc;

use kafka_client::{
    Client, ConsumerConfig, OffsetReset, PartitionConsumer, StartAt, TopicPartition,
};
use parking_lot::Mutex;
use tokio_util::task::AbortOnDropHandle;

use crate::snapshot::Tail;
use ring::Ring;

/// The most records of a tail.
pub(crate) const LONGEST: i64 = 24;
/// The most partitions that are read.
pub(crate) const MOST_READERS: usize = 96;
/// Records that are taken out of a reader's memory at once.
const POLL: usize = 500;
/// How far behind a reader may be before it goes forward.
const BEHIND: i64 = 1_000;
/// Bytes that a reader fetches and keeps ahead.
const AHEAD: usize = 256 * 1024;

/// A partition as the last look found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) place: TopicPartition,
    /// The topic's id, by which one that was deleted and made anew is told from the old; 0 where brokers do not tell.
    pub(crate) topic_id: u128,
    pub(crate) start: i64,
    pub(crate) end: i64,
}

/// The readers, at most [`MOST_READERS`]. Dropping it stops them.
#[derive(Debug)]
pub(crate) struct Tails {
    client: Client,
    readers: HashMap<TopicPartition, Reader>,
}

#[derive(Debug)]
struct Reader {
    topic_id: u128,
    /// Of the last look.
    end: i64,
    ring: Arc<Mutex<Ring>>,
    task: AbortOnDropHandle<()>,
}

impl Tails {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            readers: HashMap::new(),
        }
    }

    /// Reads these partitions from now on, the first of them where there are too many, and no others. A reader that has
    /// failed, or whose log is another now, is replaced.
    pub(crate) fn follow(&mut self, extents: &[Extent]) {
        let extents = &extents[..extents.len().min(MOST_READERS)];
        self.readers.retain(|place, reader| {
            let extent = extents.iter().find(|extent| extent.place == *place);
            extent.is_some_and(|extent| reader.is_good(extent))
        });
        let missing: Vec<&Extent> = extents
            .iter()
            .filter(|extent| match self.readers.get_mut(&extent.place) {
                Some(reader) => {
                    reader.end = extent.end;
                    false
                }
                None => true,
            })
            .collect();
        if missing.is_empty() {
            return;
        }
        let config = ConsumerConfig {
            auto_offset_reset: OffsetReset::Earliest,
            partition_max_bytes: AHEAD as i32,
            partition_buffer_bytes: AHEAD,
            ..ConsumerConfig::default()
        };
        let from = |extent: &Extent| (extent.end - LONGEST).max(extent.start).max(0);
        let starts = missing
            .iter()
            .map(|extent| (extent.place.clone(), StartAt::Offset(from(extent))));
        let consumers = match self.client.consume(config, starts) {
            Ok(consumers) => consumers,
            Err(error) => {
                tracing::warn!(%error, "the last records cannot be read");
                return;
            }
        };
        for (extent, consumer) in missing.into_iter().zip(consumers) {
            let ring = Arc::new(Mutex::new(Ring::starting_at(from(extent))));
            let task = tokio::spawn(follow(consumer, Arc::clone(&ring)));
            let reader = Reader {
                topic_id: extent.topic_id,
                end: extent.end,
                ring,
                task: AbortOnDropHandle::new(task),
            };
            self.readers.insert(extent.place.clone(), reader);
        }
    }

    /// The last records of a partition that are known, none behind `end` or before `start`.
    pub(crate) fn tail(&self, extent: &Extent) -> Tail {
        match self.readers.get(&extent.place) {
            Some(reader) => reader.ring.lock().window(extent.start, extent.end),
            None => Tail {
                from: extent.end,
                records: Vec::new(),
            },
        }
    }

    /// Stops all of them.
    pub(crate) fn rest(&mut self) {
        self.readers.clear();
    }
}

impl Reader {
    /// Whether it goes on: it has not failed, and the log has neither been made anew nor lost its end.
    fn is_good(&self, extent: &Extent) -> bool {
        !self.task.is_finished() && self.topic_id == extent.topic_id && self.end <= extent.end
    }
}

/// Reads until something fails; then the next look starts another, if the partition is still there.
async fn follow(mut consumer: PartitionConsumer, ring: Arc<Mutex<Ring>>) {
    loop {
        let polled = match consumer.poll(POLL).await {
            Ok(Some(records)) => records,
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "a tail cannot be read on");
                return;
            }
        };
        let behind = consumer.lag().unwrap_or_default();
        if behind > BEHIND {
            let to = polled.next_offset() + behind - LONGEST;
            if consumer.seek(to).is_err() {
                return;
            }
            *ring.lock() = Ring::starting_at(to);
        } else {
            ring.lock().push(&polled);
        }
    }
}
