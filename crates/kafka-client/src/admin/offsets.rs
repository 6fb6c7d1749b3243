//! Offsets of logs: the ends, and by time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kafka_wire::ResponseError;
use kafka_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_wire::messages::list_offsets_response::ListOffsetsPartitionResponse;
use kafka_wire::messages::{BrokerId, ListOffsetsRequest, TopicName};

use super::{Admin, PerItem, text, unanswered};
use crate::cluster::{Leader, TopicMetadata};
use crate::error::ClientError;
use crate::topic_partition::TopicPartition;

/// A place in a partition's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetAt {
    /// The first offset that is still there.
    Earliest,
    /// The offset of the next record to be written (the high watermark).
    Latest,
    /// The first record with at least this timestamp, in milliseconds since 1970.
    Timestamp(i64),
}

impl OffsetAt {
    fn code(self) -> i64 {
        match self {
            Self::Latest => -1,
            Self::Earliest => -2,
            Self::Timestamp(millis) => millis,
        }
    }
}

/// What was found at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedOffset {
    /// The offset; none if no record has the timestamp that was asked for, or a later one.
    pub offset: Option<i64>,
    /// The record's timestamp, where it was asked for by timestamp.
    pub timestamp: Option<i64>,
    /// The leader's epoch of that record, −1 where unknown.
    pub leader_epoch: i32,
}

impl Admin {
    /// Offsets of partitions at a place in their logs.
    ///
    /// # Errors
    ///
    /// When the partitions' leaders cannot be learned; what fails for a partition is that partition's result. A topic that does
    /// not exist is `UnknownTopicOrPartition`, and a partition that it does not have [`ClientError::UnknownPartition`], after
    /// about 0.7 s in which it is asked for again: one that was just made is not yet known to every broker.
    pub async fn list_offsets(
        &self,
        partitions: &[TopicPartition],
        at: OffsetAt,
    ) -> Result<PerItem<TopicPartition, ListedOffset>, ClientError> {
        let patience = self.patience();
        self.attempts_at_each("listing offsets", patience, partitions, |open| {
            self.list_once(open, at)
        })
        .await
    }

    async fn list_once(
        &self,
        partitions: Vec<TopicPartition>,
        at: OffsetAt,
    ) -> Result<PerItem<TopicPartition, ListedOffset>, ClientError> {
        let request = |partitions: &[(TopicPartition, i32)]| {
            ListOffsetsRequest::default()
                .with_replica_id(BrokerId(-1))
                .with_timeout_ms(self.timeout_ms())
                .with_topics(list_topics(partitions, at))
        };
        self.ask_leaders(partitions, request, |r| &r.topics, listed)
            .await
    }

    /// The partitions' leaders, as a broker knows them now. What the client remembers does not tell whether a topic that is
    /// missing there was asked for at all.
    pub(super) async fn leaders(
        &self,
        partitions: Vec<TopicPartition>,
    ) -> Result<PerItem<TopicPartition, Leader>, ClientError> {
        let topics: BTreeSet<&str> = partitions.iter().map(|p| &*p.topic).collect();
        let topics: Vec<&str> = topics.into_iter().collect();
        let described: BTreeMap<_, _> = self.describe_once(&topics).await?.into_iter().collect();
        let mut leaders = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let leader = match described.get(&*partition.topic) {
                Some(Ok(topic)) => leader_in(topic, &partition),
                Some(Err(error)) => Err(error.clone()),
                None => Err(unanswered("Metadata", &*partition.topic)),
            };
            leaders.push((partition, leader));
        }
        Ok(leaders)
    }
}

fn listed(partition: &ListOffsetsPartitionResponse) -> ListedOffset {
    ListedOffset {
        offset: (partition.offset >= 0).then_some(partition.offset),
        timestamp: (partition.timestamp >= 0).then_some(partition.timestamp),
        leader_epoch: partition.leader_epoch,
    }
}

fn leader_in(topic: &TopicMetadata, partition: &TopicPartition) -> Result<Leader, ClientError> {
    let found = usize::try_from(partition.partition)
        .ok()
        .and_then(|p| topic.partitions.get(p));
    let found = found.ok_or_else(|| ClientError::UnknownPartition {
        topic: Arc::clone(&partition.topic),
        partition: partition.partition,
    })?;
    match found.leader {
        Some(node) => Ok(Leader {
            node,
            epoch: found.leader_epoch,
        }),
        None => Err(ClientError::broker(
            "Metadata",
            partition.to_string(),
            ResponseError::LeaderNotAvailable,
        )),
    }
}

fn list_topics(partitions: &[(TopicPartition, i32)], at: OffsetAt) -> Vec<ListOffsetsTopic> {
    by_topic(
        partitions
            .iter()
            .map(|(p, epoch)| (p, (p.partition, *epoch))),
    )
    .into_iter()
    .map(|(topic, partitions)| {
        ListOffsetsTopic::default()
            .with_name(TopicName(text(&topic)))
            .with_partitions(
                partitions
                    .into_iter()
                    .map(|(partition, epoch)| {
                        ListOffsetsPartition::default()
                            .with_partition_index(partition)
                            .with_current_leader_epoch(epoch)
                            .with_timestamp(at.code())
                    })
                    .collect(),
            )
    })
    .collect()
}

/// Groups what belongs to partitions by their topics.
pub(super) fn by_topic<'a, T>(
    items: impl Iterator<Item = (&'a TopicPartition, T)>,
) -> BTreeMap<Arc<str>, Vec<T>> {
    let mut topics: BTreeMap<Arc<str>, Vec<T>> = BTreeMap::new();
    for (partition, item) in items {
        topics
            .entry(Arc::clone(&partition.topic))
            .or_default()
            .push(item);
    }
    topics
}
