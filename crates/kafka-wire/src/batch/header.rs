//! The 61 bytes in front of the records.

use super::BatchError;
use crate::compression::{Compression, CompressionError};

/// The bytes of a batch before its first record.
pub const HEADER_LEN: usize = 61;

/// Where each field of the header starts.
pub(super) mod at {
    pub(crate) const BASE_OFFSET: usize = 0;
    pub(crate) const BATCH_LENGTH: usize = 8;
    pub(crate) const LEADER_EPOCH: usize = 12;
    pub(crate) const MAGIC: usize = 16;
    pub(crate) const CRC: usize = 17;
    pub(crate) const ATTRIBUTES: usize = 21;
    pub(crate) const LAST_OFFSET_DELTA: usize = 23;
    pub(crate) const BASE_TIMESTAMP: usize = 27;
    pub(crate) const MAX_TIMESTAMP: usize = 35;
    pub(crate) const PRODUCER_ID: usize = 43;
    pub(crate) const PRODUCER_EPOCH: usize = 51;
    pub(crate) const BASE_SEQUENCE: usize = 53;
    pub(crate) const RECORD_COUNT: usize = 57;
}

/// `batchLength` does not count the base offset and itself.
pub(super) const LENGTH_PREFIX: usize = 12;

const LOG_APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
const HAS_DELETE_HORIZON: i16 = 1 << 6;

/// The header of a record batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the batch's first record. A producer sends 0; the broker assigns.
    pub base_offset: i64,
    /// Bytes of the batch after this field.
    pub batch_length: i32,
    /// Epoch of the leader that appended the batch; −1 in what a producer sends.
    pub partition_leader_epoch: i32,
    /// Always 2.
    pub magic: i8,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// Codec, timestamp type and the transactional and control flags.
    pub attributes: i16,
    /// Offset of the last record less the base offset; survives compaction.
    pub last_offset_delta: i32,
    /// Timestamp that the records' deltas count from, in milliseconds since 1970.
    pub base_timestamp: i64,
    /// The largest timestamp in the batch, in milliseconds since 1970.
    pub max_timestamp: i64,
    /// The idempotent producer's id, or −1.
    pub producer_id: i64,
    /// Its epoch, or −1.
    pub producer_epoch: i16,
    /// Sequence of the first record, or −1.
    pub base_sequence: i32,
    /// Records in the batch; less than the offsets it covers once it was compacted.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes` and checks that its lengths and counts can be.
    ///
    /// # Errors
    ///
    /// [`BatchError::Truncated`] under [`HEADER_LEN`] bytes, [`BatchError::UnknownMagic`], [`BatchError::InvalidHeader`].
    pub fn read(bytes: &[u8]) -> Result<Self, BatchError> {
        let Some(header) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(BatchError::Truncated {
                need: HEADER_LEN,
                have: bytes.len(),
            });
        };
        let header = Self {
            base_offset: i64::from_be_bytes(field(header, at::BASE_OFFSET)),
            batch_length: i32::from_be_bytes(field(header, at::BATCH_LENGTH)),
            partition_leader_epoch: i32::from_be_bytes(field(header, at::LEADER_EPOCH)),
            magic: i8::from_be_bytes(field(header, at::MAGIC)),
            crc: u32::from_be_bytes(field(header, at::CRC)),
            attributes: i16::from_be_bytes(field(header, at::ATTRIBUTES)),
            last_offset_delta: i32::from_be_bytes(field(header, at::LAST_OFFSET_DELTA)),
            base_timestamp: i64::from_be_bytes(field(header, at::BASE_TIMESTAMP)),
            max_timestamp: i64::from_be_bytes(field(header, at::MAX_TIMESTAMP)),
            producer_id: i64::from_be_bytes(field(header, at::PRODUCER_ID)),
            producer_epoch: i16::from_be_bytes(field(header, at::PRODUCER_EPOCH)),
            base_sequence: i32::from_be_bytes(field(header, at::BASE_SEQUENCE)),
            record_count: i32::from_be_bytes(field(header, at::RECORD_COUNT)),
        };
        header.check()?;
        Ok(header)
    }

    fn check(&self) -> Result<(), BatchError> {
        let base_offset = self.base_offset;
        if self.magic != 2 {
            return Err(BatchError::UnknownMagic {
                base_offset,
                magic: self.magic,
            });
        }
        let impossible = |field, value| {
            Err(BatchError::InvalidHeader {
                base_offset,
                field,
                value,
            })
        };
        if self.batch_length < (HEADER_LEN - LENGTH_PREFIX) as i32 {
            return impossible("batchLength", self.batch_length.into());
        }
        if base_offset < 0
            || base_offset
                .checked_add(self.last_offset_delta.into())
                .is_none_or(|last| last == i64::MAX)
        {
            return impossible("baseOffset", base_offset);
        }
        if self.last_offset_delta < 0 {
            return impossible("lastOffsetDelta", self.last_offset_delta.into());
        }
        // Each record has an offset of its own within the batch.
        if self.record_count < 0
            || i64::from(self.record_count) > i64::from(self.last_offset_delta) + 1
        {
            return impossible("recordsCount", self.record_count.into());
        }
        Ok(())
    }

    /// Bytes of the whole batch.
    pub fn total_len(&self) -> usize {
        LENGTH_PREFIX + self.batch_length as usize
    }

    /// Offset of the last record (or of the one that compaction took).
    pub fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    /// How the records are compressed.
    ///
    /// # Errors
    ///
    /// [`CompressionError::UnknownCodec`].
    pub fn compression(&self) -> Result<Compression, CompressionError> {
        Compression::from_attributes(self.attributes)
    }

    /// Whether the broker's clock stamped the records; all then have [`max_timestamp`](Self::max_timestamp).
    pub fn is_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    /// Whether the batch belongs to a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Whether the batch holds a marker of the broker's (commit, abort, …) that no user shall see.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// Whether the base timestamp is when tombstones may go, and not a record's time (KIP-534).
    pub fn has_delete_horizon(&self) -> bool {
        self.attributes & HAS_DELETE_HORIZON != 0
    }

    /// Whether an idempotent producer wrote the batch.
    pub fn is_idempotent(&self) -> bool {
        self.producer_id >= 0
    }
}

