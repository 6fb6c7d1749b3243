//! Reading batches: what a fetch brought is split, checked and lent out.

use bytes::Bytes;

use super::BatchError;
use super::header::{BatchHeader, HEADER_LEN, checksum};
use crate::compression::Compression;
use crate::varint::{take_varint, take_varlong};

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
        Records {
            header: &self.header,
            rest: &self.records,
            index: self.index,
            end: self.end,
            failed: false,
        }
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

/// A record as a slice of its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordView<'a> {
    /// Offset in the partition.
    pub offset: i64,
    /// Milliseconds since 1970, by the producer's clock or, under `LogAppendTime`, the broker's.
    pub timestamp: i64,
    /// The key, which may be null.
    pub key: Option<&'a [u8]>,
    /// The value; null is a tombstone in a compacted topic.
    pub value: Option<&'a [u8]>,
    /// The headers, in the order in which they were written, repeats included.
    pub headers: Headers<'a>,
}

/// Iterator over a batch's records. It ends after the first error.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    header: &'a BatchHeader,
    rest: &'a [u8],
    index: i32,
    end: i32,
    failed: bool,
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RecordView<'a>, BatchError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        if self.index == self.end {
            if self.rest.is_empty() {
                return None;
            }
            return Some(self.fail("bytes are left after the last record"));
        }
        Some(match self.read() {
            Ok(record) => {
                self.index += 1;
                Ok(record)
            }
            Err(what) => self.fail(what),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some((self.end - self.index) as usize + 1))
    }
}

impl<'a> Records<'a> {
    fn fail(&mut self, what: &'static str) -> Result<RecordView<'a>, BatchError> {
        self.failed = true;
        Err(BatchError::MalformedRecord {
            base_offset: self.header.base_offset,
            index: self.index as u32,
            what,
        })
    }

    #[inline]
    fn read(&mut self) -> Result<RecordView<'a>, &'static str> {
        let length = take_varint(&mut self.rest).ok_or("its length cannot be read")?;
        let length = usize::try_from(length).map_err(|_| "its length is negative")?;
        if length > self.rest.len() {
            return Err("it is longer than the batch");
        }
        let (mut body, rest) = self.rest.split_at(length);
        let (_attributes, after) = body.split_first().ok_or("it has no attributes")?;
        body = after;
        let timestamp_delta = take_varlong(&mut body).ok_or("its timestamp cannot be read")?;
        let offset_delta = take_varint(&mut body).ok_or("its offset cannot be read")?;
        if offset_delta < 0 || offset_delta > self.header.last_offset_delta {
            return Err("its offset is outside the batch");
        }
        let key = take_bytes(&mut body).ok_or("its key cannot be read")?;
        let value = take_bytes(&mut body).ok_or("its value cannot be read")?;
        let headers = Headers::check(body)?;
        self.rest = rest;
        let timestamp = if self.header.is_log_append_time() {
            self.header.max_timestamp
        } else {
            self.header.base_timestamp.wrapping_add(timestamp_delta)
        };
        Ok(RecordView {
            offset: self.header.base_offset + i64::from(offset_delta),
            timestamp,
            key,
            value,
            headers,
        })
    }
}

/// Takes a length and as many bytes; the outer `None` is malformed, the inner one is null.
#[inline]
fn take_bytes<'a>(input: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = take_varint(input)?;
    if length == -1 {
        return Some(None);
    }
    let length = usize::try_from(length).ok()?;
    if length > input.len() {
        return None;
    }
    let (bytes, rest) = input.split_at(length);
    *input = rest;
    Some(Some(bytes))
}

/// A record's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderView<'a> {
    /// The name. Names may repeat.
    pub key: &'a str,
    /// The value, which may be null.
    pub value: Option<&'a [u8]>,
}

/// A record's headers, read from the batch's buffer as they are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers<'a> {
    rest: &'a [u8],
    remaining: u32,
}

impl<'a> Headers<'a> {
    /// Walks the headers once, so that iterating them cannot fail.
    #[inline]
    fn check(mut body: &'a [u8]) -> Result<Self, &'static str> {
        let count = take_varint(&mut body).ok_or("its header count cannot be read")?;
        let remaining = u32::try_from(count).map_err(|_| "its header count is negative")?;
        let mut rest = body;
        for _ in 0..remaining {
            take_header(&mut rest).ok_or("a header cannot be read")?;
        }
        if !rest.is_empty() {
            return Err("bytes are left after its headers");
        }
        Ok(Self {
            rest: body,
            remaining,
        })
    }

    /// How many are left.
    pub fn len(&self) -> usize {
        self.remaining as usize
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.remaining == 0
    }

    /// The value of the last header of this name: a later one overrides an earlier (as `Headers.lastHeader` in Java).
    pub fn last(&self, key: &str) -> Option<HeaderView<'a>> {
        self.filter(|header| header.key == key).last()
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = HeaderView<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.remaining = self.remaining.checked_sub(1)?;
        take_header(&mut self.rest)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

fn take_header<'a>(input: &mut &'a [u8]) -> Option<HeaderView<'a>> {
    let key = take_bytes(input)??;
    Some(HeaderView {
        key: std::str::from_utf8(key).ok()?,
        value: take_bytes(input)?,
    })
}
