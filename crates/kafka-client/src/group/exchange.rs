//! The exchanges with the coordinator, each one attempt, and what their answers say in terms of the membership.

mod join;
mod sync;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_wire::messages::leave_group_request::MemberIdentity;
use kafka_wire::messages::{GroupId, HeartbeatRequest, LeaveGroupRequest};
use kafka_wire::{ResponseError, StrBytes};
use parking_lot::Mutex;

pub(super) use self::join::join;
pub(super) use self::sync::{partition_counts, sync};
use super::assignor::Assignor;
use super::config::GroupConfig;
use super::coordinator::{Coordinator, Lane};
use super::membership::Input;
use super::protocol::Past;
use crate::cluster::Cluster;
use crate::error::ClientError;

/// The name of the group protocol that consumers speak.
const PROTOCOL_TYPE: &str = "consumer";
/// What the broker may take longer than the rebalance timeout, as in Java's client.
const REBALANCE_SLACK: Duration = Duration::from_secs(5);
/// How long the leader waits for the metadata of topics that it does not know.
const METADATA_WAIT: Duration = Duration::from_secs(5);

/// What every exchange needs.
pub(super) struct Context {
    pub(super) cluster: Cluster,
    pub(super) coordinator: Arc<Coordinator>,
    pub(super) config: GroupConfig,
    /// The error for which the group cannot go on, if it is not one that the coordinator answered.
    pub(super) cause: Mutex<Option<ClientError>>,
}

/// Who asks.
pub(super) struct Me {
    pub(super) member_id: Arc<str>,
    pub(super) generation: i32,
    pub(super) past: Past,
}

/// How a join, sync or leave ended.
pub(super) struct Answer {
    pub(super) input: Input,
    /// The partitions by topic that were shared out, if this member leads.
    pub(super) shared_out: Option<BTreeMap<Arc<str>, i32>>,
    /// What the member subscribed to, when it joined.
    pub(super) subscribed: Option<Vec<Arc<str>>>,
    /// What the group works with, when it was joined.
    pub(super) terms: Option<Terms>,
}

/// What the members of a generation work with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) assignor: Assignor,
    /// The leader is a static member that came back: the partitions are shared out already (KIP-814).
    pub(super) skip_assignment: bool,
}

impl From<Input> for Answer {
    fn from(input: Input) -> Self {
        Self {
            input,
            shared_out: None,
            subscribed: None,
            terms: None,
        }
    }
}

impl Context {
    pub(super) fn group_id(&self) -> GroupId {
        GroupId(string(&self.config.group_id))
    }

    fn instance_id(&self) -> Option<StrBytes> {
        self.config.group_instance_id.as_deref().map(string)
    }

    /// The bound on a join or sync, which the broker holds back until all members have joined or the leader has synced.
    fn rebalance_deadline(&self) -> Duration {
        let request_timeout = self.cluster.config().request_timeout;
        request_timeout.max(self.config.rebalance_timeout + REBALANCE_SLACK)
    }

    pub(super) fn failed(&self, what: &str, error: &ClientError) {
        tracing::warn!(group = %self.config.group_id, %error, "{what} failed");
    }
}

/// One heartbeat; none without an answer.
pub(super) async fn heartbeat(
    context: Arc<Context>,
    member_id: Arc<str>,
    generation: i32,
) -> Option<Result<(), ResponseError>> {
    let request = HeartbeatRequest::default()
        .with_group_id(context.group_id())
        .with_generation_id(generation)
        .with_member_id(string(&member_id))
        .with_group_instance_id(context.instance_id());
    // A silent coordinator must not keep the member from finding the next one within the session timeout.
    let patience = context.config.session_timeout / 3;
    let deadline = context.cluster.config().request_timeout.min(patience);
    match context
        .coordinator
        .request(Lane::Member, request, deadline)
        .await
    {
        Ok(response) => Some(match ResponseError::try_from_code(response.error_code) {
            Some(code) => {
                context.coordinator.heed(code);
                Err(code)
            }
            None => Ok(()),
        }),
        Err(error) => {
            context.failed("heartbeat", &error);
            None
        }
    }
}

/// Tells the coordinator that the member is gone. A coordinator that cannot be told finds out by the session timeout.
pub(super) async fn leave(context: Arc<Context>, member_id: Arc<str>) -> Answer {
    let me = MemberIdentity::default()
        .with_member_id(string(&member_id))
        .with_group_instance_id(context.instance_id());
    let request = LeaveGroupRequest::default()
        .with_group_id(context.group_id())
        .with_members(vec![me]);
    let deadline = context.cluster.config().request_timeout;
    if let Err(error) = context
        .coordinator
        .request(Lane::Member, request, deadline)
        .await
    {
        context.failed("leaving", &error);
    }
    Input::Left.into()
}

pub(super) fn string(s: &str) -> StrBytes {
    StrBytes::from_string(s.to_owned())
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
