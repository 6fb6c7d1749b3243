use bytes::Bytes;
use kafka_wire::batch::{BatchBuilder, BatchError, BatchHeader, set_base_offset};
use kafka_wire::compression::Compression;
use proptest::prelude::*;

use super::{Chunk, Decoder, Taken, end_of};

const LIMIT: usize = 1 << 20;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;

/// A batch of `count` records at `base`, each with its offset as the value.
fn batch(base: i64, count: i64) -> Vec<u8> {
    let mut builder = BatchBuilder::with_capacity(0);
    for offset in base..base + count {
        builder.append(0, None, Some(offset.to_string().as_bytes()), &[]);
    }
    let mut bytes = builder
        .seal(Compression::None)
        .unwrap()
        .into_bytes()
        .to_vec();
    set_base_offset(&mut bytes, base).unwrap();
    bytes
}

/// The batch as a transactional producer writes it, or as a marker.
fn with(mut batch: Vec<u8>, attributes: i16, producer: i64) -> Vec<u8> {
    batch[21..23].copy_from_slice(&attributes.to_be_bytes());
    batch[43..51].copy_from_slice(&producer.to_be_bytes());
    sign(batch)
}

fn sign(mut batch: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

/// A marker: 0 aborts, 1 commits.
fn marker(offset: i64, producer: i64, kind: u8) -> Vec<u8> {
    let mut builder = BatchBuilder::with_capacity(0);
    builder.append(0, Some(&[0, 0, 0, kind]), Some(&[0; 6]), &[]);
    let mut bytes = builder
        .seal(Compression::None)
        .unwrap()
        .into_bytes()
        .to_vec();
    set_base_offset(&mut bytes, offset).unwrap();
    with(bytes, TRANSACTIONAL | CONTROL, producer)
}

/// The batch as compaction leaves it: it covers offsets up to `last` although its records end before.
fn up_to(mut batch: Vec<u8>, base: i64, last: i64) -> Vec<u8> {
    let delta = i32::try_from(last - base).unwrap();
    batch[23..27].copy_from_slice(&delta.to_be_bytes());
    sign(batch)
}

fn chunk(batches: &[Vec<u8>], aborted: &[(i64, i64)]) -> Chunk {
    let records = Bytes::from(batches.concat());
    let end = end_of(&records).unwrap();
    assert_eq!(end.length, records.len());
    Chunk {
        records,
        aborted: aborted.to_vec(),
        next_offset: end.next_offset,
    }
}

/// The offsets in polls of `max` each, and the position in the end.
fn read(chunk: Chunk, from: i64, max: usize) -> (Vec<i64>, i64) {
    let mut decoder = Decoder::new(chunk, LIMIT);
    let mut position = from;
    let mut offsets = Vec::new();
    while !decoder.is_finished() {
        let mut taken = Taken::default();
        decoder.take(&mut position, max, &mut taken).unwrap();
        let before = offsets.len();
        for batch in &taken.batches {
            for record in batch.records() {
                let record = record.unwrap();
                assert_eq!(record.value, Some(record.offset.to_string().as_bytes()));
                offsets.push(record.offset);
            }
        }
        assert_eq!(offsets.len() - before, taken.records);
        assert!(taken.records <= max);
        assert!(offsets.last().is_none_or(|last| *last < position));
    }
    (offsets, position)
}

proptest! {
    #[test]
    fn every_record_from_the_position_on_is_taken_once(
        sizes in proptest::collection::vec(1i64..20, 1..6),
        from in 0i64..120,
        max in 1usize..30,
    ) {
        let mut end = 0;
        let mut all = Vec::new();
        for size in &sizes {
            all.push(batch(end, *size));
            end += size;
        }
        let (offsets, position) = read(chunk(&all, &[]), from, max);
        prop_assert_eq!(offsets, (from..end).collect::<Vec<_>>());
        prop_assert_eq!(position, end.max(from));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let next_offset = end_of(&bytes).map_or(0, |end| end.next_offset);
        let chunk = Chunk { records: Bytes::from(bytes), aborted: Vec::new(), next_offset };
        let mut decoder = Decoder::new(chunk, LIMIT);
        let _ = decoder.take(&mut 0, 10, &mut Taken::default());
    }
}

#[test]
fn a_batch_cut_short_is_not_counted() {
    let mut bytes = [batch(0, 3), batch(3, 3)].concat();
    let whole = batch(0, 3).len();
    bytes.truncate(whole + 70);
    let end = end_of(&bytes).unwrap();
    assert_eq!((end.next_offset, end.length), (3, whole));
    assert_eq!(end_of(&bytes[..whole - 1]), None);
}

#[test]
fn aborted_records_and_markers_are_left_out() {
    let batches = [
        with(batch(0, 2), TRANSACTIONAL, 7),
        with(batch(2, 1), TRANSACTIONAL, 8),
        batch(3, 1),
        marker(4, 7, 0),
        with(batch(5, 1), TRANSACTIONAL, 7),
        marker(6, 8, 1),
        marker(7, 7, 1),
    ];
    // Producer 7's first transaction was aborted, its second and producer 8's were committed.
    let (offsets, position) = read(chunk(&batches, &[(7, 0)]), 0, 10);
    assert_eq!(offsets, [2, 3, 5]);
    assert_eq!(position, 8);
    // read_uncommitted names no transaction.
    assert_eq!(read(chunk(&batches, &[]), 0, 1).0, [0, 1, 2, 3, 5]);
}

#[test]
fn a_chunk_of_markers_moves_the_position() {
    assert_eq!(read(chunk(&[marker(4, 7, 1)], &[]), 4, 10), (vec![], 5));
}

#[test]
fn a_compacted_tail_is_passed_over() {
    let batches = [up_to(batch(0, 2), 0, 9), batch(10, 1)];
    assert_eq!(read(chunk(&batches, &[]), 0, 2), (vec![0, 1, 10], 11));
    let empty = up_to(batch(0, 0), 0, 9);
    assert_eq!(BatchHeader::read(&empty).unwrap().record_count, 0);
    assert_eq!(read(chunk(&[empty], &[]), 0, 2), (vec![], 10));
}

#[test]
fn a_damaged_batch_is_told_of_after_what_came_before_it() {
    let mut damaged = batch(3, 3);
    *damaged.last_mut().unwrap() ^= 1;
    let mut decoder = Decoder::new(chunk(&[batch(0, 3), damaged], &[]), LIMIT);
    let mut position = 0;
    let mut taken = Taken::default();
    let error = decoder.take(&mut position, 100, &mut taken).unwrap_err();
    assert!(
        matches!(error, BatchError::Checksum { base_offset: 3, .. }),
        "{error}"
    );
    assert_eq!((position, taken.records), (3, 3));
}
