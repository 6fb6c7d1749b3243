//! DeleteRecords: moves the start of logs (KIP-107).

use std::ops::RangeInclusive;

use kafka_wire::ResponseError;
use kafka_wire::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_wire::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

use super::{Context, Handle, NoAnswer, code};
use crate::faults::Target;
use crate::shape::{Field, INT32, INT64, STRING, array};

pub(super) const VERSIONS: RangeInclusive<i16> = 0..=2;

impl Handle for DeleteRecordsRequest {
    type Response = DeleteRecordsResponse;
    const SHAPE: &'static [Field] = &[array(&[STRING, array(&[INT32, INT64])]), INT32];

    fn targets(&self, visit: &mut dyn FnMut(Target<'_>)) {
        for topic in &self.topics {
            for partition in &topic.partitions {
                visit(Target::partition(&topic.name, partition.partition_index));
            }
        }
    }

    fn refuse(&self, _error: ResponseError, _version: i16) -> Option<DeleteRecordsResponse> {
        None
    }

    async fn handle(self, context: &Context) -> Result<DeleteRecordsResponse, NoAnswer> {
        let topics = self
            .topics
            .into_iter()
            .map(|topic| {
                let partitions = topic
                    .partitions
                    .iter()
                    .map(|asked| {
                        let result =
                            delete(context, &topic.name, asked.partition_index, asked.offset);
                        DeleteRecordsPartitionResult::default()
                            .with_partition_index(asked.partition_index)
                            .with_low_watermark(result.unwrap_or(-1))
                            .with_error_code(code(result.err()))
                    })
                    .collect();
                DeleteRecordsTopicResult::default()
                    .with_name(topic.name)
                    .with_partitions(partitions)
            })
            .collect();
        Ok(DeleteRecordsResponse::default().with_topics(topics))
    }
}

fn delete(context: &Context, topic: &str, index: i32, offset: i64) -> Result<i64, ResponseError> {
    context.injected_error(topic, Some(index))?;
    context
        .cluster
        .topics
        .partition(topic, index)
        .ok_or(ResponseError::UnknownTopicOrPartition)?
        .delete_before(context.node, offset)
}
