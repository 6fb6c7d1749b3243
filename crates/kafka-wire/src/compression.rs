//! The four codecs of a record batch, both ways, in pure Rust.

use std::io::{Read, Write};

use thiserror::Error;

/// How the records of a batch are compressed: the low three bits of its attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// Snappy in the blocks of snappy-java, which is what Kafka's Java client writes.
    Snappy,
    /// LZ4 frames with independent blocks, the only kind that Kafka's Java client reads (KIP-57).
    Lz4,
    /// Zstandard (KIP-110).
    Zstd,
}

/// Records that cannot be compressed or decompressed.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CompressionError {
    /// The codec refused the bytes.
    #[error("{codec:?} data is damaged: {reason}")]
    Damaged {
        /// Which codec.
        codec: Compression,
        /// What it said.
        reason: String,
    },
    /// The data would take more memory than allowed.
    #[error("{codec:?} data is larger than {limit} bytes when decompressed")]
    TooLarge {
        /// Which codec.
        codec: Compression,
        /// The limit in bytes.
        limit: usize,
    },
    /// The attributes name a codec that does not exist.
    #[error("unknown compression codec {0}")]
    UnknownCodec(u8),
}

/// The first bytes of snappy-java's stream format, then version and compatible version, each 1.
const SNAPPY_JAVA_MAGIC: &[u8; 8] = b"\x82SNAPPY\0";
const SNAPPY_JAVA_HEADER: usize = 16;
/// snappy-java's default block size.
const SNAPPY_BLOCK: usize = 32 * 1024;

impl Compression {
    /// The codec's number in a batch's attributes.
    pub fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// The codec of a batch's attributes.
    ///
    /// # Errors
    ///
    /// [`CompressionError::UnknownCodec`] for 5, 6 and 7.
    pub fn from_attributes(attributes: i16) -> Result<Self, CompressionError> {
        match attributes & 0x7 {
            0 => Ok(Self::None),
            1 => Ok(Self::Gzip),
            2 => Ok(Self::Snappy),
            3 => Ok(Self::Lz4),
            4 => Ok(Self::Zstd),
            other => Err(CompressionError::UnknownCodec(other as u8)),
        }
    }

