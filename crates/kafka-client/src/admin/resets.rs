//! Setting what a group has committed to another place in the logs.

use kafka_wire::ResponseError;

use super::{Admin, GroupListing, OffsetAt};
use crate::error::ClientError;
use crate::topic_partition::TopicPartition;

/// Which of a group's offsets are to be set, and to where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetsReset<'a> {
    /// Whose.
    pub group: &'a str,
    /// Of which topic; without one it is every topic that the group has committed an offset of and that is still there.
    pub topic: Option<&'a str>,
    /// Of which partition of the topic; without one it is all of its partitions, also those without a commit.
    pub partition: Option<i32>,
    /// Where the group is to read on.
    pub to: ResetTo,
}

/// A place in a log, for a group to read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetTo {
    /// An end, or a time; a time after the last record is the end.
    At(OffsetAt),
    /// This offset, or the end of the log that is nearer.
    Offset(i64),
}

/// What is to be set for a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedOffset {
    /// The partition.
    pub partition: TopicPartition,
    /// What is committed; none if nothing is.
    pub was: Option<i64>,
    /// What is to be committed.
    pub now: i64,
}

/// Why a group's offsets were not set, or not all of them.
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    /// There is no such group: setting its offsets would make it.
    #[error("Kafka knows no group {group}")]
    UnknownGroup {
        /// Which was asked for.
        group: String,
        /// Those that there are, by name.
        known: Vec<String>,
    },
    /// It has members, which would commit over what is set.
    #[error("group {group} has {members} members")]
    HasMembers {
        /// Which group.
        group: String,
        /// How many.
        members: usize,
    },
    /// It may have members that nobody tells of (KIP-848), which would commit over what is set.
    #[error("group {group} is {state} and its members are not told (KIP-848)")]
    MembersUntold {
        /// Which group.
        group: String,
        /// Its state, as the list of groups has it.
        state: String,
    },
    /// It has committed nothing, so nobody knows which topics are meant.
    #[error("group {0} has committed no offset")]
    NothingCommitted(String),
    /// None of the topics that it has committed offsets of is there any more.
    #[error("the topics that group {0} has committed offsets of are gone")]
    TopicsGone(String),
    /// There is no such topic.
    #[error("Kafka knows no topic {0}")]
    UnknownTopic(String),
    /// The topic has no such partition.
    #[error("topic {topic} has no partition {partition}: it has {partitions}, counted from 0")]
    UnknownPartition {
        /// Which topic.
        topic: String,
        /// Which partition.
        partition: i32,
        /// How many it has.
        partitions: usize,
    },
    /// Some offsets were not set. The others were: the same again does no harm.
    #[error(
        "{set} of {of} offsets of group {group} were set; that of {partition} was not: {source}"
    )]
    Partly {
        /// Which group.
        group: String,
        /// How many were set.
        set: usize,
        /// How many were to be.
        of: usize,
        /// The first that was not.
        partition: TopicPartition,
        /// Why.
        source: ClientError,
    },
    /// Kafka could not be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl ResetError {
    /// Whether a member came in between, so that the coordinator takes offsets from members only.
    pub fn is_of_new_member(&self) -> bool {
        let Self::Partly { source, .. } = self else {
            return false;
        };
        matches!(
            source,
            ClientError::Broker {
                code: ResponseError::UnknownMemberId | ResponseError::NonEmptyGroup,
                ..
            }
        )
    }
}

impl Admin {
    /// What a reset would set, by topic and partition. Nothing is set, and the group may have members.
    ///
    /// # Errors
    ///
    /// [`ResetError`]. That an offset of a single partition cannot be learned is one, too: nothing is set before all are known.
    pub async fn plan_reset(
        &self,
        reset: OffsetsReset<'_>,
    ) -> Result<Vec<PlannedOffset>, ResetError> {
        self.listed(reset.group).await?;
        let partitions = self.meant(reset).await?;
        let at = match reset.to {
            ResetTo::At(at) => at,
            // It is brought between the log's ends.
            ResetTo::Offset(_) => OffsetAt::Latest,
        };
        let (committed, starts, ends, places) = tokio::try_join!(
            self.group_offsets_of(reset.group, &partitions),
            self.list_offsets(&partitions, OffsetAt::Earliest),
            self.list_offsets(&partitions, OffsetAt::Latest),
            self.list_offsets(&partitions, at),
        )?;
        let mut planned = Vec::with_capacity(partitions.len());
        for (((partition, start), (_, end)), (_, place)) in starts.into_iter().zip(ends).zip(places)
        {
            let start = start?.offset.unwrap_or_default();
            let end = end?.offset.unwrap_or_default();
            let now = match reset.to {
                ResetTo::Offset(offset) => offset.clamp(start, end.max(start)),
                // No record is as new as that.
                ResetTo::At(_) => place?.offset.unwrap_or(end),
            };
            let was = committed.get(&partition).map(|committed| committed.offset);
            planned.push(PlannedOffset {
                partition,
                was,
                now,
            });
        }
        Ok(planned)
    }

