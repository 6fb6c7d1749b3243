//! A batch that was refused for its size, in two (KIP-126).

use bytes::Bytes;
use kafka_wire::batch::{BatchBuilder, HEADER_LEN, batches};

/// More than a batch ever has.
const LIMIT: usize = i32::MAX as usize;

/// The batch's records in two batches of about as many bytes, not compressed; none where it has only one record.
pub(super) fn halves(batch: &Bytes) -> Option<[BatchBuilder; 2]> {
    // It was made here, so it can be read, and is no larger than it was.
    let batch = batches(batch.clone()).next()?.ok()?;
    let batch = batch.open(LIMIT).ok()?;
    let count = batch.record_count();
    if count < 2 {
        return None;
    }
    let half = HEADER_LEN + batch.records_bytes().len() / 2;
    let mut left = BatchBuilder::with_capacity(half);
    let mut right = BatchBuilder::with_capacity(half);
    let mut headers = Vec::new();
    for (record, place) in batch.records().zip(1..) {
        let record = record.ok()?;
        headers.clear();
        headers.extend(record.headers.map(|header| (header.key, header.value)));
        let is_left = left.is_empty() || (right.is_empty() && left.len() < half && place < count);
        let side = if is_left { &mut left } else { &mut right };
        side.append(record.timestamp, record.key, record.value, &headers);
    }
    Some([left, right])
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_wire::compression::Compression;
    use proptest::prelude::*;

    type Record = (i64, Option<Vec<u8>>, Vec<u8>, Option<Vec<u8>>);

    fn sealed(builder: BatchBuilder, compression: Compression) -> Bytes {
        builder.seal(compression).unwrap().into_bytes()
    }

    fn records(batch: Bytes) -> Vec<Record> {
        let batch = batches(batch).next().unwrap().unwrap();
        let batch = batch.open(LIMIT).unwrap();
        let read = batch.records().map(|record| {
            let record = record.unwrap();
            let header = record
                .headers
                .clone()
                .next()
                .unwrap()
                .value
                .map(<[u8]>::to_vec);
            let value = record.value.unwrap().to_vec();
            (
                record.timestamp,
                record.key.map(<[u8]>::to_vec),
                value,
                header,
            )
        });
        read.collect()
    }

    proptest! {
        #[test]
        fn both_have_some_and_together_all(
            sent in prop::collection::vec(
                (0i64..1_000, any::<Option<Vec<u8>>>(), any::<Vec<u8>>(), any::<Option<Vec<u8>>>()), 1..40
            ),
            compressed: bool,
        ) {
            let mut builder = BatchBuilder::with_capacity(0);
            for (timestamp, key, value, header) in &sent {
                builder.append(*timestamp, key.as_deref(), Some(value), &[("h", header.as_deref())]);
            }
            let compression = if compressed { Compression::Lz4 } else { Compression::None };
            let Some(halves) = halves(&sealed(builder, compression)) else {
                prop_assert_eq!(sent.len(), 1);
                return Ok(());
            };
            let parts = halves.map(|half| records(sealed(half, Compression::None)));
            prop_assert!(parts.iter().all(|part| !part.is_empty()));
            prop_assert_eq!(parts.concat(), sent);
        }
    }
}
