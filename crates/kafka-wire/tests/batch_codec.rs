//! The record batch codec: what is written is read, and nothing that is read can panic.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bytes::Bytes;
use kafka_wire::batch::{
    BatchBuilder, BatchError, ControlType, HEADER_LEN, RecordBatch, batches, set_base_offset,
};
use kafka_wire::compression::Compression;
use proptest::prelude::*;

const LIMIT: usize = 1 << 24;

type OwnedHeader = (String, Option<Vec<u8>>);

#[derive(Debug, Clone, PartialEq)]
struct OwnedRecord {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<OwnedHeader>,
}

fn record() -> impl Strategy<Value = OwnedRecord> {
    let bytes = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200));
    // Few names, so that they repeat.
    let header = ("[a-c]{0,2}", bytes());
    (
        0..i64::MAX / 2,
        bytes(),
        bytes(),
        proptest::collection::vec(header, 0..5),
    )
        .prop_map(|(timestamp, key, value, headers)| OwnedRecord {
            timestamp,
            key,
            value,
            headers,
        })
}

fn compression() -> impl Strategy<Value = Compression> {
    prop::sample::select(vec![
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ])
}

fn encode(records: &[OwnedRecord], compression: Compression) -> Vec<u8> {
    let mut builder = BatchBuilder::with_capacity(0);
    for r in records {
        let headers: Vec<_> = r
            .headers
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_deref()))
            .collect();
        let before = builder.len();
        builder.append(r.timestamp, r.key.as_deref(), r.value.as_deref(), &headers);
        let bound = BatchBuilder::record_len_bound(r.key.as_deref(), r.value.as_deref(), &headers);
        assert!(builder.len() - before <= bound);
    }
    builder.seal(compression).unwrap().into_bytes().to_vec()
}

fn open_one(bytes: Vec<u8>) -> Result<RecordBatch, BatchError> {
    batches(Bytes::from(bytes)).next().unwrap()?.open(LIMIT)
}

