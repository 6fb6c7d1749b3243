//! The records of a batch, lent out of its buffer.

use super::BatchError;
use super::header::BatchHeader;
use crate::varint::{take_varint, take_varlong};

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
    /// The records in `bytes`, which are those of a batch from the place `index` up to `end`.
    pub(super) fn new(header: &'a BatchHeader, bytes: &'a [u8], index: i32, end: i32) -> Self {
        Self {
            header,
            rest: bytes,
            index,
            end,
            failed: false,
        }
    }

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
