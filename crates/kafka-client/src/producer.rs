//! The producer: records in, acknowledgements out, idempotent and in order.
//!
//! ```text
//! send ─▶ partition: open batch ─▶ its queue ─┐   one sender a broker: one request for all
//! send ─▶ partition: open batch ─▶ its queue ─┼─▶ ready partitions, up to five in flight ─▶ broker
//! send ─▶ partition: open batch ─▶ its queue ─┘                                              │
//!   Delivery ◀── one notification a batch ◀── sequencer: written, again, given up ◀── answers ┘
//! ```
//!
//! # Layout
//!
//! - `send` is the way of a record into its batch: past the interceptor, the partitioner and the bound on memory. `topics` is
//!   where it finds its topic by name.
//! - `partition` is where a record is encoded into its `batch` and where a batch waits: one short lock a record. Its sender is
//!   told by way of a `mailbox`.
//! - `sequencer` is the order of a partition's batches and their sequences, without I/O (KIP-98, KIP-360).
//! - `sender` is the task to one broker; `turn` sees that it runs in between those who send. `manager` is the task that
//!   follows the metadata and keeps the senders.
//!
//! # What is guaranteed
//!
//! Every record that is acknowledged is in the log exactly once, and the records of a partition are in the order in which they were sent, under
//! lost answers, broken connections and moving leaders. A record whose delivery fails is either not in the log, or its
//! error says that it may be: [`ProduceError::may_have_been_written`]. A batch whose fate is unknown is never sent under a new
//! producer id or epoch.

mod batch;
mod delivery;
mod error;
mod interceptor;
mod mailbox;
mod manager;
mod memory;
mod partition;
mod record;
mod send;
mod sender;
mod sequencer;
mod shared;
mod split;
mod topic;
mod topics;
mod turn;

use std::sync::Arc;
use std::time::Duration;

use kafka_wire::batch::HEADER_LEN;
pub use kafka_wire::compression::Compression;
use tokio::sync::mpsc;
use tokio_util::sync::DropGuard;

pub use delivery::{Delivery, RecordMetadata};
pub use error::ProduceError;
pub use interceptor::{AddedHeaders, ProducerInterceptor};
pub use record::{ProducerRecord, TopicRecord};

use crate::client::Client;
use crate::partitioner::Partitioner;
use send::send;
use shared::Shared;
use topic::Topic;

/// How a producer batches, and how long it tries. `acks=all` and idempotence are not settings: they are always on.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProducerConfig {
    /// How long an incomplete batch waits for more records although it could be sent. Default: 0: a batch leaves at once when the broker
    /// has nothing of this producer's to do, and fills while it has.
    pub linger: Duration,
    /// Most bytes of a batch, uncompressed, header included; a larger record gets a batch of its own. Default: 1 MiB, as large
    /// as a broker takes unless it is told otherwise (`message.max.bytes`).
    pub batch_size: usize,
    /// Most requests on their way to one broker, and most batches of one partition; 1 to 5 (a broker recognises no more
    /// than five repeated batches). Default: 5.
    pub max_in_flight: usize,
    /// Most bytes of one request; a request carries at least one batch. Default: 8 MiB.
    pub max_request_size: usize,
    /// Bytes of batches that wait or are in flight, all together. Senders wait for room and never fail for the want of it. Default: 64 MiB,
    /// at least two batches and two of the largest records.
    pub buffer_memory: usize,
    /// Bound on the time from the first record of a batch to its acknowledgement, all attempts included. Default: 120 s.
    pub delivery_timeout: Duration,
    /// Bound on the answer to one request; a connection that misses it is replaced. Default: 30 s.
    pub request_timeout: Duration,
    /// Bound on learning a topic's partitions when it is first used. Default: 60 s.
    pub max_block: Duration,
    /// How batches are compressed. Default: not at all.
    pub compression: Compression,
    /// Largest record accepted, in bytes of a batch that holds nothing else, uncompressed. Default: 1 MiB.
    pub max_record_size: usize,
    /// Chooses the partition of records that name none. Default: none, so that the key does, and without a key the producer.
    pub partitioner: Option<Arc<dyn Partitioner>>,
    /// Sees every record, may add headers, and is told how it ended. Default: none.
    pub interceptor: Option<Arc<dyn ProducerInterceptor>>,
}

impl Default for ProducerConfig {
    fn default() -> Self {
        Self {
            linger: Duration::ZERO,
            batch_size: 1024 * 1024,
            max_in_flight: 5,
            max_request_size: 8 * 1024 * 1024,
            buffer_memory: 64 * 1024 * 1024,
            delivery_timeout: Duration::from_secs(120),
            request_timeout: Duration::from_secs(30),
            max_block: Duration::from_secs(60),
            compression: Compression::None,
            max_record_size: 1024 * 1024,
            partitioner: None,
            interceptor: None,
        }
    }
}

impl ProducerConfig {
    /// Settings that cannot work, brought to the nearest that can.
    fn clamped(mut self) -> Self {
        // A batch's length is a Java int, and so is its share of the memory.
        let most = (i32::MAX / 4) as usize;
        self.batch_size = self.batch_size.clamp(HEADER_LEN + 64, most);
        self.max_record_size = self.max_record_size.clamp(HEADER_LEN + 64, most);
        self.max_in_flight = self.max_in_flight.clamp(1, 5);
        let least = self.batch_size.max(self.max_record_size) * 2;
        self.buffer_memory = self.buffer_memory.max(least);
        self
    }
}