fn owned(batch: &RecordBatch) -> Result<Vec<OwnedRecord>, BatchError> {
    batch
        .records()
        .map(|record| {
            record.map(|r| OwnedRecord {
                timestamp: r.timestamp,
                key: r.key.map(<[u8]>::to_vec),
                value: r.value.map(<[u8]>::to_vec),
                headers: r
                    .headers
                    .map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec)))
                    .collect(),
            })
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_is_read(
        records in proptest::collection::vec(record(), 1..20),
        compression in compression(),
        base_offset in 0..1i64 << 40,
    ) {
        let mut bytes = encode(&records, compression);
        set_base_offset(&mut bytes, base_offset).unwrap();
        let batch = open_one(bytes).unwrap();
        prop_assert_eq!(owned(&batch).unwrap(), records.clone());
        let offsets: Vec<i64> = batch.records().map(|r| r.unwrap().offset).collect();
        prop_assert_eq!(offsets, (base_offset..base_offset + records.len() as i64).collect::<Vec<_>>());
        prop_assert_eq!(batch.header().max_timestamp, records.iter().map(|r| r.timestamp).max().unwrap());
        prop_assert_eq!(batch.header().last_offset(), base_offset + records.len() as i64 - 1);
    }

    #[test]
    fn a_batch_split_in_two_has_the_same_records(
        records in proptest::collection::vec(record(), 0..20),
        compression in compression(),
        count in 0u32..25,
    ) {
        let mut rest = open_one(encode(&records, compression)).unwrap();
        let first = rest.split_to(count).unwrap();
        prop_assert_eq!(first.record_count() as usize, records.len().min(count as usize));
        prop_assert_eq!(rest.record_count() as usize, records.len() - first.record_count() as usize);
        let offsets: Vec<_> = first.records().chain(rest.records()).map(|r| r.unwrap().offset).collect();
        prop_assert_eq!(offsets, (0..records.len() as i64).collect::<Vec<_>>());
        let mut both = owned(&first).unwrap();
        both.extend(owned(&rest).unwrap());
        prop_assert_eq!(both, records);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for batch in batches(Bytes::from(bytes)).flatten() {
            if let Ok(batch) = batch.open(LIMIT) {
                let _ = owned(&batch);
            }
        }
    }

    /// Past the checksum, where a broker or a client with a bug of its own would be.
    #[test]
    fn damaged_records_under_a_true_checksum_are_read_or_refused(
        records in proptest::collection::vec(record(), 1..5),
        compression in compression(),
        damage in proptest::collection::vec((17usize..400, any::<u8>()), 1..8),
    ) {
        let mut bytes = encode(&records, compression);
        for (at, byte) in damage {
            let at = 21 + at % (bytes.len() - 21);
            bytes[at] = byte;
        }
        let crc = crc32c::crc32c(&bytes[21..]).to_be_bytes();
        bytes[17..21].copy_from_slice(&crc);
        for batch in batches(Bytes::from(bytes)).flatten() {
            if let Ok(batch) = batch.open(LIMIT) {
                let _ = owned(&batch);
                let _ = batch.control_type();
            }
        }
    }

    #[test]
    fn one_flipped_bit_is_found(
        records in proptest::collection::vec(record(), 1..5),
        bit in any::<prop::sample::Index>(),
    ) {
        let mut bytes = encode(&records, Compression::None);
        let bit = 21 * 8 + bit.index((bytes.len() - 21) * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(open_one(bytes).is_err());
    }

    #[test]
    fn a_fetch_cut_anywhere_gives_the_whole_batches(
        records in proptest::collection::vec(record(), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let one = encode(&records, Compression::None);
        let three = [one.clone(), one.clone(), one.clone()].concat();
        let cut = cut.index(three.len() + 1);
        let found: Vec<_> = batches(Bytes::from(three[..cut].to_vec())).collect();
        if cut == 0 {
            prop_assert!(found.is_empty());
        } else if cut < one.len() {
            // Skipping it in silence would make a consumer ask for the same bytes forever.
            let refused = matches!(found[..], [Err(BatchError::Truncated { .. })]);
            prop_assert!(refused);
        } else {
            prop_assert_eq!(found.len(), cut / one.len());
            prop_assert!(found.iter().all(Result::is_ok));
        }
    }
}

#[test]
fn the_stamp_of_the_producer_is_under_the_checksum() {
    let mut builder = BatchBuilder::with_capacity(100);
    builder.append(1, None, Some(b"v"), &[]);
    let mut sealed = builder.seal(Compression::None).unwrap();
    sealed.stamp(77, 3, 2_000_000_000);
    let batch = open_one(sealed.into_bytes().to_vec()).unwrap();
    let header = batch.header();
    assert_eq!(
        (
            header.producer_id,
            header.producer_epoch,
            header.base_sequence
        ),
        (77, 3, 2_000_000_000)
    );
    assert!(header.is_idempotent());
}

#[test]
fn a_control_batch_is_recognised() {
    for (kind, expected) in [
        (0, ControlType::Abort),
        (1, ControlType::Commit),
        (5, ControlType::Other(5)),
    ] {
        let mut builder = BatchBuilder::with_capacity(100);
        builder.append(1, Some(&[0, 0, 0, kind]), Some(&[0, 0, 0, 0, 0, 9]), &[]);
        let mut bytes = builder
            .seal(Compression::None)
            .unwrap()
            .into_bytes()
            .to_vec();
        bytes[22] |= 1 << 5 | 1 << 4;
        let crc = crc32c::crc32c(&bytes[21..]).to_be_bytes();
        bytes[17..21].copy_from_slice(&crc);
        let batch = open_one(bytes).unwrap();
        assert!(batch.header().is_control() && batch.header().is_transactional());
        assert_eq!(batch.control_type(), Ok(Some(expected)));
    }
}

#[test]
fn an_old_format_is_named() {
    let mut builder = BatchBuilder::with_capacity(100);
    builder.append(1, None, None, &[]);
    let mut bytes = builder
        .seal(Compression::None)
        .unwrap()
        .into_bytes()
        .to_vec();
    bytes[16] = 1;
    assert_eq!(
        open_one(bytes).unwrap_err(),
        BatchError::UnknownMagic {
            base_offset: 0,
            magic: 1
        }
    );
}

#[test]
fn a_batch_that_compression_makes_larger_stays_as_it_is() {
    let mut builder = BatchBuilder::with_capacity(100);
    builder.append(1, None, Some(b"x"), &[]);
    let plain = builder.len();
    let sealed = builder.seal(Compression::Gzip).unwrap();
    assert_eq!(sealed.len(), plain);
    let batch = open_one(sealed.into_bytes().to_vec()).unwrap();
    assert_eq!(batch.header().compression(), Ok(Compression::None));
    assert_eq!(batch.records().count(), 1);
}

#[test]
fn the_header_is_61_bytes_and_fields_lie_where_kafka_puts_them() {
    let mut builder = BatchBuilder::with_capacity(100);
    builder.append(
        0x0102_0304_0506,
        Some(b"k"),
        Some(b"v"),
        &[("h", Some(b"x"))],
    );
    let bytes = builder.seal(Compression::None).unwrap().into_bytes();
    assert_eq!(&bytes[..8], &[0; 8], "base offset");
    assert_eq!(
        bytes[8..12],
        ((bytes.len() - 12) as u32).to_be_bytes(),
        "batch length"
    );
    assert_eq!(bytes[16], 2, "magic");
    assert_eq!(
        bytes[27..35],
        0x0102_0304_0506u64.to_be_bytes(),
        "base timestamp"
    );
    assert_eq!(bytes[57..61], 1u32.to_be_bytes(), "record count");
    // length 12, attributes, timestamp delta, offset delta, key, value, one header
    assert_eq!(
        &bytes[HEADER_LEN..],
        &[24, 0, 0, 0, 2, b'k', 2, b'v', 2, 2, b'h', 2, b'x']
    );
}
