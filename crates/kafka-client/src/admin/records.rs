//! Deleting records.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use kafka_wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_wire::messages::{DeleteRecordsRequest, TopicName};

use super::offsets::by_topic;
use super::{Admin, PerItem, check, text, unanswered};
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
        let mut results = PerItem::new();
        let mut by_leader: BTreeMap<i32, Vec<(TopicPartition, i64)>> = BTreeMap::new();
        for (partition, leader) in self.leaders(partitions).await? {
            match (leader, before.get(&partition)) {
                (Ok(leader), Some(offset)) => by_leader
                    .entry(leader.node)
                    .or_default()
                    .push((partition, *offset)),
                (Err(error), _) => results.push((partition, Err(error))),
                (Ok(_), None) => {}
            }
        }
        let asked = by_leader.into_iter().map(|(node, partitions)| async move {
            let topics = by_topic(partitions.iter().map(|(p, o)| (p, (p.partition, *o))))
                .into_iter()
                .map(|(topic, partitions)| {
                    DeleteRecordsTopic::default()
                        .with_name(TopicName(text(&topic)))
                        .with_partitions(
                            partitions
                                .into_iter()
                                .map(|(partition, offset)| {
                                    DeleteRecordsPartition::default()
                                        .with_partition_index(partition)
                                        .with_offset(offset)
                                })
                                .collect(),
                        )
                })
                .collect();
            let request = DeleteRecordsRequest::default()
                .with_timeout_ms(self.timeout_ms())
                .with_topics(topics);
            let response = self.ask_broker(node, request).await;
            (partitions, response)
        });
        for (asked, response) in join_all(asked).await {
            for (partition, _) in asked {
                let result = match &response {
                    Err(error) => Err(error.clone()),
                    Ok(response) => {
                        let answered = response
                            .topics
                            .iter()
                            .filter(|t| *t.name.0 == *partition.topic)
                            .flat_map(|t| &t.partitions)
                            .find(|p| p.partition_index == partition.partition);
                        match answered {
                            Some(p) => {
                                check("DeleteRecords", partition.to_string(), p.error_code, None)
                                    .map(|()| p.low_watermark)
                            }
                            None => Err(unanswered("DeleteRecords", partition.to_string())),
                        }
                    }
                };
                results.push((partition, result));
            }
        }
        Ok(results)
    }
}
