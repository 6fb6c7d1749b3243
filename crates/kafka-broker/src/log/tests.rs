//! The log against a model that is plainly right: a list of records.

use bytes::Bytes;
use kafka_wire::ResponseError;
use kafka_wire::batch::{BatchBuilder, batches};
use kafka_wire::compression::Compression;
use proptest::prelude::*;

use super::check::{CheckedBatch, check};
use super::store::{Log, Retention};
use super::timestamps::{FoundRecord, TimestampSearch, record_by_time};

const UNBOUNDED: Retention = Retention { bytes: u64::MAX };

/// One record of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    offset: i64,
    timestamp: i64,
    value: Vec<u8>,
    /// The offset of its batch's first record.
    batch: i64,
}

#[derive(Debug, Clone)]
enum Step {
    /// Timestamps and values.
    Append(Vec<(u16, Vec<u8>)>, Codec),
    DeleteBefore(i64),
    Retain(u64),
    Lead,
    /// A leader that lacks what reaches to this offset.
    LeadUncleanly(i64),
}

#[derive(Debug, Clone, Copy)]
enum Codec {
    None,
    Lz4,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let record = (any::<u16>(), prop::collection::vec(any::<u8>(), 0..20));
    let codec = prop_oneof![Just(Codec::None), Just(Codec::Lz4)];
    let step = prop_oneof![
        6 => (prop::collection::vec(record, 1..6), codec).prop_map(|(r, c)| Step::Append(r, c)),
        1 => (-2..60i64).prop_map(Step::DeleteBefore),
        1 => (0..2000u64).prop_map(Step::Retain),
        1 => Just(Step::Lead),
        1 => (0..60i64).prop_map(Step::LeadUncleanly),
    ];
    prop::collection::vec(step, 1..40)
}

fn checked(records: &[(u16, Vec<u8>)], codec: Codec) -> CheckedBatch {
    let mut builder = BatchBuilder::with_capacity(256);
    for (timestamp, value) in records {
        builder.append((*timestamp).into(), None, Some(value), &[]);
    }
    let codec = match codec {
        Codec::None => Compression::None,
        Codec::Lz4 => Compression::Lz4,
    };
    let bytes = builder.seal(codec).unwrap().into_bytes();
    check(Some(bytes), 12, usize::MAX).unwrap()
}

#[derive(Default)]
struct Model {
    records: Vec<Record>,
    start: i64,
    end: i64,
    epoch: i32,
    /// Epoch and its first offset.
    epochs: Vec<(i32, i64)>,
}

impl Model {
    fn append(&mut self, records: &[(u16, Vec<u8>)]) -> i64 {
        let base = self.end;
        for (offset, (timestamp, value)) in (base..).zip(records) {
            self.records.push(Record {
                offset,
                timestamp: (*timestamp).into(),
                value: value.clone(),
                batch: base,
            });
        }
        self.end += records.len() as i64;
        base
    }

    /// What is left once batches that lie before the start are gone.
    fn kept(&self) -> Vec<Record> {
        let first_batch = self
            .records
            .iter()
            .find(|record| record.offset >= self.start)
            .map_or(i64::MAX, |record| record.batch);
        let kept = self.records.iter().filter(|r| r.batch >= first_batch);
        kept.cloned().collect()
    }

    /// Whole batches that reach to `end` go, as far as they are kept.
    fn truncate_to(&mut self, end: i64) {
        let kept = self.kept();
        let gone = kept.iter().find(|r| r.offset >= end).map(|r| r.batch);
        if let Some(first) = gone {
            self.records.retain(|r| r.batch < first);
            self.end = first.max(self.start);
        }
    }

    fn first_at_or_after(&self, timestamp: i64) -> Option<FoundRecord> {
        self.records
            .iter()
            .find(|r| r.offset >= self.start && r.timestamp >= timestamp)
            .map(|r| FoundRecord {
                offset: r.offset,
                timestamp: r.timestamp,
            })
    }

    fn end_of(&self, epoch: i32) -> (i32, i64) {
        if epoch == self.epoch {
            return (epoch, self.end);
        }
        let following = self.epochs.iter().find(|(other, _)| *other > epoch);
        let end = following.map_or(self.end, |(_, start)| *start);
        let floor = self.epochs.iter().rfind(|(other, _)| *other <= epoch);
        (floor.map_or(epoch, |(floor, _)| *floor), end)
    }
}

