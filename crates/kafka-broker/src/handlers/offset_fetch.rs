//! OffsetFetch.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use kafka_wire::ResponseError;
use kafka_wire::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_wire::messages::offset_fetch_response::{
    OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};
use kafka_wire::messages::{OffsetFetchRequest, OffsetFetchResponse, TopicName};

use super::{Context, Handle, NoAnswer, code, text};
use crate::faults::Target;
use crate::group::{Committed, Offsets};
use crate::shape::{Field, INT8, INT32S, STRING, array};

pub(super) const VERSIONS: RangeInclusive<i16> = 1..=7;

/// The first version with an error of the whole request; before it, each partition bears it.
const FIRST_VERSION_WITH_ERROR: i16 = 2;

impl Handle for OffsetFetchRequest {
    type Response = OffsetFetchResponse;
    const SHAPE: &'static [Field] = &[STRING, array(&[STRING, INT32S]), INT8.from(7)];

    fn targets(&self, visit: &mut dyn FnMut(Target<'_>)) {
        let group = Some(self.group_id.as_str());
        visit(Target {
            group,
            ..Target::default()
        });
        for topic in self.topics.iter().flatten() {
            for partition in &topic.partition_indexes {
                visit(Target {
                    topic: Some(&topic.name),
                    partition: Some(*partition),
                    group,
                });
            }
        }
    }

    fn refuse(&self, error: ResponseError, version: i16) -> Option<OffsetFetchResponse> {
        if is_of_partition(error) {
            return None;
        }
        let response = OffsetFetchResponse::default();
        if version >= FIRST_VERSION_WITH_ERROR {
            return Some(response.with_error_code(error.code()));
        }
        let topics = self.topics.iter().flatten();
        let topics = topics.map(|topic| asked(topic, &Offsets::default(), |_| error.code()));
        Some(response.with_topics(topics.collect()))
    }

    async fn handle(self, context: &Context) -> Result<OffsetFetchResponse, NoAnswer> {
        if let Err(error) = context.check_coordinator(&self.group_id) {
            return Ok(self.refuse(error, context.version).unwrap_or_default());
        }
        let all_or_asked = |offsets: &Offsets| match &self.topics {
            None => offsets.topics().map(whole_topic).collect(),
            Some(topics) => topics
                .iter()
                .map(|topic| {
                    let injected = |index| context.injected_error(&topic.name, Some(index));
                    asked(topic, offsets, |index| code(injected(index).err()))
                })
                .collect(),
        };
        let groups = &context.cluster.groups;
        let topics = groups
            .with(&self.group_id, |held| all_or_asked(held.offsets))
            .unwrap_or_else(|| all_or_asked(&Offsets::default()));
        Ok(OffsetFetchResponse::default().with_topics(topics))
    }
}

/// Whether Kafka answers this for a partition, and not for the request.
fn is_of_partition(error: ResponseError) -> bool {
    matches!(
        error,
        ResponseError::UnstableOffsetCommit
            | ResponseError::TopicAuthorizationFailed
            | ResponseError::UnknownTopicOrPartition
    )
}

fn asked(
    topic: &OffsetFetchRequestTopic,
    offsets: &Offsets,
    error_code: impl Fn(i32) -> i16,
) -> OffsetFetchResponseTopic {
    let partitions = topic
        .partition_indexes
        .iter()
        .map(|index| {
            let response = respond(*index, offsets.get(&topic.name, *index));
            response.with_error_code(error_code(*index))
        })
        .collect();
    OffsetFetchResponseTopic::default()
        .with_name(topic.name.clone())
        .with_partitions(partitions)
}

fn whole_topic((topic, committed): (&str, &BTreeMap<i32, Committed>)) -> OffsetFetchResponseTopic {
    let partitions = committed
        .iter()
        .map(|(index, committed)| respond(*index, Some(committed)))
        .collect();
    OffsetFetchResponseTopic::default()
        .with_name(TopicName(text(topic)))
        .with_partitions(partitions)
}

/// Offset −1 says that none was committed.
fn respond(index: i32, committed: Option<&Committed>) -> OffsetFetchResponsePartition {
    let response = OffsetFetchResponsePartition::default()
        .with_partition_index(index)
        .with_metadata(Some(text("")));
    match committed {
        None => response
            .with_committed_offset(-1)
            .with_committed_leader_epoch(-1),
        Some(committed) => response
            .with_committed_offset(committed.offset)
            .with_committed_leader_epoch(committed.leader_epoch)
            .with_metadata(Some(committed.metadata.clone())),
    }
}