    /// Sets a group's offsets as planned. The group must have no members.
    ///
    /// # Errors
    ///
    /// [`ResetError`]. After [`ResetError::Partly`] some are set; after [`ResetError::Client`] some may be, and after any other none.
    pub async fn carry_out_reset(
        &self,
        group: &str,
        planned: &[PlannedOffset],
    ) -> Result<(), ResetError> {
        self.without_members(group).await?;
        let offsets: Vec<_> = planned
            .iter()
            .map(|planned| (planned.partition.clone(), planned.now))
            .collect();
        let outcomes = self.alter_group_offsets(group, &offsets).await?;
        let (of, mut set, mut first) = (outcomes.len(), 0, None);
        for (partition, outcome) in outcomes {
            match outcome {
                Ok(()) => set += 1,
                Err(error) => {
                    first.get_or_insert((partition, error));
                }
            }
        }
        match first {
            None => Ok(()),
            Some((partition, source)) => Err(ResetError::Partly {
                group: group.to_owned(),
                set,
                of,
                partition,
                source,
            }),
        }
    }

    /// The group as the list has it. Kafka says of any name that it has committed nothing, also of a misspelt one, and takes offsets for it.
    async fn listed(&self, group: &str) -> Result<GroupListing, ResetError> {
        let mut listed = self.list_groups().await?;
        match listed.iter().position(|known| known.group == group) {
            Some(found) => Ok(listed.swap_remove(found)),
            None => Err(ResetError::UnknownGroup {
                group: group.to_owned(),
                known: listed.into_iter().map(|known| known.group).collect(),
            }),
        }
    }

    async fn without_members(&self, group: &str) -> Result<(), ResetError> {
        let listing = self.listed(group).await?;
        let described = self.describe_listed(&listing).await?;
        let group = described.group;
        match described.members.len() {
            0 if described.members_told => Ok(()),
            0 => Err(ResetError::MembersUntold {
                group,
                state: described.state,
            }),
            members => Err(ResetError::HasMembers { group, members }),
        }
    }

    /// The partitions that are meant.
    async fn meant(&self, reset: OffsetsReset<'_>) -> Result<Vec<TopicPartition>, ResetError> {
        let there = self.list_topics().await?;
        let count = |topic: &str| {
            let known = there.iter().find(|known| *known.name == *topic)?;
            Some(known.partitions)
        };
        let all = |topic: &str, partitions: usize| -> Vec<TopicPartition> {
            let partitions = 0..i32::try_from(partitions).unwrap_or(i32::MAX);
            partitions.map(|p| TopicPartition::new(topic, p)).collect()
        };
        let Some(topic) = reset.topic else {
            let committed = self.group_offsets(reset.group).await?;
            if committed.is_empty() {
                return Err(ResetError::NothingCommitted(reset.group.to_owned()));
            }
            let mut topics: Vec<_> = committed.into_keys().map(|p| p.topic).collect();
            topics.dedup();
            // Of those that are gone nothing can be set, and nothing needs to be.
            let known = topics
                .iter()
                .filter_map(|topic| Some(all(topic, count(topic)?)));
            let partitions: Vec<TopicPartition> = known.flatten().collect();
            if partitions.is_empty() {
                return Err(ResetError::TopicsGone(reset.group.to_owned()));
            }
            return Ok(partitions);
        };
        let partitions = count(topic).ok_or_else(|| ResetError::UnknownTopic(topic.to_owned()))?;
        let mut meant = all(topic, partitions);
        if let Some(wanted) = reset.partition {
            meant.retain(|place| place.partition == wanted);
            if meant.is_empty() {
                return Err(ResetError::UnknownPartition {
                    topic: topic.to_owned(),
                    partition: wanted,
                    partitions,
                });
            }
        }
        Ok(meant)
    }
}
