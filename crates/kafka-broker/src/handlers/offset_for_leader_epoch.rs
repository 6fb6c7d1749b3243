//! OffsetForLeaderEpoch: where a leader's records end, so that a client finds out whether what it read still stands (KIP-320).

use std::ops::RangeInclusive;

use kafka_wire::ResponseError;
use kafka_wire::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_wire::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_wire::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::{Context, Handle, NoAnswer, code};
use crate::faults::Target;
use crate::shape::{Field, INT32, STRING, array};

pub(super) const VERSIONS: RangeInclusive<i16> = 2..=4;

impl Handle for OffsetForLeaderEpochRequest {
    type Response = OffsetForLeaderEpochResponse;
    const SHAPE: &'static [Field] = &[
        INT32.from(3),
        array(&[STRING, array(&[INT32, INT32, INT32])]),
    ];

    fn targets(&self, visit: &mut dyn FnMut(Target<'_>)) {
        for topic in &self.topics {
            for partition in &topic.partitions {
                visit(Target::partition(&topic.topic, partition.partition));
            }
        }
    }

    fn refuse(&self, _error: ResponseError, _version: i16) -> Option<OffsetForLeaderEpochResponse> {
        None
    }

    async fn handle(self, context: &Context) -> Result<OffsetForLeaderEpochResponse, NoAnswer> {
        let topics = self
            .topics
            .into_iter()
            .map(|topic| {
                let partitions = topic
                    .partitions
                    .iter()
                    .map(|asked| {
                        let result = find(context, &topic.topic, asked);
                        let (epoch, end) = result.unwrap_or((-1, -1));
                        EpochEndOffset::default()
                            .with_error_code(code(result.err()))
                            .with_partition(asked.partition)
                            .with_leader_epoch(epoch)
                            .with_end_offset(end)
                    })
                    .collect();
                OffsetForLeaderTopicResult::default()
                    .with_topic(topic.topic)
                    .with_partitions(partitions)
            })
            .collect();
        Ok(OffsetForLeaderEpochResponse::default().with_topics(topics))
    }
}

fn find(
    context: &Context,
    topic: &str,
    asked: &OffsetForLeaderPartition,
) -> Result<(i32, i64), ResponseError> {
    context.injected_error(topic, Some(asked.partition))?;
    context
        .cluster
        .topics
        .partition(topic, asked.partition)
        .ok_or(ResponseError::UnknownTopicOrPartition)?
        .end_of_epoch(context.node, asked.current_leader_epoch, asked.leader_epoch)
}
