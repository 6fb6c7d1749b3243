//! Metadata: the nodes, the topics, and who leads what.

use std::ops::RangeInclusive;
use std::sync::Arc;

use kafka_wire::ResponseError;
use kafka_wire::messages::metadata_request::MetadataRequestTopic;
use kafka_wire::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_wire::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};

use super::{Context, Handle, NoAnswer, text};
use crate::create::NewTopic;
use crate::faults::Target;
use crate::log::Partition;
use crate::nodes::Nodes;
use crate::shape::{Field, INT8, STRING, UUID, array};
use crate::topics::Topic;

pub(super) const VERSIONS: RangeInclusive<i16> = 4..=12;

/// From here on the answer may leave out a name that nobody knows.
const FIRST_VERSION_WITHOUT_NAME: i16 = 12;

impl Handle for MetadataRequest {
    type Response = MetadataResponse;
    const SHAPE: &'static [Field] = &[
        array(&[UUID.from(10), STRING]),
        INT8,
        INT8.from(8).to(10),
        INT8.from(8),
    ];

    fn targets(&self, visit: &mut dyn FnMut(Target<'_>)) {
        for topic in self.topics.iter().flatten() {
            if let Some(name) = &topic.name {
                visit(Target::topic(name));
            }
        }
    }

    fn refuse(&self, _error: ResponseError, _version: i16) -> Option<MetadataResponse> {
        None
    }

    async fn handle(self, context: &Context) -> Result<MetadataResponse, NoAnswer> {
        let cluster = &context.cluster;
        let brokers = cluster.nodes.up().map(|node| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(node.id))
                .with_host(text(node.host.clone()))
                .with_port(i32::from(node.address.port()))
                .with_rack(node.rack.clone().map(text))
        });
        let may_create = self.allow_auto_topic_creation && cluster.config.auto_create_topics;
        let topics = match self.topics {
            None => {
                let all = cluster.topics.all();
                all.iter().map(|topic| describe(context, topic)).collect()
            }
            Some(asked) => asked
                .into_iter()
                .map(|asked| look_up(context, asked, may_create))
                .collect(),
        };
        Ok(MetadataResponse::default()
            .with_brokers(brokers.collect())
            .with_cluster_id(Some(text(cluster.config.cluster_id.clone())))
            .with_controller_id(BrokerId(cluster.nodes.controller()))
            .with_topics(topics))
    }
}

fn look_up(
    context: &Context,
    asked: MetadataRequestTopic,
    may_create: bool,
) -> MetadataResponseTopic {
    let topics = &context.cluster.topics;
    // From v12 on a topic may be asked for by its id alone (KIP-516).
    let Some(name) = asked.name else {
        return match topics.get_by_id(asked.topic_id) {
            Some(topic) => describe(context, &topic),
            None => MetadataResponseTopic::default()
                .with_error_code(ResponseError::UnknownTopicId.code())
                .with_name((context.version < FIRST_VERSION_WITHOUT_NAME).then(TopicName::default))
                .with_topic_id(asked.topic_id),
        };
    };
    if let Some(topic) = topics.get(&name) {
        return describe(context, &topic);
    }
    match create(context, &name, may_create) {
        Ok(topic) => describe(context, &topic),
        Err(error) => failed(name, error),
    }
}

fn create(
    context: &Context,
    name: &TopicName,
    may_create: bool,
) -> Result<Arc<Topic>, ResponseError> {
    crate::topics::check_name(name).map_err(|refusal| refusal.error)?;
    if !may_create {
        return Err(ResponseError::UnknownTopicOrPartition);
    }
    context
        .cluster
        .create_topic(&NewTopic::named(name))
        .or_else(|refusal| {
            // Another request was faster.
            context.cluster.topics.get(name).ok_or(refusal.error)
        })
}

fn failed(name: TopicName, error: ResponseError) -> MetadataResponseTopic {
    MetadataResponseTopic::default()
        .with_error_code(error.code())
        .with_name(Some(name))
}

fn describe(context: &Context, topic: &Topic) -> MetadataResponseTopic {
    if let Err(error) = context.injected_error(&topic.name, None) {
        return failed(topic.name.clone(), error);
    }
    let partitions = (0..)
        .zip(topic.partitions())
        .map(|(index, partition)| describe_partition(&context.cluster.nodes, index, &partition))
        .collect();
    MetadataResponseTopic::default()
        .with_name(Some(topic.name.clone()))
        .with_topic_id(topic.id)
        .with_partitions(partitions)
}

fn describe_partition(
    nodes: &Nodes,
    index: i32,
    partition: &Partition,
) -> MetadataResponsePartition {
    let view = partition.view();
    let ids = |of: &dyn Fn(i32) -> bool| -> Vec<BrokerId> {
        view.replicas
            .iter()
            .copied()
            .filter(|id| of(*id))
            .map(BrokerId)
            .collect()
    };
    let error = match view.leadership.leader {
        Some(_) => 0,
        None => ResponseError::LeaderNotAvailable.code(),
    };
    MetadataResponsePartition::default()
        .with_error_code(error)
        .with_partition_index(index)
        .with_leader_id(BrokerId(view.leadership.leader.unwrap_or(-1)))
        .with_leader_epoch(view.leadership.epoch)
        .with_replica_nodes(ids(&|_| true))
        .with_isr_nodes(ids(&|id| nodes.is_up(id)))
        .with_offline_replicas(ids(&|id| !nodes.is_up(id)))
}
