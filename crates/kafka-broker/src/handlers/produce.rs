//! Produce.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use kafka_wire::ResponseError;
use kafka_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_wire::messages::produce_response::{
    LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_wire::messages::{BrokerId, ProduceRequest, ProduceResponse, TopicName};

use super::{Context, Handle, NoAnswer, text};
use crate::faults::Target;
use crate::log::{self, Rejection};
use crate::shape::{BYTES, Field, INT16, INT32, STRING, array};
use crate::topics::Topic;

pub(super) const VERSIONS: RangeInclusive<i16> = 3..=12;

/// The first version that names the present leader in an answer (KIP-951).
const FIRST_VERSION_WITH_LEADER: i16 = 10;

impl Handle for ProduceRequest {
    type Response = ProduceResponse;
    const SHAPE: &'static [Field] = &[
        STRING,
        INT16,
        INT32,
        array(&[STRING, array(&[INT32, BYTES])]),
    ];

    fn targets(&self, visit: &mut dyn FnMut(Target<'_>)) {
        for topic in &self.topic_data {
            for partition in &topic.partition_data {
                visit(Target::partition(&topic.name, partition.index));
            }
        }
    }

    fn refuse(&self, _error: ResponseError, _version: i16) -> Option<ProduceResponse> {
        None
    }

    async fn handle(self, context: &Context) -> Result<ProduceResponse, NoAnswer> {
        let acks_are_known = matches!(self.acks, -1..=1);
        let mut failed = false;
        let topics = last_of_each_partition(self.topic_data);
        let mut responses = Vec::with_capacity(topics.len());
        for topic in topics {
            let response = produce(context, topic, acks_are_known);
            failed |= response
                .partition_responses
                .iter()
                .any(|partition| partition.error_code != 0);
            responses.push(response);
        }
        if self.acks == 0 {
            // Nothing can be answered to a producer that awaits nothing: Kafka closes the connection to make it look.
            return Err(if failed {
                NoAnswer::Close("a produce with acks=0 failed")
            } else {
                NoAnswer::NotWanted
            });
        }
        let mut response = ProduceResponse::default().with_responses(responses);
        name_new_leaders(context, &mut response);
        Ok(response)
    }
}

/// What is appended: where a request names a partition more than once, the last entry alone. Kafka collects them into a map
/// by partition (`KafkaApis.handleProduceRequest`), and so answers each partition once.
fn last_of_each_partition(mut topics: Vec<TopicProduceData>) -> Vec<TopicProduceData> {
    let mut seen = HashSet::new();
    for topic in topics.iter_mut().rev() {
        let TopicProduceData {
            name,
            partition_data,
            ..
        } = topic;
        partition_data.reverse();
        partition_data.retain(|partition| seen.insert((name.clone(), partition.index)));
        partition_data.reverse();
    }
    topics.retain(|topic| !topic.partition_data.is_empty());
    topics
}

fn produce(
    context: &Context,
    data: TopicProduceData,
    acks_are_known: bool,
) -> TopicProduceResponse {
    let topic = context.cluster.topics.get(&data.name);
    let partitions = data
        .partition_data
        .into_iter()
        .map(|partition| {
            let index = partition.index;
            let result = if acks_are_known {
                append(context, &data.name, topic.as_deref(), partition)
            } else {
                Err(plain(ResponseError::InvalidRequiredAcks))
            };
            let response = PartitionProduceResponse::default().with_index(index);
            match result {
                Ok((base_offset, log_start_offset)) => response
                    .with_base_offset(base_offset)
                    .with_log_start_offset(log_start_offset),
                Err(rejection) => response
                    .with_error_code(rejection.error.code())
                    .with_base_offset(-1)
                    .with_error_message(
                        (!rejection.reason.is_empty()).then(|| text(rejection.reason)),
                    ),
            }
        })
        .collect();
    TopicProduceResponse::default()
        .with_name(data.name)
        .with_partition_responses(partitions)
}

const fn plain(error: ResponseError) -> Rejection {
    Rejection { error, reason: "" }
}

/// Appends one partition's batch. Returns the offset it got and the log's start.
fn append(
    context: &Context,
    name: &TopicName,
    topic: Option<&Topic>,
    data: PartitionProduceData,
) -> Result<(i64, i64), Rejection> {
    context
        .injected_error(name, Some(data.index))
        .map_err(plain)?;
    let (topic, partition) = topic
        .and_then(|topic| Some((topic, topic.partition(data.index)?)))
        .ok_or(plain(ResponseError::UnknownTopicOrPartition))?;
    let config = &topic.config;
    let batch = log::check(data.records, context.version, config.max_message_bytes())?;
    let (appended, log_start) = partition
        .append(context.node, batch, config.retention())
        .map_err(plain)?;
    if appended.duplicate {
        tracing::debug!(
            topic = &***name,
            partition = data.index,
            offset = appended.base_offset,
            "answered a repeated batch with its first offset"
        );
    }
    Ok((appended.base_offset, log_start))
}

/// Tells a producer that came to the wrong node who leads, so that it need not ask (KIP-951).
fn name_new_leaders(context: &Context, response: &mut ProduceResponse) {
    if context.version < FIRST_VERSION_WITH_LEADER {
        return;
    }
    let mut leaders = Vec::new();
    for topic in &mut response.responses {
        for partition in &mut topic.partition_responses {
            if partition.error_code != ResponseError::NotLeaderOrFollower.code() {
                continue;
            }
            let Some(found) = context
                .cluster
                .topics
                .partition(&topic.name, partition.index)
            else {
                continue;
            };
            let leadership = found.leadership();
            let Some(leader) = leadership.leader else {
                continue;
            };
            partition.current_leader = LeaderIdAndEpoch::default()
                .with_leader_id(BrokerId(leader))
                .with_leader_epoch(leadership.epoch);
            if !leaders.contains(&leader) {
                leaders.push(leader);
            }
        }
    }
    response.node_endpoints = leaders
        .into_iter()
        .filter_map(|id| context.cluster.nodes.get(id))
        .map(|node| {
            NodeEndpoint::default()
                .with_node_id(BrokerId(node.id))
                .with_host(text(node.host.clone()))
                .with_port(i32::from(node.address.port()))
        })
        .collect();
}
