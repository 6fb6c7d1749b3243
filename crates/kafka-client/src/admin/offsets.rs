//! Offsets: of logs by time, and of groups.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use kafka_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_wire::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_wire::messages::{
    BrokerId, GroupId, ListOffsetsRequest, OffsetCommitRequest, OffsetFetchRequest, TopicName,
};
use tokio::time::Instant;

use super::{Admin, PerItem, check, first_retriable, text, unanswered};
use crate::cluster::Purpose;
use crate::error::{ClientError, Remedy};
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

/// What a group has committed for a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset to be handled.
    pub offset: i64,
    /// The leader's epoch that was committed with it, −1 for none.
    pub leader_epoch: i32,
    /// The committer's note.
    pub metadata: String,
}

impl Admin {
    /// Offsets of partitions at a place in their logs.
    ///
    /// # Errors
    ///
    /// When the partitions' leaders cannot be learned; what fails for a partition is that partition's result.
    pub async fn list_offsets(
        &self,
        partitions: &[TopicPartition],
        at: OffsetAt,
    ) -> Result<PerItem<TopicPartition, ListedOffset>, ClientError> {
        let deadline = self.deadline();
        let results = self
            .attempts("listing offsets", deadline, || async {
                // All are asked again: a call is small, and its answers then of about one time.
                let results = self.list_once(partitions, at, deadline).await;
                match first_retriable(&results) {
                    Some(error) => Err(error.clone()),
                    None => Ok(results),
                }
            })
            .await?;
        let found = results.into_iter().collect();
        Ok(in_order(partitions, found, "ListOffsets"))
    }