fn field<const N: usize>(header: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&header[at..at + N]);
    out
}

pub(super) fn put<const N: usize>(batch: &mut [u8], at: usize, value: [u8; N]) {
    batch[at..at + N].copy_from_slice(&value);
}

/// The checksum of a batch's bytes, over everything from the attributes on.
pub(super) fn checksum(batch: &[u8]) -> u32 {
    crc32c::crc32c(&batch[at::ATTRIBUTES..])
}

/// Gives a batch its place in the log, as a broker does. The checksum does not cover it.
///
/// # Errors
///
/// [`BatchError::Truncated`] under [`HEADER_LEN`] bytes.
pub fn set_base_offset(batch: &mut [u8], base_offset: i64) -> Result<(), BatchError> {
    check_len(batch)?;
    put(batch, at::BASE_OFFSET, base_offset.to_be_bytes());
    Ok(())
}

/// Notes the leader's epoch in a batch, as a broker does. The checksum does not cover it.
///
/// # Errors
///
/// [`BatchError::Truncated`] under [`HEADER_LEN`] bytes.
pub fn set_leader_epoch(batch: &mut [u8], epoch: i32) -> Result<(), BatchError> {
    check_len(batch)?;
    put(batch, at::LEADER_EPOCH, epoch.to_be_bytes());
    Ok(())
}

/// Gives a batch that was stamped before another producer id, epoch and first sequence, and the checksum that they change.
///
/// # Errors
///
/// [`BatchError::Truncated`] under [`HEADER_LEN`] bytes.
pub fn restamp(
    batch: &mut [u8],
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
) -> Result<(), BatchError> {
    check_len(batch)?;
    put_stamp(batch, producer_id, producer_epoch, base_sequence);
    put_checksum(batch);
    Ok(())
}

pub(super) fn put_stamp(
    batch: &mut [u8],
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
) {
    put(batch, at::PRODUCER_ID, producer_id.to_be_bytes());
    put(batch, at::PRODUCER_EPOCH, producer_epoch.to_be_bytes());
    put(batch, at::BASE_SEQUENCE, base_sequence.to_be_bytes());
}

pub(super) fn put_checksum(batch: &mut [u8]) {
    let crc = checksum(batch);
    put(batch, at::CRC, crc.to_be_bytes());
}

fn check_len(batch: &[u8]) -> Result<(), BatchError> {
    if batch.len() < HEADER_LEN {
        return Err(BatchError::Truncated {
            need: HEADER_LEN,
            have: batch.len(),
        });
    }
    Ok(())
}
