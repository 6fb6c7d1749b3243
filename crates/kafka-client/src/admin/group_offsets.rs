//! Offsets that groups have committed.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_wire::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_wire::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_wire::messages::{
    GroupId, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, TopicName,
};

use super::answers::of_partitions;
use super::offsets::{OffsetAt, by_topic};
use super::{Admin, PerItem, check, text, unanswered};
use crate::error::ClientError;
use crate::topic_partition::TopicPartition;

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
        self.attempts(&what, self.patience(), || async {
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
    /// When no answer came; a group with members is each partition's error `UnknownMemberId` or `NonEmptyGroup`, and a topic
    /// that does not exist `UnknownTopicOrPartition`, after about 0.7 s in which it is tried again.
    pub async fn alter_group_offsets(
        &self,
        group: &str,
        offsets: &[(TopicPartition, i64)],
    ) -> Result<PerItem<TopicPartition, ()>, ClientError> {
        let what = format!("setting the offsets of group {group}");
        let partitions: Vec<_> = offsets.iter().map(|(p, _)| p.clone()).collect();
        let offsets: BTreeMap<_, _> = offsets.iter().map(|(p, offset)| (p, *offset)).collect();
        let offsets = &offsets;
        self.attempts_at_each(&what, self.patience(), &partitions, |open| async move {
            let topics = by_topic(
                open.iter()
                    .filter_map(|p| Some((p, (p.partition, *offsets.get(p)?)))),
            );
            let request = administrators_commit(group, topics);
            let response = self.ask_coordinator(group, request).await?;
            Ok(of_partitions(
                "OffsetCommit",
                open,
                &response.topics,
                |_| (),
            ))
        })
        .await
    }

    /// Deletes what a group has committed for these partitions (KIP-496); one without a commit is no error. The group may have
    /// members, as long as none of them subscribes to the topic.
    ///
    /// # Errors
    ///
    /// When no answer came, and what the broker says of the group as a whole (`GroupIdNotFound`); `GroupSubscribedToTopic` is
    /// that partition's result.
    pub async fn delete_group_offsets(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<PerItem<TopicPartition, ()>, ClientError> {
        let what = format!("deleting offsets of group {group}");
        self.attempts_at_each(&what, self.patience(), partitions, |open| async move {
            let topics = by_topic(open.iter().map(|p| (p, p.partition)))
                .into_iter()
                .map(|(topic, partitions)| {
                    let partitions = partitions
                        .into_iter()
                        .map(|p| OffsetDeleteRequestPartition::default().with_partition_index(p));
                    OffsetDeleteRequestTopic::default()
                        .with_name(TopicName(text(&topic)))
                        .with_partitions(partitions.collect())
                })
                .collect();
            let request = OffsetDeleteRequest::default()
                .with_group_id(GroupId(text(group)))
                .with_topics(topics);
            let response = self.ask_coordinator(group, request).await?;
            check("OffsetDelete", group, response.error_code, None)?;
            Ok(of_partitions(
                "OffsetDelete",
                open,
                &response.topics,
                |_| (),
            ))
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
        Ok(partitions
            .iter()
            .map(|partition| {
                let result = results
                    .remove(partition)
                    .unwrap_or_else(|| Err(unanswered("OffsetCommit", partition.to_string())));
                (partition.clone(), result)
            })
            .collect())
    }
}

/// Without generation and member it is a commit from outside of the group.
fn administrators_commit(
    group: &str,
    topics: BTreeMap<Arc<str>, Vec<(i32, i64)>>,
) -> OffsetCommitRequest {
    let topics = topics.into_iter().map(|(topic, partitions)| {
        let partitions = partitions.into_iter().map(|(partition, offset)| {
            OffsetCommitRequestPartition::default()
                .with_partition_index(partition)
                .with_committed_offset(offset)
                .with_committed_leader_epoch(-1)
        });
        OffsetCommitRequestTopic::default()
            .with_name(TopicName(text(&topic)))
            .with_partitions(partitions.collect())
    });
    OffsetCommitRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(topics.collect())
}
