//! Deleting records.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_wire::messages::{DeleteRecordsRequest, TopicName};

use super::offsets::by_topic;
use super::{Admin, PerItem, text};
use crate::error::ClientError;
use crate::topic_partition::TopicPartition;

impl Admin {
    /// Deletes the records before an offset; −1 is the end, so all of them. Returns each partition's first offset afterwards.
    ///
    /// # Errors
    ///
    /// When no answer came; `OffsetOutOfRange` is that partition's result. Topics and partitions that do not exist are treated
    /// as in [`list_offsets`](Self::list_offsets).
    pub async fn delete_records(
        &self,
        before: &[(TopicPartition, i64)],
    ) -> Result<PerItem<TopicPartition, i64>, ClientError> {
        let partitions: Vec<_> = before.iter().map(|(p, _)| p.clone()).collect();
        let before: BTreeMap<_, _> = before.iter().cloned().collect();
        // Deleting what is deleted does nothing, so an attempt whose answer was lost may be repeated.
        self.attempts_at_each("deleting records", self.patience(), &partitions, |open| {
            self.delete_records_once(open, &before)
        })
        .await
    }

    async fn delete_records_once(
        &self,
        partitions: Vec<TopicPartition>,
        before: &BTreeMap<TopicPartition, i64>,
    ) -> Result<PerItem<TopicPartition, i64>, ClientError> {
        let request = |partitions: &[(TopicPartition, i32)]| {
            let before = partitions
                .iter()
                .filter_map(|(p, _)| Some((p, (p.partition, *before.get(p)?))));
            DeleteRecordsRequest::default()
                .with_timeout_ms(self.timeout_ms())
                .with_topics(deletions(by_topic(before)))
        };
        self.ask_leaders(partitions, request, |r| &r.topics, |p| p.low_watermark)
            .await
    }
}

fn deletions(before: BTreeMap<Arc<str>, Vec<(i32, i64)>>) -> Vec<DeleteRecordsTopic> {
    let topic = |(topic, partitions): (Arc<str>, Vec<(i32, i64)>)| {
        let partitions = partitions.into_iter().map(|(partition, offset)| {
            DeleteRecordsPartition::default()
                .with_partition_index(partition)
                .with_offset(offset)
        });
        DeleteRecordsTopic::default()
            .with_name(TopicName(text(&topic)))
            .with_partitions(partitions.collect())
    };
    before.into_iter().map(topic).collect()
}