    async fn list_once(
        &self,
        partitions: &[TopicPartition],
        at: OffsetAt,
        deadline: Instant,
    ) -> PerItem<TopicPartition, ListedOffset> {
        let mut results = Vec::with_capacity(partitions.len());
        let mut by_leader: BTreeMap<i32, Vec<(TopicPartition, i32)>> = BTreeMap::new();
        for partition in partitions {
            match self.leader_of(partition, deadline).await {
                Ok((node, epoch)) => by_leader
                    .entry(node)
                    .or_default()
                    .push((partition.clone(), epoch)),
                Err(error) => results.push((partition.clone(), Err(error))),
            }
        }
        let asked = by_leader.into_iter().map(|(node, partitions)| async move {
            let request = ListOffsetsRequest::default()
                .with_replica_id(BrokerId(-1))
                .with_timeout_ms(self.timeout_ms())
                .with_topics(list_topics(&partitions, at));
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
                            None => Err(unanswered("ListOffsets", partition.to_string())),
                            Some(p) => {
                                check("ListOffsets", partition.to_string(), p.error_code, None).map(
                                    |()| ListedOffset {
                                        offset: (p.offset >= 0).then_some(p.offset),
                                        timestamp: (p.timestamp >= 0).then_some(p.timestamp),
                                        leader_epoch: p.leader_epoch,
                                    },
                                )
                            }
                        }
                    }
                };
                results.push((partition, result));
            }
        }
        results
    }

    /// The partition's leader and its epoch.
    pub(super) async fn leader_of(
        &self,
        partition: &TopicPartition,
        deadline: Instant,
    ) -> Result<(i32, i32), ClientError> {
        let topic = self.cluster.topic(&partition.topic, deadline).await?;
        let found = usize::try_from(partition.partition)
            .ok()
            .and_then(|p| topic.partitions.get(p));
        let unknown = || ClientError::UnknownPartition {
            topic: Arc::clone(&partition.topic),
            partition: partition.partition,
        };
        let found = found.ok_or_else(unknown)?;
        match found.leader {
            Some(node) => Ok((node, found.leader_epoch)),
            None => Err(ClientError::broker(
                "Metadata",
                partition.to_string(),
                kafka_wire::ResponseError::LeaderNotAvailable,
            )),
        }
    }

    /// What a group has committed, for all partitions that it has committed anything for.
    ///
    /// # Errors
    ///
    /// When no answer came. A group that does not exist has committed nothing: the map is empty.
    pub async fn group_offsets(
        &self,
        group: &str,
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>, ClientError> {
        self.fetch_offsets(group, None).await
    }

    /// What a group has committed for these partitions; one without a commit is not in the map.
    ///
    /// # Errors
    ///
    /// When no answer came.
    pub async fn group_offsets_of(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>, ClientError> {
        self.fetch_offsets(group, Some(partitions)).await
    }

    async fn fetch_offsets(
        &self,
        group: &str,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>, ClientError> {
        let what = format!("fetching the offsets of group {group}");
        self.attempts(&what, self.deadline(), || async {
            let topics = partitions.map(|partitions| {
                by_topic(partitions.iter().map(|p| (p, p.partition)))
                    .into_iter()
                    .map(|(topic, indexes)| {
                        OffsetFetchRequestTopic::default()
                            .with_name(TopicName(text(&topic)))
                            .with_partition_indexes(indexes)
                    })
                    .collect()
            });
            let request = OffsetFetchRequest::default()
                .with_group_id(GroupId(text(group)))
                .with_topics(topics);
            let response = self.ask_coordinator(group, request).await?;
            check("OffsetFetch", group, response.error_code, None)?;
            let mut committed = BTreeMap::new();
            for topic in &response.topics {
                let name: Arc<str> = Arc::from(topic.name.0.as_str());
                for p in &topic.partitions {
                    let partition = TopicPartition::new(Arc::clone(&name), p.partition_index);
                    check("OffsetFetch", partition.to_string(), p.error_code, None)?;
                    if p.committed_offset >= 0 {
                        committed.insert(
                            partition,
                            CommittedOffset {
                                offset: p.committed_offset,
                                leader_epoch: p.committed_leader_epoch,
                                metadata: p
                                    .metadata
                                    .as_ref()
                                    .map(ToString::to_string)
                                    .unwrap_or_default(),
                            },
                        );
                    }
                }
            }
            Ok(committed)
        })
        .await
    }

    /// Sets a group's committed offsets from outside. The group must have no members.
    ///
    /// # Errors
    ///
    /// When no answer came; a group with members is each partition's error `UnknownMemberId` or `NonEmptyGroup`.
    pub async fn alter_group_offsets(
        &self,
        group: &str,
        offsets: &[(TopicPartition, i64)],
    ) -> Result<PerItem<TopicPartition, ()>, ClientError> {
        let what = format!("setting the offsets of group {group}");
        self.attempts(&what, self.deadline(), || async {
            let topics = by_topic(
                offsets
                    .iter()
                    .map(|(p, offset)| (p, (p.partition, *offset))),
            )
            .into_iter()
            .map(|(topic, partitions)| {
                OffsetCommitRequestTopic::default()
                    .with_name(TopicName(text(&topic)))
                    .with_partitions(
                        partitions
                            .into_iter()
                            .map(|(partition, offset)| {
                                OffsetCommitRequestPartition::default()
                                    .with_partition_index(partition)
                                    .with_committed_offset(offset)
                                    .with_committed_leader_epoch(-1)
                            })
                            .collect(),
                    )
            })
            .collect();
            // Without generation and member it is an administrator's commit.
            let request = OffsetCommitRequest::default()
                .with_group_id(GroupId(text(group)))
                .with_generation_id_or_member_epoch(-1)
                .with_topics(topics);
            let response = self.ask_coordinator(group, request).await?;
            let mut results = PerItem::new();
            for (partition, _) in offsets {
                let answered = response
                    .topics
                    .iter()
                    .filter(|t| *t.name.0 == *partition.topic)
                    .flat_map(|t| &t.partitions)
                    .find(|p| p.partition_index == partition.partition);
                let result = match answered {
                    Some(p) => check("OffsetCommit", partition.to_string(), p.error_code, None),
                    None => Err(unanswered("OffsetCommit", partition.to_string())),
                };
                if let Err(error) = &result
                    && error.remedy() == Remedy::FindCoordinator
                {
                    return Err(error.clone());
                }
                results.push((partition.clone(), result));
            }
            Ok(results)
        })
        .await
    }

    /// Sets a group's committed offsets for these partitions to a place in their logs; a timestamp after the last record is the
    /// end. The group must have no members. Returns the offsets that were set.
    ///
    /// # Errors
    ///
    /// When no answer came; what fails for a partition is that partition's result.
    pub async fn reset_group_offsets(
        &self,
        group: &str,
        partitions: &[TopicPartition],
        to: OffsetAt,
    ) -> Result<PerItem<TopicPartition, i64>, ClientError> {
        let mut targets = Vec::new();
        let mut results: BTreeMap<TopicPartition, Result<i64, ClientError>> = BTreeMap::new();
        let mut beyond = Vec::new();
        for (partition, listed) in self.list_offsets(partitions, to).await? {
            match listed.map(|l| l.offset) {
                Ok(Some(offset)) => targets.push((partition, offset)),
                Ok(None) => beyond.push(partition),
                Err(error) => {
                    results.insert(partition, Err(error));
                }
            }
        }
        if !beyond.is_empty() {
            for (partition, listed) in self.list_offsets(&beyond, OffsetAt::Latest).await? {
                match listed.map(|l| l.offset.unwrap_or_default()) {
                    Ok(offset) => targets.push((partition, offset)),
                    Err(error) => {
                        results.insert(partition, Err(error));
                    }
                }
            }
        }
        let set = self.alter_group_offsets(group, &targets).await?;
        for ((partition, result), (_, offset)) in set.into_iter().zip(&targets) {
            results.insert(partition, result.map(|()| *offset));
        }
        Ok(in_order(partitions, results, "OffsetCommit"))
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

pub(super) fn in_order<T>(
    partitions: &[TopicPartition],
    mut results: BTreeMap<TopicPartition, Result<T, ClientError>>,
    api: &'static str,
) -> PerItem<TopicPartition, T> {
    partitions
        .iter()
        .map(|partition| {
            let result = results
                .remove(partition)
                .unwrap_or_else(|| Err(unanswered(api, partition.to_string())));
            (partition.clone(), result)
        })
        .collect()
}
