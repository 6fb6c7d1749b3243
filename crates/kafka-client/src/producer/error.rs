//! Why a record was not sent, or not acknowledged.

use std::sync::Arc;
use std::time::Duration;

use kafka_wire::ResponseError;

use crate::error::ClientError;

/// Why a record was not accepted by the producer, or not acknowledged by the broker.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ProduceError {
    /// The record alone is over [`ProducerConfig::max_record_size`](super::ProducerConfig::max_record_size), or over what the
    /// broker takes (`max.message.bytes` of the topic). It was not written.
    #[error("a record of {size} bytes for {topic} is over the largest allowed{}", max.map(|m| format!(", {m} bytes")).unwrap_or_default())]
    RecordTooLarge {
        /// The topic.
        topic: Arc<str>,
        /// Bytes of the record as a batch of its own; as it was sent, so perhaps compressed, where the broker refused it.
        size: usize,
        /// The bound, if it is the producer's: a broker does not tell its own.
        max: Option<usize>,
    },
    /// The [`Partitioner`](crate::Partitioner) panicked, or chose a partition that the topic does not have. Nothing was sent.
    #[error("the partitioner chose no partition of {topic}: {reason}")]
    Partitioner {
        /// The topic.
        topic: Arc<str>,
        /// What it did.
        reason: String,
    },
    /// The call of `send` was dropped before it was ready. Nothing was sent. Only a
    /// [`ProducerInterceptor`](crate::ProducerInterceptor) ever sees this.
    #[error("sending to {topic} was cancelled")]
    Cancelled {
        /// The topic.
        topic: Arc<str>,
    },
    /// The topic has no such partition. Nothing was sent.
    #[error("partition {topic}-{partition} does not exist")]
    UnknownPartition {
        /// The topic.
        topic: Arc<str>,
        /// The partition.
        partition: i32,
    },
    /// The topic's partitions could not be learned within [`ProducerConfig::max_block`](super::ProducerConfig::max_block).
    /// Nothing was sent.
    #[error("cannot send to {topic}: {source}")]
    Metadata {
        /// The topic.
        topic: Arc<str>,
        /// Why.
        source: Box<ClientError>,
    },
    /// The partition's leader and this client do not accept each other: see [`ClientError::is_authentication`]. The record
    /// was not sent.
    #[error("cannot send to {topic}-{partition}: {source}")]
    Leader {
        /// The topic.
        topic: Arc<str>,
        /// The partition.
        partition: i32,
        /// Why.
        source: Box<ClientError>,
    },
    /// The producer could not get a producer id. The record was not sent.
    #[error("cannot get a producer id: {0}")]
    ProducerId(Box<ClientError>),
    /// The broker refused the batch for good.
    #[error("{topic}-{partition} refused the batch: {code}{}", message.as_deref().map(|m| format!(" ({m})")).unwrap_or_default())]
    Refused {
        /// The topic.
        topic: Arc<str>,
        /// The partition.
        partition: i32,
        /// Kafka's error.
        code: ResponseError,
        /// What the broker added in words, if anything.
        message: Option<String>,
        /// Whether the record may have been written all the same, by this attempt or an earlier one whose answer was lost.
        maybe_written: bool,
    },
    /// The record was not acknowledged within [`ProducerConfig::delivery_timeout`](super::ProducerConfig::delivery_timeout).
    #[error("no acknowledgement from {topic}-{partition} within {after:?}{}", if *maybe_written { "; the record may have been written" } else { "" })]
    DeliveryTimeout {
        /// The topic.
        topic: Arc<str>,
        /// The partition.
        partition: i32,
        /// The bound.
        after: Duration,
        /// Whether an attempt may have been written whose answer was lost.
        maybe_written: bool,
    },
    /// An attempt's answer was lost, and the broker has since lost track of this producer's sequences. The records may
    /// be in the log; sending them again could double them, so the producer does not (KIP-360).
    #[error(
        "whether {topic}-{partition} has the batch is unknown: its answer was lost, and then the producer's sequence"
    )]
    UnknownFate {
        /// The topic.
        topic: Arc<str>,
        /// The partition.
        partition: i32,
    },
    /// The batch could not be compressed. Nothing was sent.
    #[error("cannot compress a batch for {topic}-{partition}: {reason}")]
    Compression {
        /// The topic.
        topic: Arc<str>,
        /// The partition.
        partition: i32,
        /// What the codec said.
        reason: String,
    },
    /// The producer was closed, or its last handle dropped, before the record was acknowledged.
    #[error("the producer is closed{}", if *maybe_written { "; the record may have been written" } else { "" })]
    Closed {
        /// Whether the record may have been written.
        maybe_written: bool,
    },
}

impl ProduceError {
    /// Whether the record may be in the log in spite of the error: whoever sends it again may double it.
    pub fn may_have_been_written(&self) -> bool {
        match self {
            Self::UnknownFate { .. } => true,
            Self::Refused { maybe_written, .. }
            | Self::DeliveryTimeout { maybe_written, .. }
            | Self::Closed { maybe_written } => *maybe_written,
            _ => false,
        }
    }
}
