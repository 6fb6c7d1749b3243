//! Reading batches: what a fetch brought is split, checked and lent out.

use bytes::Bytes;

use super::BatchError;
use super::header::{BatchHeader, HEADER_LEN, checksum};
use super::records::Records;
use crate::compression::Compression;
use crate::varint::take_varint;

/// The batches in `bytes`, which is what a fetch brought for one partition or what a producer sent.
///
/// A fetch cuts at its byte limit and not at a batch's end, so a last batch that is cut short ends the iteration without
/// an error, unless it is the only one (the first always comes whole: KIP-74).
pub fn batches(bytes: Bytes) -> Batches {
    Batches {
        rest: bytes,
        any: false,
    }
}

/// Iterator of [`batches`]. It ends after the first error.
#[derive(Debug, Clone)]
pub struct Batches {
    rest: Bytes,
    any: bool,
}

impl Iterator for Batches {
    type Item = Result<RawBatch, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match self.split() {
            Ok(batch) => {
                self.any = true;
                Some(Ok(batch))
            }
            Err(BatchError::Truncated { .. }) if self.any => {
                self.rest.clear();
                None
            }
            Err(e) => {
                self.rest.clear();
                Some(Err(e))
            }
        }
    }
}

impl Batches {
    fn split(&mut self) -> Result<RawBatch, BatchError> {
        let have = self.rest.len();
        // A tail may be too short for a header and still say how long it would be.
        if have < HEADER_LEN {
            return Err(BatchError::Truncated {
                need: HEADER_LEN,
                have,
            });
        }
        let header = BatchHeader::read(&self.rest)?;
        let need = header.total_len();
        if need > have {
            return Err(BatchError::Truncated { need, have });
        }
        Ok(RawBatch {
            header,
            bytes: self.rest.split_to(need),
        })
    }
}

/// A batch as it came: header read, contents neither checked nor decompressed.
#[derive(Debug, Clone)]
pub struct RawBatch {
    header: BatchHeader,
    bytes: Bytes,
}

impl RawBatch {
    /// The header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// All bytes of the batch, header included.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Checks the checksum and decompresses the records, to `limit` bytes at most.
    ///
    /// # Errors
    ///
    /// [`BatchError::Checksum`], [`BatchError::Compression`].
    pub fn open(self, limit: usize) -> Result<RecordBatch, BatchError> {
        let base_offset = self.header.base_offset;
        let computed = checksum(&self.bytes);
        if computed != self.header.crc {
            return Err(BatchError::Checksum {
                base_offset,
                stored: self.header.crc,
                computed,
            });
        }
        let compression = |source| BatchError::Compression {
            base_offset,
            source,
        };
        let packed = self.bytes.slice(HEADER_LEN..);
        let records = match self.header.compression().map_err(compression)? {
            Compression::None => packed,
            codec => Bytes::from(codec.decompress(&packed, limit).map_err(compression)?),
        };
        Ok(RecordBatch {
            index: 0,
            end: self.header.record_count,
            header: self.header,
            records,
        })
    }
}

/// A batch whose checksum held, with its records decompressed; or a run of its records, see [`RecordBatch::split_to`].
#[derive(Debug, Clone)]
pub struct RecordBatch {
    header: BatchHeader,
    records: Bytes,
    /// The place in the whole batch of the first record in `records`, and of the first after them.
    index: i32,
    end: i32,
}

/// What a control batch says (KIP-98, KIP-595).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlType {
    /// The transaction of this producer was aborted.
    Abort,
    /// The transaction of this producer was committed.
    Commit,
    /// Anything else, by its number: markers of KRaft that consumers skip.
    Other(i16),
}

impl RecordBatch {
    /// The header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The records, lent out of the batch's buffer.
    pub fn records(&self) -> Records<'_> {
        Records::new(&self.header, &self.records, self.index, self.end)
    }

    /// How many records are in here; less than the header says once some were split off.
    pub fn record_count(&self) -> u32 {
        (self.end - self.index) as u32
    }

    /// Takes the first `count` records (or all, if there are fewer) into a batch of their own, which shares the buffer;
    /// the others stay here. Only the records' lengths are read.
    ///
    /// # Errors
    ///
    /// [`BatchError::MalformedRecord`] when a length cannot be; nothing is taken then.
    pub fn split_to(&mut self, count: u32) -> Result<Self, BatchError> {
        let count = count.min(self.record_count()) as i32;
        let mut rest = &self.records[..];
        for index in self.index..self.index + count {
            let length = take_varint(&mut rest)
                .and_then(|length| usize::try_from(length).ok())
                .filter(|length| *length <= rest.len())
                .ok_or(BatchError::MalformedRecord {
                    base_offset: self.header.base_offset,
                    index: index as u32,
                    what: "its length cannot be",
                })?;
            rest = &rest[length..];
        }
        let taken = self.records.len() - rest.len();
        let first = Self {
            header: self.header,
            records: self.records.split_to(taken),
            index: self.index,
            end: self.index + count,
        };
        self.index = first.end;
        Ok(first)
    }

    /// The bytes of the decompressed records.
    pub fn records_bytes(&self) -> &Bytes {
        &self.records
    }

    /// What a control batch says; `None` for a batch of users' records.
    ///
    /// # Errors
    ///
    /// [`BatchError::MalformedRecord`] when the marker cannot be read.
    pub fn control_type(&self) -> Result<Option<ControlType>, BatchError> {
        if !self.header.is_control() {
            return Ok(None);
        }
        let base_offset = self.header.base_offset;
        let malformed = |what| BatchError::MalformedRecord {
            base_offset,
            index: 0,
            what,
        };
        let marker = self
            .records()
            .next()
            .ok_or_else(|| malformed("a control batch without a record"))??;
        // Key: version (int16), type (int16).
        let [_, _, high, low, ..] = *marker.key.unwrap_or_default() else {
            return Err(malformed("a control record's key is under four bytes"));
        };
        Ok(Some(match i16::from_be_bytes([high, low]) {
            0 => ControlType::Abort,
            1 => ControlType::Commit,
            other => ControlType::Other(other),
        }))
    }
}
