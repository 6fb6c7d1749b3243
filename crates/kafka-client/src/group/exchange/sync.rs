//! Syncing: the leader shares out the partitions, and each member hears what it is assigned.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_wire::messages::SyncGroupRequest;
use kafka_wire::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_wire::{ResponseError, StrBytes};
use tokio::time::Instant;

use super::{Answer, Context, METADATA_WAIT, Me, PROTOCOL_TYPE, Terms, string};
use crate::cluster::{Cluster, Metadata};
use crate::group::assignor::{Member, Plan, Topics};
use crate::group::coordinator::Lane;
use crate::group::membership::Input;
use crate::group::protocol;

pub(in crate::group) async fn sync(
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
pub(in crate::group) fn partition_counts<'a>(
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
