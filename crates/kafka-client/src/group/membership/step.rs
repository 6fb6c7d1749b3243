//! What goes into a step of a member's life, and what comes out of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use kafka_wire::ResponseError;

use crate::consumer::{LostReason, TopicPartition};
use crate::error::GroupVerdict;
use crate::group::assignor::Member;
use crate::group::state::GroupMembershipOperation;

/// What happened.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// The member is to join.
    Start,
    /// The coordinator took the member into a generation.
    Joined(Joined),
    /// The join was refused. With MEMBER_ID_REQUIRED comes the id to join with.
    JoinRefused {
        code: ResponseError,
        member_id: Arc<str>,
    },
    /// The assignment.
    Synced(BTreeSet<TopicPartition>),
    /// There is no assignment.
    SyncRefused(ResponseError),
    /// A join or sync got no answer.
    Unanswered,
    /// The answer to a heartbeat, or to a commit, that was refused on account of the sender in this generation.
    Refused {
        generation: i32,
        code: ResponseError,
    },
    /// Nothing was heard of the coordinator for the session timeout.
    SessionExpired,
    /// The topics' partitions are not those that this member, as the leader, shared out.
    TopicsChanged,
    /// A partition was not polled for the longest time between polls (KIP-62).
    PollOverdue,
    /// The topics to subscribe to are not those that the member joined with.
    SubscriptionChanged,
    /// The holders have let go of the partitions that were revoked or lost.
    Released,
    /// The holders have not, within the drain budget.
    DrainBudgetOver,
    /// The caller wants out.
    Close(GroupMembershipOperation),
    /// The coordinator knows, or could not be told.
    Left,
}

impl Input {
    /// Whether this is how a join or sync ended.
    pub(super) fn is_exchange(&self) -> bool {
        matches!(
            self,
            Self::Joined(_)
                | Self::JoinRefused { .. }
                | Self::Synced(_)
                | Self::SyncRefused(_)
                | Self::Unanswered
        )
    }

    /// Whether this is a join or sync that nobody answered who knows whether the member is still in the group.
    pub(crate) fn is_silence(&self) -> bool {
        match self {
            Self::Unanswered => true,
            Self::JoinRefused { code, .. } | Self::SyncRefused(code) => {
                GroupVerdict::of(*code) == GroupVerdict::Retry
            }
            _ => false,
        }
    }
}

/// A generation, as the answer to a join tells it.
#[derive(Debug, Clone)]
pub(crate) struct Joined {
    pub(crate) generation: i32,
    pub(crate) member_id: Arc<str>,
    /// The members to share out the partitions among, if this member leads.
    pub(crate) lead: Option<Vec<Member>>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Send a JoinGroup, after a wait if it is to be tried again. Whatever join or sync is under way is given up.
    Join { retry: bool },
    /// Send a SyncGroup with the plan for these members, or with none.
    Sync { lead: Option<Vec<Member>> },
    /// Send heartbeats from now on, or stop.
    Heartbeat(bool),
    /// Ask the holders to finish; `Released` or `DrainBudgetOver` is to follow.
    Revoke(BTreeSet<TopicPartition>),
    /// Take the partitions away; `Released` or `DrainBudgetOver` is to follow, unless this comes with an end.
    Lose(BTreeSet<TopicPartition>, LostReason),
    /// The partitions are let go of: they belong to nobody here.
    Forget(BTreeSet<TopicPartition>),
    /// The partitions are this member's.
    Assign(BTreeSet<TopicPartition>),
    /// Send a LeaveGroup; `Left` is to follow.
    Leave,
    /// The end, with the reason if it is not the caller's wish.
    End(Option<ResponseError>),
}
