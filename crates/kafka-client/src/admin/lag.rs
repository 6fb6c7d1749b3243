//! How far a group is behind.

use std::collections::BTreeMap;

use kafka_wire::ResponseError;

use super::{Admin, CommittedOffset, OffsetAt};
use crate::error::ClientError;
use crate::topic_partition::TopicPartition;

/// One partition of a group: the row of a table that shows its lag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LagRow {
    /// The topic.
    pub topic: std::sync::Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The next offset that the group will handle; none if it has committed nothing.
    pub committed: Option<i64>,
    /// The first offset that is still in the log.
    pub log_start: i64,
    /// The offset of the next record to be written.
    pub end: i64,
    /// Records between: `max(end − max(committed, log_start), 0)`, and where nothing is committed all that there are.
    pub lag: i64,
    /// Who holds the partition: a member's id; none if nobody does.
    pub member: Option<String>,
}

impl Admin {
    /// A group's partitions, by topic and partition, with their lag: those that it has
    /// [read or has yet to read](super::GroupDescription::partitions_read).
    ///
    /// The figures are read one after the other, so on a busy topic they may be of slightly different moments. A partition that is gone is left
    /// out.
    ///
    /// # Errors
    ///
    /// When the group's or the logs' offsets cannot be learned. A group that does not exist has no rows.
    pub async fn lag(&self, group: &str) -> Result<Vec<LagRow>, ClientError> {
        let committed = self.group_offsets(group).await?;
        let description = self.describe(group).await?;
        let mut holders: BTreeMap<TopicPartition, String> = BTreeMap::new();
        for member in &description.members {
            for partition in &member.assignment {
                holders.insert(partition.clone(), member.member_id.clone());
            }
        }
        let named = description.named(committed.keys()).into_iter();
        let mut topics: Vec<&str> = named.map(|partition| &*partition.topic).collect();
        topics.dedup();
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let mut there: BTreeMap<String, usize> = BTreeMap::new();
        for (topic, described) in self.describe_topics(&topics).await? {
            match described {
                Ok(described) => {
                    there.insert(topic, described.partitions.len());
                }
                Err(ClientError::Broker {
                    code: ResponseError::UnknownTopicOrPartition,
                    ..
                }) => {}
                Err(error) => return Err(error),
            }
        }
        let partitions: Vec<_> = description
            .partitions_read(committed.keys(), |topic| there.get(topic).copied())
            .into_iter()
            .collect();
        self.rows(&partitions, &committed, holders).await
    }

    /// Partitions of which nothing is committed and which nobody holds, in their order: their lag is all that is in their logs.
    ///
    /// # Errors
    ///
    /// When the logs' offsets cannot be learned, or one of the partitions is not there.
    pub async fn lag_uncommitted(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<LagRow>, ClientError> {
        self.rows(partitions, &BTreeMap::new(), BTreeMap::new())
            .await
    }

    async fn rows(
        &self,
        partitions: &[TopicPartition],
        committed: &BTreeMap<TopicPartition, CommittedOffset>,
        mut holders: BTreeMap<TopicPartition, String>,
    ) -> Result<Vec<LagRow>, ClientError> {
        let (starts, ends) = tokio::try_join!(
            self.list_offsets(partitions, OffsetAt::Earliest),
            self.list_offsets(partitions, OffsetAt::Latest)
        )?;
        let mut rows = Vec::with_capacity(starts.len());
        for ((partition, start), (_, end)) in starts.into_iter().zip(ends) {
            let log_start = start?.offset.unwrap_or_default();
            let end = end?.offset.unwrap_or_default();
            let committed = committed.get(&partition).map(|c| c.offset);
            rows.push(LagRow {
                committed,
                log_start,
                end,
                lag: (end - committed.unwrap_or(log_start).max(log_start)).max(0),
                member: holders.remove(&partition),
                topic: partition.topic,
                partition: partition.partition,
            });
        }
        Ok(rows)
    }
}
