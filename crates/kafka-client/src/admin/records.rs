//! Deleting records.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use kafka_wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_wire::messages::{DeleteRecordsRequest, TopicName};
use tokio::time::Instant;

use super::offsets::{by_topic, in_order};
use super::{Admin, PerItem, check, first_retriable, text, unanswered};
use crate::cluster::Purpose;
use crate::error::ClientError;
use crate::topic_partition::TopicPartition;

impl Admin {
    /// Deletes the records before an offset; −1 is the end, so all of them. Returns each partition's first offset afterwards.
    ///
    /// # Errors
    ///
    /// When no answer came; `OffsetOutOfRange` is that partition's result.
    pub async fn delete_records(
        &self,
        before: &[(TopicPartition, i64)],
    ) -> Result<PerItem<TopicPartition, i64>, ClientError> {
        let deadline = self.deadline();
        let results = self
            .attempts("deleting records", deadline, || async {
                // Deleting what is deleted does nothing, so all are asked again.
                let results = self.delete_records_once(before, deadline).await;
                match first_retriable(&results) {
                    Some(error) => Err(error.clone()),
                    None => Ok(results),
                }
            })
            .await?;
        let partitions: Vec<_> = before.iter().map(|(p, _)| p.clone()).collect();
        Ok(in_order(
            &partitions,
            results.into_iter().collect(),
            "DeleteRecords",
        ))
    }

    async fn delete_records_once(
        &self,
        before: &[(TopicPartition, i64)],
        deadline: Instant,
    ) -> PerItem<TopicPartition, i64> {
        let mut results = PerItem::new();
        let mut by_leader: BTreeMap<i32, Vec<(TopicPartition, i64)>> = BTreeMap::new();
        for (partition, offset) in before {
            match self.leader_of(partition, deadline).await {
                Ok((node, _)) => by_leader
                    .entry(node)
                    .or_default()
                    .push((partition.clone(), *offset)),
                Err(error) => results.push((partition.clone(), Err(error))),
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
            let response = self
                .cluster
                .request_to(node, Purpose::General, request)
                .await;
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
        results
    }
}
