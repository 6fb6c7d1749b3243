//! OffsetCommit.

use std::ops::RangeInclusive;

use kafka_wire::ResponseError;
use kafka_wire::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_wire::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_wire::messages::{OffsetCommitRequest, OffsetCommitResponse};

use super::{Context, Handle, NoAnswer, code};
use crate::faults::Target;
use crate::group::{Committed, GenerationOf};
use crate::shape::{Field, INT32, INT64, STRING, array};

pub(super) const VERSIONS: RangeInclusive<i16> = 2..=9;

/// Kafka's `offset.metadata.max.bytes`.
const MAX_METADATA: usize = 4096;

impl Handle for OffsetCommitRequest {
    type Response = OffsetCommitResponse;
    const SHAPE: &'static [Field] = &[
        STRING,
        INT32,
        STRING,
        STRING.from(7),
        INT64.to(4),
        array(&[STRING, array(&[INT32, INT64, INT32.from(6), STRING])]),
    ];

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

    fn refuse(&self, _error: ResponseError, _version: i16) -> Option<OffsetCommitResponse> {
        None
    }

    async fn handle(self, context: &Context) -> Result<OffsetCommitResponse, NoAnswer> {
        let checks: Vec<Vec<Option<ResponseError>>> = self
            .topics
            .iter()
            .map(|topic| {
                topic
                    .partitions
                    .iter()
                    .map(|partition| check(context, &topic.name, partition).err())
                    .collect()
            })
            .collect();
        let refused = commit(context, &self, &checks).err();
        let topics = self
            .topics
            .into_iter()
            .zip(checks)
            .map(|(topic, errors)| {
                let partitions = topic
                    .partitions
                    .iter()
                    .zip(errors)
                    .map(|(partition, error)| {
                        OffsetCommitResponsePartition::default()
                            .with_partition_index(partition.partition_index)
                            .with_error_code(code(error.or(refused)))
                    })
                    .collect();
                OffsetCommitResponseTopic::default()
                    .with_name(topic.name)
                    .with_partitions(partitions)
            })
            .collect();
        Ok(OffsetCommitResponse::default().with_topics(topics))
    }
}

fn check(
    context: &Context,
    topic: &str,
    asked: &OffsetCommitRequestPartition,
) -> Result<(), ResponseError> {
    context.injected_error(topic, Some(asked.partition_index))?;
    context
        .cluster
        .topics
        .partition(topic, asked.partition_index)
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    let metadata = asked.committed_metadata.as_ref();
    if metadata.is_some_and(|metadata| metadata.len() > MAX_METADATA) {
        return Err(ResponseError::OffsetMetadataTooLarge);
    }
    Ok(())
}

/// Commits the partitions that have no error of their own, or none if the group does not let this member.
fn commit(
    context: &Context,
    request: &OffsetCommitRequest,
    checks: &[Vec<Option<ResponseError>>],
) -> Result<(), ResponseError> {
    context.check_coordinator(&request.group_id)?;
    let from = GenerationOf {
        member_id: request.member_id.clone(),
        instance_id: request.group_instance_id.clone(),
        generation: request.generation_id_or_member_epoch,
    };
    let groups = &context.cluster.groups;
    let work = |held: &mut crate::coordinator::Held<'_>| {
        held.group.check_commit(held.now, &from)?;
        for (topic, errors) in request.topics.iter().zip(checks) {
            for (partition, error) in topic.partitions.iter().zip(errors) {
                if error.is_none() {
                    let committed = committed(partition);
                    held.offsets
                        .commit(&topic.name, partition.partition_index, committed);
                }
            }
        }
        Ok(())
    };
    if from.generation < 0 {
        // A commit from outside makes the group if need be.
        groups.with_new(&request.group_id, work)?
    } else {
        groups
            .with(&request.group_id, work)
            .unwrap_or(Err(ResponseError::IllegalGeneration))
    }
}

fn committed(partition: &OffsetCommitRequestPartition) -> Committed {
    let metadata = partition.committed_metadata.as_ref();
    Committed {
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: metadata.map(crate::group::owned).unwrap_or_default(),
    }
}
