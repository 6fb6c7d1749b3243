//! Writing a batch: records are encoded in place as they come, the header when it is complete.

use bytes::Bytes;

use super::header::{HEADER_LEN, LENGTH_PREFIX, at, put, put_checksum, put_stamp};
use super::{BatchError, NO_PRODUCER_ID};
use crate::compression::{Compression, CompressionError};
use crate::varint::{MAX_VARLONG, put_varlong, varlong_len};

/// A batch under construction.
#[derive(Debug)]
pub struct BatchBuilder {
    buffer: Vec<u8>,
    records: i32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl BatchBuilder {
    /// An empty batch whose buffer takes `capacity` bytes before it grows.
    pub fn with_capacity(capacity: usize) -> Self {
        Self::with_buffer(Vec::with_capacity(capacity.max(HEADER_LEN)))
    }

    /// An empty batch in a buffer that served before; its contents go.
    pub fn with_buffer(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        buffer.resize(HEADER_LEN, 0);
        Self {
            buffer,
            records: 0,
            base_timestamp: 0,
            max_timestamp: i64::MIN,
        }
    }

    /// Appends a record and returns its place in the batch, from 0.
    ///
    /// `timestamp` is in milliseconds since 1970. Key, value and header values may be null; header keys may repeat.
    pub fn append(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) -> u32 {
        if self.records == 0 {
            self.base_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let timestamp_delta = timestamp.wrapping_sub(self.base_timestamp);
        let index = self.records;

        let body = body_len(timestamp_delta, index, key, value, headers);
        self.buffer.reserve(MAX_VARLONG + body);

        // What is before the key fits on the stack and is copied at once; without a key so is what is before the value.
        let mut prefix = [0u8; 5 * MAX_VARLONG + 1];
        let mut len = put_varlong(&mut prefix, body as i64);
        prefix[len] = 0; // attributes: none are defined
        len += 1;
        len += put_varlong(&mut prefix[len..], timestamp_delta);
        len += put_varlong(&mut prefix[len..], index.into());
        len += put_varlong(&mut prefix[len..], nullable_len(key));
        if let Some(key) = key {
            self.buffer.extend_from_slice(&prefix[..len]);
            self.buffer.extend_from_slice(key);
            len = 0;
        }
        len += put_varlong(&mut prefix[len..], nullable_len(value));
        self.buffer.extend_from_slice(&prefix[..len]);
        if let Some(value) = value {
            self.buffer.extend_from_slice(value);
        }
        if headers.is_empty() {
            self.buffer.push(0);
        } else {
            self.put_headers(headers);
        }
        self.records += 1;
        index as u32
    }

    /// The most bytes that this record adds to a batch, whatever was appended before it.
    pub fn record_len_bound(
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) -> usize {
        MAX_VARLONG + body_len(i64::MIN, i32::MAX, key, value, headers)
    }

    /// Records so far.
    pub fn record_count(&self) -> u32 {
        self.records as u32
    }

    /// Whether nothing was appended.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Bytes so far, header included, uncompressed.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Completes the batch but for the producer's stamp: see [`SealedBatch::stamp`].
    ///
    /// Records that do not get smaller are left as they are.
    ///
    /// # Errors
    ///
    /// [`BatchError::Compression`] when the codec fails.
    pub fn seal(mut self, compression: Compression) -> Result<SealedBatch, BatchError> {
        let mut attributes = 0i16;
        if compression != Compression::None {
            let mut packed = Vec::with_capacity(self.buffer.len());
            packed.resize(HEADER_LEN, 0);
            compression
                .compress(&self.buffer[HEADER_LEN..], &mut packed)
                .map_err(|source: CompressionError| BatchError::Compression {
                    base_offset: 0,
                    source,
                })?;
            if packed.len() < self.buffer.len() {
                self.buffer = packed;
                attributes = compression.code().into();
            }
        }
        let batch = &mut self.buffer[..];
        let length = (batch.len() - LENGTH_PREFIX) as i32;
        put(batch, at::BATCH_LENGTH, length.to_be_bytes());
        put(batch, at::LEADER_EPOCH, (-1i32).to_be_bytes());
        put(batch, at::MAGIC, 2i8.to_be_bytes());
        put(batch, at::ATTRIBUTES, attributes.to_be_bytes());
        put(
            batch,
            at::LAST_OFFSET_DELTA,
            (self.records - 1).max(0).to_be_bytes(),
        );
        put(batch, at::BASE_TIMESTAMP, self.base_timestamp.to_be_bytes());
        put(
            batch,
            at::MAX_TIMESTAMP,
            self.max_timestamp.max(self.base_timestamp).to_be_bytes(),
        );
        put(batch, at::RECORD_COUNT, self.records.to_be_bytes());
        let mut sealed = SealedBatch {
            buffer: self.buffer,
            records: self.records as u32,
        };
        sealed.stamp(NO_PRODUCER_ID, -1, -1);
        Ok(sealed)
    }

    fn put_headers(&mut self, headers: &[(&str, Option<&[u8]>)]) {
        self.put_varlong(headers.len() as i64);
        for (key, value) in headers {
            self.put_bytes(Some(key.as_bytes()));
            self.put_bytes(*value);
        }
    }

    fn put_bytes(&mut self, bytes: Option<&[u8]>) {
        self.put_varlong(nullable_len(bytes));
        self.buffer.extend_from_slice(bytes.unwrap_or_default());
    }

    fn put_varlong(&mut self, value: i64) {
        let mut bytes = [0; MAX_VARLONG];
        let len = put_varlong(&mut bytes, value);
        self.buffer.extend_from_slice(&bytes[..len]);
    }
}

fn nullable_len(bytes: Option<&[u8]>) -> i64 {
    bytes.map_or(-1, |b| b.len() as i64)
}

fn field_len(bytes: Option<&[u8]>) -> usize {
    varlong_len(nullable_len(bytes)) + bytes.map_or(0, <[u8]>::len)
}

fn body_len(
    timestamp_delta: i64,
    index: i32,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[(&str, Option<&[u8]>)],
) -> usize {
    let headers_len: usize = headers
        .iter()
        .map(|(key, value)| field_len(Some(key.as_bytes())) + field_len(*value))
        .sum();
    1 + varlong_len(timestamp_delta)
        + varlong_len(index.into())
        + field_len(key)
        + field_len(value)
        + varlong_len(headers.len() as i64)
        + headers_len
}

/// A complete batch. Its producer id, epoch and sequence may still change: they are known when it is sent.
#[derive(Debug)]
pub struct SealedBatch {
    buffer: Vec<u8>,
    records: u32,
}

impl SealedBatch {
    /// Writes the idempotent producer's id, epoch and the sequence of the first record (KIP-98).
    ///
    /// The checksum covers them; it is computed once, by [`into_bytes`](Self::into_bytes).
    pub fn stamp(&mut self, producer_id: i64, producer_epoch: i16, base_sequence: i32) {
        put_stamp(&mut self.buffer, producer_id, producer_epoch, base_sequence);
    }

    /// Records in the batch.
    pub fn record_count(&self) -> u32 {
        self.records
    }

    /// Bytes of the batch on the wire.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Never: a batch has at least its header.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The bytes, checksum and all, to be sent.
    pub fn into_bytes(mut self) -> Bytes {
        put_checksum(&mut self.buffer);
        Bytes::from(self.buffer)
    }
}
