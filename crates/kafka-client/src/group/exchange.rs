//! The exchanges with the coordinator, each one attempt, and what their answers say in terms of the membership.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_wire::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_wire::messages::join_group_response::JoinGroupResponseMember;
use kafka_wire::messages::leave_group_request::MemberIdentity;
use kafka_wire::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_wire::messages::{
    GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    SyncGroupRequest,
};
use kafka_wire::{ResponseError, StrBytes};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::assignor::{Assignor, Member, Plan, Topics};
use super::config::GroupConfig;
use super::coordinator::{Coordinator, Lane};
use super::membership::{Input, Joined};
use super::protocol::{self, Past};
use super::subscription;
use crate::cluster::{Cluster, Metadata};
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

pub(super) async fn join(context: Arc<Context>, me: Me) -> Answer {
    let topics = subscribe(&context).await;
    let request = match join_request(&context, &me, &topics) {
        Ok(request) => request,
        Err(error) => {
            tracing::error!(group = %context.config.group_id, %error, "cannot join");
            return refuse_join(ResponseError::InvalidRequest, "");
        }
    };
    let deadline = context.rebalance_deadline();
    let answer = context
        .coordinator
        .request(Lane::Join, request, deadline)
        .await;
    let response = match answer {
        Ok(response) => response,
        Err(error) => {
            context.failed("joining", &error);
            return match error {
                ClientError::Broker { code, .. } => refuse_join(code, ""),
                error if !error.is_retriable() => {
                    let code = match error.is_authentication() {
                        true => ResponseError::SaslAuthenticationFailed,
                        false => ResponseError::UnsupportedVersion,
                    };
                    *context.cause.lock() = Some(error);
                    refuse_join(code, "")
                }
                _ => Input::Unanswered.into(),
            };
        }
    };
    if let Some(code) = ResponseError::try_from_code(response.error_code) {
        context.coordinator.heed(code);
        if code != ResponseError::MemberIdRequired {
            tracing::info!(group = %context.config.group_id, %code, "the join was refused");
        }
        return refuse_join(code, &response.member_id);
    }
    Answer {
        subscribed: Some(topics),
        ..joined(&context, response)
    }
}

/// What to subscribe to now. Topics of a pattern are looked for, if none is known.
async fn subscribe(context: &Context) -> Vec<Arc<str>> {
    let topics = subscription::topics(&context.config, &context.cluster.metadata());
    if !topics.is_empty() {
        return topics;
    }
    let deadline = Instant::now() + METADATA_WAIT;
    match context.cluster.refresh(deadline).await {
        Ok(metadata) => subscription::topics(&context.config, &metadata),
        Err(error) => {
            context.failed("looking for topics", &error);
            topics
        }
    }
}

fn refuse_join(code: ResponseError, member_id: &str) -> Answer {
    let member_id = Arc::from(member_id);
    Input::JoinRefused { code, member_id }.into()
}

fn join_request(
    context: &Context,
    me: &Me,
    topics: &[Arc<str>],
) -> Result<JoinGroupRequest, protocol::ProtocolError> {
    let config = &context.config;
    let mut protocols = Vec::new();
    for assignor in &config.assignors {
        let rack = config.consumer.client_rack.as_deref();
        let metadata = protocol::encode_subscription(*assignor, topics, &me.past, rack)?;
        protocols.push(
            JoinGroupRequestProtocol::default()
                .with_name(StrBytes::from_static_str(assignor.name()))
                .with_metadata(metadata),
        );
    }
    Ok(JoinGroupRequest::default()
        .with_group_id(context.group_id())
        .with_session_timeout_ms(millis(config.session_timeout))
        .with_rebalance_timeout_ms(millis(config.rebalance_timeout))
        .with_member_id(string(&me.member_id))
        .with_group_instance_id(context.instance_id())
        .with_protocol_type(StrBytes::from_static_str(PROTOCOL_TYPE))
        .with_protocols(protocols))
}

fn joined(context: &Context, response: JoinGroupResponse) -> Answer {
    let assignor = response
        .protocol_name
        .as_deref()
        .and_then(Assignor::by_name);
    let Some(assignor) = assignor else {
        tracing::error!(group = %context.config.group_id, protocol = ?response.protocol_name, "the group uses an assignor that is not known");
        return refuse_join(ResponseError::InconsistentGroupProtocol, "");
    };
    let leads = response.leader == response.member_id;
    let skip_assignment = response.skip_assignment;
    let lead = leads.then(|| {
        response
            .members
            .into_iter()
            .filter_map(|m| member(context, assignor, m))
            .collect()
    });
    Answer {
        input: Input::Joined(Joined {
            generation: response.generation_id,
            member_id: Arc::from(response.member_id.as_str()),
            lead,
        }),
        shared_out: None,
        subscribed: None,
        terms: Some(Terms {
            assignor,
            skip_assignment,
        }),
    }
}