fn read_all(batch_bytes: &[Bytes]) -> Vec<Record> {
    let mut all = Vec::new();
    for bytes in batch_bytes {
        let batch = batches(bytes.clone()).next().unwrap().unwrap();
        let base = batch.header().base_offset;
        let opened = batch.open(usize::MAX).unwrap();
        for record in opened.records() {
            let record = record.unwrap();
            all.push(Record {
                offset: record.offset,
                timestamp: record.timestamp,
                value: record.value.unwrap_or_default().to_vec(),
                batch: base,
            });
        }
    }
    all
}

fn apply(log: &mut Log, model: &mut Model, step: &Step) {
    match step {
        Step::Append(records, codec) => {
            let appended = log
                .append(checked(records, *codec), model.epoch, UNBOUNDED)
                .unwrap();
            assert_eq!(appended.base_offset, model.append(records));
            assert!(!appended.duplicate);
        }
        Step::DeleteBefore(offset) => {
            let result = log.delete_before(*offset);
            if *offset > model.end {
                assert_eq!(result, Err(ResponseError::OffsetOutOfRange));
            } else {
                assert_eq!(result, Ok(()));
                model.start = model.start.max(*offset);
            }
        }
        Step::Retain(bytes) => {
            log.retain(Retention { bytes: *bytes });
            // How many batches that is depends on their encoding; that they are the newest does not.
            assert!(log.start_offset() >= model.start);
            let boundary = |r: &&Record| r.offset == log.start_offset() && r.batch == r.offset;
            if log.start_offset() != model.start {
                assert!(
                    model.records.iter().any(|r| boundary(&r)),
                    "whole batches go"
                );
            }
            model.start = log.start_offset();
            let batches = log.batches_from(model.start).count();
            assert!(log.size_bytes() <= *bytes || batches <= 1);
        }
        Step::Lead => lead(log, model),
        Step::LeadUncleanly(end) => {
            model.truncate_to(*end);
            assert_eq!(log.truncate_to(*end), model.end);
            lead(log, model);
        }
    }
}

fn lead(log: &mut Log, model: &mut Model) {
    model.epoch += 1;
    log.begin_epoch(model.epoch);
    model.epochs.retain(|(_, start)| *start < model.end);
    model.epochs.push((model.epoch, model.end));
}

fn compare(log: &Log, model: &Model) {
    assert_eq!(
        (log.start_offset(), log.end_offset()),
        (model.start, model.end)
    );
    let kept = model.kept();
    let read = log.read(model.start, usize::MAX, true).unwrap();
    assert_eq!(read_all(&read), kept);
    assert_eq!(log.record_count(), kept.len() as u64);
    assert_eq!(
        log.size_bytes(),
        read.iter().map(|bytes| bytes.len() as u64).sum::<u64>()
    );
    for outside in [model.start - 1, model.end + 1] {
        let result = log.read(outside, usize::MAX, true);
        assert_eq!(result, Err(ResponseError::OffsetOutOfRange));
    }
    for offset in model.start..model.end {
        let read = log.read(offset, 1, true).unwrap();
        assert_eq!(read.len(), 1, "the first batch comes whole");
        assert!(read_all(&read).iter().any(|record| record.offset == offset));
        assert_eq!(log.read(offset, 1, false).unwrap(), Vec::<Bytes>::new());
    }
    for epoch in 0..=model.epoch {
        let (found, end) = log.epochs().end_of(epoch, model.epoch, model.end);
        let (expected, expected_end) = model.end_of(epoch);
        // What was deleted does not count any more.
        assert_eq!(end, expected_end.max(model.start), "end of epoch {epoch}");
        if expected_end > model.start {
            assert_eq!(found, expected, "floor of epoch {epoch}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_log_is_a_list_of_records(steps in steps(), timestamp in any::<u16>()) {
        let mut log = Log::new(0);
        let mut model = Model { epochs: vec![(0, 0)], ..Model::default() };
        for step in &steps {
            apply(&mut log, &mut model, step);
            compare(&log, &model);
        }
        let found = log
            .batch_by_time(TimestampSearch::AtOrAfter(timestamp.into()))
            .and_then(|(batch, time)| record_by_time(batch, time, model.start));
        // A batch of which the start was deleted may hide the next one's records, as in Kafka.
        let whole_batches = model.kept().first().is_none_or(|r| r.offset >= model.start);
        if whole_batches {
            prop_assert_eq!(found, model.first_at_or_after(timestamp.into()));
        }
    }
}
