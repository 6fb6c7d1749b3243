//! What a consumer can tell its caller.

use std::sync::Arc;

use kafka_wire::ResponseError;
use kafka_wire::batch::BatchError;

use crate::error::ClientError;
use crate::topic_partition::TopicPartition;

/// Why a partition was taken away without its holder being waited for. Nothing may be committed for it any more: another
/// member may own it already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LostReason {
    /// No heartbeat got through for the session timeout, so the coordinator has given the partitions away.
    #[error("the session expired")]
    SessionExpired,
    /// The coordinator does not know the member: it was removed, or its session expired there.
    #[error("the coordinator does not know the member any more")]
    UnknownMember,
    /// The group went on without this member.
    #[error("the group is in a later generation")]
    IllegalGeneration,
    /// Another member with the same `group.instance.id` took the place (KIP-345).
    #[error("another member with the same group instance id took over")]
    Fenced,
    /// The holder did not let go of a revoked partition within the drain budget.
    #[error("the revoked partition was not released within the drain budget")]
    DrainBudgetExceeded,
    /// A partition of this member was not polled for the longest time between polls (KIP-62), so the member left the group.
    /// It joins again when all that it had is dropped.
    #[error("a partition was not polled for max_poll_interval")]
    MaxPollIntervalExceeded,
    /// The group cannot go on; its event said why.
    #[error("the group failed")]
    GroupFailed,
    /// The consumer group was closed or dropped.
    #[error("the consumer group is gone")]
    Closed,
}

/// An error of consuming: of one partition, a commit, or the group.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ConsumerError {
    /// The partition is not this handle's any more, and was taken without waiting. Drop the handle; do not commit.
    #[error("partition {partition} was lost: {reason}")]
    Lost {
        /// Which partition.
        partition: TopicPartition,
        /// Why.
        reason: LostReason,
    },
    /// There is nowhere to read on from, and the policy is [`OffsetReset::Error`](crate::OffsetReset::Error).
    /// Polling fails so until somebody seeks.
    #[error("partition {partition} has no offset to read on from: {} is not in the log, which has {log_start}..{log_end}",
        offset.map_or_else(|| "a committed offset".to_owned(), |o| o.to_string()))]
    NoOffset {
        /// Which partition.
        partition: TopicPartition,
        /// The offset that is outside of the log; none when nothing was committed.
        offset: Option<i64>,
        /// The first offset of the log.
        log_start: i64,
        /// One past the last offset of the log.
        log_end: i64,
    },
    /// The log was truncated below the position: a replica that had not everything became the leader (an unclean election),
    /// so records that were handed out are gone and others may have their offsets (KIP-320). Told where the policy is
    /// [`OffsetReset::Error`](crate::OffsetReset::Error); polling fails so until somebody seeks.
    #[error("partition {partition} was truncated: what was read up to offset {offset} is gone{}",
        diverged_at.map(|at| format!(" from {at} on")).unwrap_or_default())]
    Truncated {
        /// Which partition.
        partition: TopicPartition,
        /// The position.
        offset: i64,
        /// The first offset that is not what it was; none where the leader does not know.
        diverged_at: Option<i64>,
    },
    /// What is stored at this offset cannot be read. Polling again fetches it again; seeking past it skips it.
    #[error("partition {partition} cannot be read at offset {offset}: {source}")]
    Undecodable {
        /// Which partition.
        partition: TopicPartition,
        /// The position at which it happened.
        offset: i64,
        /// What is wrong.
        source: BatchError,
    },
    /// The broker refuses to let the partition be read, for example for want of authorization. It is asked again when
    /// the partition is polled again.
    #[error("partition {partition} cannot be fetched: {code}")]
    Fetch {
        /// Which partition.
        partition: TopicPartition,
        /// Kafka's error.
        code: ResponseError,
    },
    /// A lower offset than one that was committed before in this generation, without a seek in between.
    #[error(
        "offset {offset} of partition {partition} is below {committed}, which was committed before"
    )]
    CommitBehind {
        /// Which partition.
        partition: TopicPartition,
        /// The refused offset.
        offset: i64,
        /// The offset committed before.
        committed: i64,
    },
    /// A negative offset.
    #[error("{offset} of partition {partition} is no offset")]
    InvalidOffset {
        /// Which partition.
        partition: TopicPartition,
        /// The refused offset.
        offset: i64,
    },
    /// The broker refused the commit for good.
    #[error("offset {offset} of partition {partition} cannot be committed: {code}")]
    Commit {
        /// Which partition.
        partition: TopicPartition,
        /// The offset that was not committed.
        offset: i64,
        /// Kafka's error.
        code: ResponseError,
    },
    /// The commit was not acknowledged within the commit timeout. Whether it is carried out is unknown: it may have been, or
    /// still be under way.
    #[error("commit of offset {offset} of partition {partition} was not acknowledged in time{}",
        last.as_deref().map(|l| format!("; last: {l}")).unwrap_or_default())]
    CommitTimeout {
        /// Which partition.
        partition: TopicPartition,
        /// The offset.
        offset: i64,
        /// The last error on the way, if any.
        last: Option<String>,
    },
    /// The holder sought back and committed a lower offset before this commit was acknowledged, so it is not tried again. It
    /// may have been carried out before; what is committed in the end is the lower offset.
    #[error("commit of offset {offset} of partition {partition} was overtaken by one after a seek")]
    CommitSuperseded {
        /// Which partition.
        partition: TopicPartition,
        /// The offset.
        offset: i64,
    },
    /// The partition is not assigned to this member, or there is no group to commit to.
    #[error("partition {partition} is not assigned to this consumer")]
    NotAssigned {
        /// Which partition.
        partition: TopicPartition,
    },
    /// The group cannot go on, for example because another member has the same instance id, or access is denied.
    #[error("group {group} cannot go on: {code}")]
    Group {
        /// The group.
        group: Arc<str>,
        /// Kafka's error.
        code: ResponseError,
    },
    /// The client as a whole.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl ConsumerError {
    /// Whether the partition is gone for this handle, so that it must be dropped and nothing committed.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::NotAssigned { .. })
    }
}
