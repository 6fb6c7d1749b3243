//! OffsetDelete: forgets committed offsets of topics that the group does not read any more (KIP-496).

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use bytes::{Buf, Bytes};
use kafka_wire::ResponseError;
use kafka_wire::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_wire::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use super::{Context, Handle, NoAnswer, code};
use crate::coordinator::Held;
use crate::faults::Target;
use crate::group::Phase;
use crate::shape::{Field, INT32, STRING, array};

pub(super) const VERSIONS: RangeInclusive<i16> = 0..=0;

/// The protocol type of consumer groups, whose members say what they subscribe to in a form that a broker can read.
const CONSUMER: &str = "consumer";

impl Handle for OffsetDeleteRequest {
    type Response = OffsetDeleteResponse;
    const SHAPE: &'static [Field] = &[STRING, array(&[STRING, array(&[INT32])])];

    fn targets(&self, visit: &mut dyn FnMut(Target<'_>)) {
        for topic in &self.topics {
            for partition in &topic.partitions {
                visit(Target {
                    topic: Some(&topic.name),
                    partition: Some(partition.partition_index),
                    group: Some(&self.group_id),
                });
            }
        }
    }

    fn refuse(&self, error: ResponseError, _version: i16) -> Option<OffsetDeleteResponse> {
        Some(OffsetDeleteResponse::default().with_error_code(error.code()))
    }

    async fn handle(self, context: &Context) -> Result<OffsetDeleteResponse, NoAnswer> {
        let result = context.check_coordinator(&self.group_id).and_then(|()| {
            context
                .cluster
                .groups
                .with(&self.group_id, |held| delete(context, &self, held))
                .unwrap_or(Err(ResponseError::GroupIdNotFound))
        });
        Ok(match result {
            Ok(topics) => OffsetDeleteResponse::default().with_topics(topics),
            Err(error) => OffsetDeleteResponse::default().with_error_code(error.code()),
        })
    }
}

fn delete(
    context: &Context,
    request: &OffsetDeleteRequest,
    held: &mut Held<'_>,
) -> Result<Vec<OffsetDeleteResponseTopic>, ResponseError> {
    let view = held.group.view();
    if view.phase != Phase::Empty && &*view.protocol_type != CONSUMER {
        return Err(ResponseError::NonEmptyGroup);
    }
    let mut subscribed = BTreeSet::new();
    for subscription in held.group.subscriptions() {
        // What cannot be read may subscribe to anything.
        subscribed.extend(topics_of(subscription).ok_or(ResponseError::NonEmptyGroup)?);
    }
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let index = partition.partition_index;
            let error = if subscribed.contains(topic.name.as_bytes()) {
                Some(ResponseError::GroupSubscribedToTopic)
            } else if context
                .cluster
                .topics
                .partition(&topic.name, index)
                .is_none()
            {
                Some(ResponseError::UnknownTopicOrPartition)
            } else {
                held.offsets.remove(&topic.name, index);
                None
            };
            OffsetDeleteResponsePartition::default()
                .with_partition_index(index)
                .with_error_code(code(error))
        });
        OffsetDeleteResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    Ok(topics.collect())
}

/// The topics of a subscription in Kafka's consumer protocol: version, then an array of strings; the rest is of no matter.
fn topics_of(mut subscription: Bytes) -> Option<Vec<Bytes>> {
    subscription.try_get_i16().ok()?;
    let count = subscription.try_get_i32().ok()?;
    let mut topics = Vec::new();
    for _ in 0..count {
        let length = usize::try_from(subscription.try_get_i16().ok()?).ok()?;
        if length > subscription.len() {
            return None;
        }
        topics.push(subscription.split_to(length));
    }
    Some(topics)
}
