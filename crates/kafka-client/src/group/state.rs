//! What can be seen of a group from outside.

use std::sync::Arc;

use crate::consumer::TopicPartition;

/// What closing a member tells the group (KIP-1092).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GroupMembershipOperation {
    /// A member with a group instance id remains in the group, any other leaves it.
    #[default]
    Default,
    /// The member leaves: the others take its partitions over at once.
    LeaveGroup,
    /// The member's place, with its partitions, waits for it until its session times out. Only one with a group instance id
    /// can come back to it.
    RemainInGroup,
}

/// Where a member is in the life of its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum GroupPhase {
    /// Looking for the coordinator, or waiting for the other members to join. A member of a cooperative protocol has its
    /// partitions meanwhile.
    #[default]
    Joining,
    /// Joined; the assignment is being made.
    Syncing,
    /// In the group, with an assignment, which may be empty.
    Stable,
    /// Partitions are revoked and their holders are finishing.
    Draining,
    /// Out of the group, because a partition was not polled in time; it joins again when its holders are there again.
    Expelled,
    /// Leaving the group.
    Leaving,
    /// Left the group, on request.
    Closed,
    /// Out of the group, for a reason that trying again does not cure.
    Failed,
}

impl GroupPhase {
    /// A lowercase word, for dashboards and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::Syncing => "syncing",
            Self::Stable => "stable",
            Self::Draining => "draining",
            Self::Expelled => "expelled",
            Self::Leaving => "leaving",
            Self::Closed => "closed",
            Self::Failed => "failed",
        }
    }
}

/// A member's place in its group; [`GroupHandle::watch`](crate::GroupHandle::watch) follows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupStatus {
    /// Where the member is.
    pub phase: GroupPhase,
    /// The generation of the group; none before it was joined.
    pub generation: Option<i32>,
    /// The id that the coordinator gave; empty before.
    pub member_id: Arc<str>,
    /// The name of the assignor that the group uses, once joined.
    pub protocol: Option<Arc<str>>,
    /// Whether this member made the assignment.
    pub is_leader: bool,
}

/// A snapshot of a member and its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupState {
    /// The group.
    pub group_id: Arc<str>,
    /// The member's place in it.
    pub status: GroupStatus,
    /// The partitions that the member has, by topic and number.
    pub partitions: Vec<PartitionState>,
}

/// One assigned partition. What is not known yet is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionState {
    /// Which partition.
    pub partition: TopicPartition,
    /// The offset that is handed out next.
    pub position: Option<i64>,
    /// The offset that was committed last.
    pub committed: Option<i64>,
    /// The first offset of the log.
    pub log_start: Option<i64>,
    /// The high watermark, or for read_committed the last stable offset, as of the last fetch.
    pub end: Option<i64>,
    /// max(end − max(position, log start), 0).
    pub lag: Option<i64>,
    /// Whether its holder paused it.
    pub paused: bool,
    /// Whether it is revoked and its holder is finishing.
    pub revoked: bool,
}