impl Client {
    /// A producer. Its tasks run until it is closed or its last handle is dropped.
    ///
    /// Settings out of their range are brought to the nearest that works. Must be called within a Tokio runtime.
    pub fn producer(&self, config: ProducerConfig) -> Producer {
        let (new_senders, senders) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::new(
            self.cluster().clone(),
            config.clamped(),
            new_senders,
        ));
        tokio::spawn(manager::manage(Arc::clone(&shared), senders));
        Producer {
            handle: Arc::new(Handle {
                _stop: shared.stop.clone().drop_guard(),
                shared,
            }),
        }
    }
}

/// The last one to go stops the tasks.
#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    _stop: DropGuard,
}

/// Sends records. Cheap to clone.
///
/// Dropping the last clone (and the last [`TopicProducer`]) stops it: whatever is undelivered then fails with
/// [`ProduceError::Closed`]. To have everything delivered first, call [`flush`](Self::flush) or [`close`](Self::close).
#[derive(Debug, Clone)]
pub struct Producer {
    handle: Arc<Handle>,
}

impl Producer {
    /// Hands a record over to be sent and returns its [`Delivery`].
    ///
    /// Waits only while the topic is not known yet or the producer's memory is full, and after a batch was begun for one turn
    /// of the runtime, in which that batch may leave. Then the record is encoded into its partition's batch, and the future
    /// is ready. The order of one task's calls is the order in the partition.
    ///
    /// A future that is dropped before it is ready has sent nothing.
    ///
    /// The topic is found by its name for each record: among the first eight that this producer has sent to by comparing
    /// names, otherwise under a lock that all senders share. A [`TopicProducer`] does neither.
    ///
    /// # Errors
    ///
    /// [`ProduceError::RecordTooLarge`], [`ProduceError::UnknownPartition`], [`ProduceError::Metadata`] and
    /// [`ProduceError::Closed`]; after any of them nothing was sent.
    pub async fn send(&self, record: &ProducerRecord<'_>) -> Result<Delivery, ProduceError> {
        let topics = &self.shared().topics;
        let other;
        let topic = match topics.first(record.topic) {
            Some(first) => first,
            None => {
                other = topics.get(record.topic);
                &other
            }
        };
        send(self.shared(), topic, &record.without_topic()).await
    }

    /// Sends records and waits until all are acknowledged. The metadata come in the order of the records.
    ///
    /// # Errors
    ///
    /// The first error in that order. Other records may have been written; all have ended one way or the other.
    pub async fn send_all<'a>(
        &self,
        records: impl IntoIterator<Item = ProducerRecord<'a>>,
    ) -> Result<Vec<RecordMetadata>, ProduceError> {
        let mut deliveries = Vec::new();
        let mut failed = None;
        for record in records {
            match self.send(&record).await {
                Ok(delivery) => deliveries.push(delivery),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        let mut written = Vec::with_capacity(deliveries.len());
        let mut first_failure = None;
        for delivery in deliveries {
            match delivery.await {
                Ok(metadata) => written.push(metadata),
                Err(error) => first_failure = first_failure.or(Some(error)),
            }
        }
        match first_failure.or(failed) {
            None => Ok(written),
            Some(error) => Err(error),
        }
    }

    /// A handle for one topic, which spares looking the topic up for each record. Does not check that the topic exists: the first send
    /// does.
    pub fn topic(&self, name: &str) -> TopicProducer {
        TopicProducer {
            topic: self.shared().topics.get(name),
            handle: Arc::clone(&self.handle),
        }
    }

    /// Waits until every record that was handed over before has been acknowledged or has failed; sends without lingering.
    ///
    /// Ends within the delivery timeout. Failures are told by the deliveries and not here.
    pub async fn flush(&self) {
        flush(self.shared()).await;
    }

    /// Takes no more records, waits at most `timeout` until what was handed over is delivered, and stops the producer.
    ///
    /// # Errors
    ///
    /// [`ProduceError::Closed`] when something was still undelivered; its deliveries say the same.
    pub async fn close(&self, timeout: Duration) -> Result<(), ProduceError> {
        let shared = self.shared();
        shared.begin_closing();
        let flushed = tokio::time::timeout(timeout, flush(shared)).await;
        shared.stop.cancel();
        shared.stopped.cancelled().await;
        flushed.map_err(|_| ProduceError::Closed {
            maybe_written: true,
        })
    }

    /// The settings in force.
    pub fn config(&self) -> &ProducerConfig {
        &self.shared().config
    }

    fn shared(&self) -> &Shared {
        &self.handle.shared
    }
}

/// Sends records to one topic. Cheap to clone; keeps its [`Producer`] running.
#[derive(Debug, Clone)]
pub struct TopicProducer {
    handle: Arc<Handle>,
    topic: Arc<Topic>,
}

impl TopicProducer {
    /// As [`Producer::send`].
    ///
    /// # Errors
    ///
    /// As [`Producer::send`].
    pub async fn send(&self, record: &TopicRecord<'_>) -> Result<Delivery, ProduceError> {
        send(&self.handle.shared, &self.topic, record).await
    }

    /// The topic's name.
    pub fn name(&self) -> &Arc<str> {
        &self.topic.name
    }
}

async fn flush(shared: &Shared) {
    let mut states = Vec::new();
    for partition in shared.partitions() {
        partition.flush(&mut states);
    }
    for state in states {
        // How it ended is told to whoever holds the records' own deliveries.
        state.ended().await;
    }
}