    /// Appends the compressed form of `data` to `out`.
    ///
    /// # Errors
    ///
    /// [`CompressionError::Damaged`] when the codec fails, which none does on memory.
    pub fn compress(self, data: &[u8], out: &mut Vec<u8>) -> Result<(), CompressionError> {
        match self {
            Self::None => out.extend_from_slice(data),
            Self::Gzip => {
                let mut encoder =
                    flate2::write::GzEncoder::new(&mut *out, flate2::Compression::default());
                encoder
                    .write_all(data)
                    .and_then(|()| encoder.try_finish())
                    .map_err(|e| self.damaged(&e))?;
            }
            Self::Snappy => self.compress_snappy(data, out)?,
            Self::Lz4 => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(&mut *out);
                encoder.write_all(data).map_err(|e| self.damaged(&e))?;
                encoder.finish().map_err(|e| self.damaged(&e))?;
            }
            Self::Zstd => {
                ruzstd::encoding::compress(
                    data,
                    &mut *out,
                    ruzstd::encoding::CompressionLevel::Fastest,
                );
            }
        }
        Ok(())
    }

    /// The decompressed form of `data`.
    ///
    /// # Errors
    ///
    /// [`CompressionError::TooLarge`] past `limit` bytes, [`CompressionError::Damaged`] for what the codec refuses.
    pub fn decompress(self, data: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
        match self {
            Self::None => Ok(data.to_vec()),
            Self::Gzip => self.read_bounded(flate2::read::MultiGzDecoder::new(data), limit),
            Self::Snappy => self.decompress_snappy(data, limit),
            Self::Lz4 => self.read_bounded(lz4_flex::frame::FrameDecoder::new(data), limit),
            Self::Zstd => {
                let decoder =
                    ruzstd::decoding::StreamingDecoder::new(data).map_err(|e| self.damaged(&e))?;
                self.read_bounded(decoder, limit)
            }
        }
    }

    fn read_bounded(self, reader: impl Read, limit: usize) -> Result<Vec<u8>, CompressionError> {
        let mut out = Vec::new();
        reader
            .take(limit as u64 + 1)
            .read_to_end(&mut out)
            .map_err(|e| self.damaged(&e))?;
        if out.len() > limit {
            Err(CompressionError::TooLarge { codec: self, limit })
        } else {
            Ok(out)
        }
    }

    fn compress_snappy(self, data: &[u8], out: &mut Vec<u8>) -> Result<(), CompressionError> {
        out.extend_from_slice(SNAPPY_JAVA_MAGIC);
        out.extend_from_slice(&1i32.to_be_bytes());
        out.extend_from_slice(&1i32.to_be_bytes());
        let mut encoder = snap::raw::Encoder::new();
        for block in data.chunks(SNAPPY_BLOCK) {
            let compressed = encoder.compress_vec(block).map_err(|e| self.damaged(&e))?;
            out.extend_from_slice(&(compressed.len() as u32).to_be_bytes());
            out.extend_from_slice(&compressed);
        }
        Ok(())
    }

    /// Reads snappy-java's blocks, and the bare block that librdkafka and franz-go write.
    fn decompress_snappy(self, data: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
        let mut out = Vec::new();
        if !data.starts_with(SNAPPY_JAVA_MAGIC) {
            self.append_snappy_block(data, &mut out, limit)?;
            return Ok(out);
        }
        let mut rest = data
            .get(SNAPPY_JAVA_HEADER..)
            .ok_or_else(|| self.damaged(&"header cut short"))?;
        while !rest.is_empty() {
            let (length, after) = rest
                .split_first_chunk::<4>()
                .ok_or_else(|| self.damaged(&"block cut short"))?;
            let length = u32::from_be_bytes(*length) as usize;
            if length > after.len() {
                return Err(self.damaged(&"block cut short"));
            }
            let (block, after) = after.split_at(length);
            self.append_snappy_block(block, &mut out, limit)?;
            rest = after;
        }
        Ok(out)
    }

    fn append_snappy_block(
        self,
        block: &[u8],
        out: &mut Vec<u8>,
        limit: usize,
    ) -> Result<(), CompressionError> {
        // The length is the block's own word: it is checked before memory is given for it.
        let length = snap::raw::decompress_len(block).map_err(|e| self.damaged(&e))?;
        if out.len().saturating_add(length) > limit {
            return Err(CompressionError::TooLarge { codec: self, limit });
        }
        let start = out.len();
        out.resize(start + length, 0);
        snap::raw::Decoder::new()
            .decompress(block, &mut out[start..])
            .map_err(|e| self.damaged(&e))?;
        Ok(())
    }

    fn damaged(self, reason: &dyn std::fmt::Display) -> CompressionError {
        CompressionError::Damaged {
            codec: self,
            reason: reason.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Compression; 5] = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_codec_gives_back_what_it_took(data in proptest::collection::vec(0u8..8, 0..100_000)) {
            for codec in ALL {
                let mut packed = Vec::new();
                codec.compress(&data, &mut packed).unwrap();
                prop_assert_eq!(&codec.decompress(&packed, data.len()).unwrap(), &data, "{:?}", codec);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(data: Vec<u8>, snappy_java: bool) {
            let mut input = if snappy_java { SNAPPY_JAVA_MAGIC.to_vec() } else { Vec::new() };
            input.extend(data);
            for codec in ALL {
                let _ = codec.decompress(&input, 1 << 20);
            }
        }
    }

    #[test]
    fn a_bomb_is_refused_before_it_fills_the_memory() {
        let zeroes = vec![0; 10_000_000];
        for codec in &ALL[1..] {
            let mut packed = Vec::new();
            codec.compress(&zeroes, &mut packed).unwrap();
            assert_eq!(
                codec.decompress(&packed, 1_000_000),
                Err(CompressionError::TooLarge {
                    codec: *codec,
                    limit: 1_000_000
                })
            );
        }
    }

    #[test]
    fn a_bare_snappy_block_is_read() {
        let packed = snap::raw::Encoder::new()
            .compress_vec(b"as librdkafka writes it")
            .unwrap();
        assert_eq!(
            Compression::Snappy.decompress(&packed, 100).unwrap(),
            b"as librdkafka writes it"
        );
    }
}
