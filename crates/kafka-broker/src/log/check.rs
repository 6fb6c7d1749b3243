//! What a producer sent, checked before it may be appended: Kafka's `ProduceRequest` and `LogValidator`.

use bytes::{Bytes, BytesMut};
use kafka_wire::ResponseError;
use kafka_wire::batch::{BatchError, BatchHeader, RawBatch, batches};
use kafka_wire::compression::Compression;

/// A batch that unpacks to more is refused: it would be a bomb to every consumer.
const MAX_UNPACKED_BYTES: usize = 64 * 1024 * 1024;

/// The first version of Produce that may carry zstd (KIP-110).
const FIRST_VERSION_WITH_ZSTD: i16 = 7;

/// A batch that may be appended, in a buffer of its own: it neither pins the request that brought it nor is pinned.
#[derive(Debug)]
pub(crate) struct CheckedBatch {
    pub(crate) header: BatchHeader,
    pub(crate) bytes: BytesMut,
}

/// Why a batch may not be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) error: ResponseError,
    pub(crate) reason: &'static str,
}

const fn reject<T>(error: ResponseError, reason: &'static str) -> Result<T, Rejection> {
    Err(Rejection { error, reason })
}

/// Checks the records that a Produce request of `version` brought for one partition.
pub(crate) fn check(
    records: Option<Bytes>,
    version: i16,
    max_message_bytes: usize,
) -> Result<CheckedBatch, Rejection> {
    let records = records.unwrap_or_default();
    let total = records.len();
    let raw = match batches(records).next() {
        None => return reject(ResponseError::InvalidRecord, "the request has no batch"),
        Some(Err(e)) => return Err(unreadable(&e)),
        Some(Ok(raw)) => raw,
    };
    if raw.bytes().len() != total {
        return reject(
            ResponseError::InvalidRecord,
            "a partition's records must be exactly one batch",
        );
    }
    if total > max_message_bytes {
        return reject(
            ResponseError::MessageTooLarge,
            "the batch is larger than max.message.bytes",
        );
    }
    let header = *raw.header();
    check_header(&header, version)?;
    let bytes = BytesMut::from(&raw.bytes()[..]);
    check_records(raw)?;
    Ok(CheckedBatch { header, bytes })
}

fn unreadable(error: &BatchError) -> Rejection {
    match error {
        BatchError::UnknownMagic { .. } => Rejection {
            error: ResponseError::InvalidRecord,
            reason: "only batches of magic 2 are allowed",
        },
        BatchError::InvalidHeader { .. } => Rejection {
            error: ResponseError::InvalidRecord,
            reason: "a length or count in the batch's header cannot be",
        },
        _ => Rejection {
            error: ResponseError::CorruptMessage,
            reason: "the batch cannot be read",
        },
    }
}

fn check_header(header: &BatchHeader, version: i16) -> Result<(), Rejection> {
    use ResponseError::{InvalidRecord, InvalidTimestamp, InvalidTxnState};
    if header.base_offset != 0 {
        return reject(
            InvalidRecord,
            "the base offset of a produced batch must be 0",
        );
    }
    if header.record_count < 1 || header.last_offset_delta != header.record_count - 1 {
        return reject(
            InvalidRecord,
            "the number of records does not fit the batch's offsets",
        );
    }
    if header.is_control() {
        return reject(InvalidRecord, "clients cannot write control batches");
    }
    if header.is_transactional() {
        return reject(InvalidTxnState, "this broker has no transactions");
    }
    if header.is_idempotent() && (header.producer_epoch < 0 || header.base_sequence < 0) {
        return reject(
            InvalidRecord,
            "a batch with a producer id needs an epoch and a sequence",
        );
    }
    if header.is_log_append_time() {
        return reject(InvalidTimestamp, "clients cannot set the log append time");
    }
    if version < FIRST_VERSION_WITH_ZSTD && header.compression() == Ok(Compression::Zstd) {
        return reject(
            ResponseError::UnsupportedCompressionType,
            "zstd needs Produce v7 (KIP-110)",
        );
    }
    Ok(())
}

fn check_records(raw: RawBatch) -> Result<(), Rejection> {
    let batch = match raw.open(MAX_UNPACKED_BYTES) {
        Ok(batch) => batch,
        Err(BatchError::Checksum { .. }) => {
            return reject(
                ResponseError::CorruptMessage,
                "the batch fails its checksum",
            );
        }
        Err(_) => {
            return reject(
                ResponseError::CorruptMessage,
                "the batch cannot be decompressed",
            );
        }
    };
    for (expected, record) in (0i64..).zip(batch.records()) {
        match record {
            Ok(record) if record.offset == expected => {}
            Ok(_) => {
                return reject(
                    ResponseError::InvalidRecord,
                    "the records' offsets do not rise by 1",
                );
            }
            Err(_) => return reject(ResponseError::InvalidRecord, "a record cannot be read"),
        }
    }
    Ok(())
}