/// A member whose subscription cannot be read gets nothing; the others are not to suffer for it.
fn member(
    context: &Context,
    assignor: Assignor,
    member: JoinGroupResponseMember,
) -> Option<Member> {
    let id = Arc::from(member.member_id.as_str());
    let instance = member.group_instance_id.map(|i| Arc::from(i.as_str()));
    protocol::decode_member(assignor, id, instance, member.metadata)
        .inspect_err(|error| tracing::warn!(group = %context.config.group_id, member = %member.member_id, %error, "a member's subscription cannot be read"))
        .ok()
}

pub(super) async fn sync(
    context: Arc<Context>,
    me: Me,
    terms: Terms,
    lead: Option<Vec<Member>>,
) -> Answer {
    let mut shared_out = None;
    let mut assignments = Vec::new();
    if let Some(members) = lead {
        let topics = subscribed_topics(&context.cluster, &members).await;
        if !terms.skip_assignment {
            match encode_plan(terms.assignor.assign(&members, &topics)) {
                Ok(encoded) => assignments = encoded,
                Err(error) => {
                    tracing::error!(group = %context.config.group_id, %error, "cannot assign");
                    return Input::SyncRefused(ResponseError::InvalidRequest).into();
                }
            }
        }
        shared_out = Some(topics.counts);
    }
    let request = SyncGroupRequest::default()
        .with_group_id(context.group_id())
        .with_generation_id(me.generation)
        .with_member_id(string(&me.member_id))
        .with_group_instance_id(context.instance_id())
        .with_protocol_type(Some(StrBytes::from_static_str(PROTOCOL_TYPE)))
        .with_protocol_name(Some(StrBytes::from_static_str(terms.assignor.name())))
        .with_assignments(assignments);
    let deadline = context.rebalance_deadline();
    let answer = context
        .coordinator
        .request(Lane::Join, request, deadline)
        .await;
    let input = match answer {
        Err(error) => {
            context.failed("syncing", &error);
            Input::Unanswered
        }
        Ok(response) => match ResponseError::try_from_code(response.error_code) {
            Some(code) => {
                context.coordinator.heed(code);
                Input::SyncRefused(code)
            }
            None => match protocol::decode_assignment(response.assignment) {
                Ok(partitions) => Input::Synced(partitions.into_iter().collect()),
                Err(error) => {
                    tracing::error!(group = %context.config.group_id, %error, "the assignment cannot be read");
                    Input::Unanswered
                }
            },
        },
    };
    Answer {
        shared_out,
        ..input.into()
    }
}

fn encode_plan(plan: Plan) -> Result<Vec<SyncGroupRequestAssignment>, protocol::ProtocolError> {
    plan.into_iter()
        .map(|(member, partitions)| {
            Ok(SyncGroupRequestAssignment::default()
                .with_member_id(string(&member))
                .with_assignment(protocol::encode_assignment(&partitions)?))
        })
        .collect()
}

/// The partitions of every topic that any member subscribes to, as far as the topics exist.
async fn subscribed_topics(cluster: &Cluster, members: &[Member]) -> Topics {
    let topics: Vec<_> = members
        .iter()
        .flat_map(|m| m.topics.iter().cloned())
        .collect();
    let mut unknown = false;
    for topic in &topics {
        unknown |= cluster.track(topic);
    }
    let metadata = cluster.metadata();
    unknown |= topics.iter().any(|t| !metadata.topics.contains_key(t));
    if unknown && let Err(error) = cluster.refresh(Instant::now() + METADATA_WAIT).await {
        tracing::warn!(%error, "cannot learn the partitions of all topics");
    }
    let metadata = cluster.metadata();
    Topics {
        racks: partition_racks(&metadata, topics.iter()),
        counts: partition_counts(&metadata, topics.iter()),
    }
}

/// The racks of the brokers that hold each partition; nothing where no broker tells its rack.
fn partition_racks<'a>(
    metadata: &Metadata,
    topics: impl Iterator<Item = &'a Arc<str>>,
) -> BTreeMap<Arc<str>, Vec<Vec<Arc<str>>>> {
    let racks: BTreeMap<i32, Arc<str>> = metadata
        .brokers
        .values()
        .filter_map(|broker| Some((broker.id, Arc::from(broker.rack.as_deref()?))))
        .collect();
    if racks.is_empty() {
        return BTreeMap::new();
    }
    topics
        .filter_map(|topic| {
            let partitions = &metadata.topics.get(topic)?.partitions;
            let of_partition = |replicas: &[i32]| {
                let racks = replicas.iter().filter_map(|broker| racks.get(broker));
                racks.cloned().collect()
            };
            let racks = partitions.iter().map(|p| of_partition(&p.replicas));
            Some((Arc::clone(topic), racks.collect()))
        })
        .collect()
}

/// The number of partitions of each topic that exists; 0 of one that does not.
pub(super) fn partition_counts<'a>(
    metadata: &Metadata,
    topics: impl Iterator<Item = &'a Arc<str>>,
) -> BTreeMap<Arc<str>, i32> {
    topics
        .map(|topic| {
            let count = metadata.topics.get(topic).map_or(0, |t| t.partitions.len());
            (Arc::clone(topic), i32::try_from(count).unwrap_or(i32::MAX))
        })
        .collect()
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
