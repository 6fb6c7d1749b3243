//! Record batches of magic 2: the one format of records on the wire and on a broker's disk.
//!
//! [`BatchBuilder`] encodes records into a batch's final bytes as they are appended; [`batches`] splits what a fetch
//! brought into batches, and [`RecordBatch::records`] lends the records out as slices of the same buffer. Neither side
//! allocates for a record.
//!
//! Format: <https://kafka.apache.org/documentation/#recordbatch>, introduced by KIP-98; headers by KIP-82.

mod builder;
mod header;
mod reader;
mod records;

use thiserror::Error;

pub use builder::{BatchBuilder, SealedBatch};
pub use header::{BatchHeader, HEADER_LEN, restamp, set_base_offset, set_leader_epoch};
pub use reader::{Batches, ControlType, RawBatch, RecordBatch, batches};
pub use records::{HeaderView, Headers, RecordView, Records};

use crate::compression::CompressionError;

/// The producer id of a batch that no idempotent producer wrote.
pub const NO_PRODUCER_ID: i64 = -1;

/// Bytes that are not a record batch.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BatchError {
    /// The buffer ends before the batch does.
    #[error("record batch is cut short: {have} of {need} bytes")]
    Truncated {
        /// The bytes that the batch says it has.
        need: usize,
        /// The bytes that are there.
        have: usize,
    },
    /// A format that Kafka 4 does not store any more.
    #[error("record batch at offset {base_offset} has magic {magic}, only 2 is known")]
    UnknownMagic {
        /// The first offset of the batch.
        base_offset: i64,
        /// Its format.
        magic: i8,
    },
    /// A length or count in the header that cannot be.
    #[error("record batch at offset {base_offset} has an impossible {field}: {value}")]
    InvalidHeader {
        /// The first offset of the batch.
        base_offset: i64,
        /// The field, in Kafka's spelling.
        field: &'static str,
        /// Its value.
        value: i64,
    },
    /// The bytes are not those that were written.
    #[error(
        "record batch at offset {base_offset} fails its checksum: stored {stored:#010x}, computed {computed:#010x}"
    )]
    Checksum {
        /// The first offset of the batch.
        base_offset: i64,
        /// The CRC-32C in the header.
        stored: u32,
        /// The CRC-32C of the bytes.
        computed: u32,
    },
    /// A record that breaks the format.
    #[error("record {index} of the batch at offset {base_offset} is malformed: {what}")]
    MalformedRecord {
        /// The first offset of the batch.
        base_offset: i64,
        /// The record's place in the batch, from 0.
        index: u32,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The records cannot be decompressed.
    #[error("record batch at offset {base_offset}: {source}")]
    Compression {
        /// The first offset of the batch.
        base_offset: i64,
        /// The codec's complaint.
        source: CompressionError,
    },
}
