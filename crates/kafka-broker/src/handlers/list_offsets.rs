//! ListOffsets: the ends of a log, and offsets by time (KIP-79, KIP-734).

use std::ops::RangeInclusive;

use kafka_wire::ResponseError;
use kafka_wire::messages::list_offsets_request::ListOffsetsPartition;
use kafka_wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_wire::messages::{ListOffsetsRequest, ListOffsetsResponse, TopicName};

use super::{Context, Handle, NoAnswer};
use crate::faults::Target;
use crate::log::{FoundRecord, TimestampSearch};
use crate::shape::{Field, INT8, INT32, INT64, STRING, array};

pub(super) const VERSIONS: RangeInclusive<i16> = 1..=7;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
/// The first version that names leader epochs (KIP-320).
const FIRST_VERSION_WITH_EPOCHS: i16 = 4;
/// The first version with `MAX_TIMESTAMP` (KIP-734).
const FIRST_VERSION_WITH_MAX: i16 = 7;

impl Handle for ListOffsetsRequest {
    type Response = ListOffsetsResponse;
    const SHAPE: &'static [Field] = &[
        INT32,
        INT8.from(2),
        array(&[STRING, array(&[INT32, INT32.from(4), INT64])]),
    ];

    fn targets(&self, visit: &mut dyn FnMut(Target<'_>)) {
        for topic in &self.topics {
            for partition in &topic.partitions {
                visit(Target::partition(&topic.name, partition.partition_index));
            }
        }
    }

    fn refuse(&self, _error: ResponseError, _version: i16) -> Option<ListOffsetsResponse> {
        None
    }

    async fn handle(self, context: &Context) -> Result<ListOffsetsResponse, NoAnswer> {
        let topics = self
            .topics
            .into_iter()
            .map(|topic| {
                let partitions = topic
                    .partitions
                    .iter()
                    .map(|asked| respond(context, asked, find(context, &topic.name, asked)))
                    .collect();
                ListOffsetsTopicResponse::default()
                    .with_name(topic.name)
                    .with_partitions(partitions)
            })
            .collect();
        Ok(ListOffsetsResponse::default().with_topics(topics))
    }
}

/// Offset and time −1 say that no record is that young.
const NOTHING: FoundRecord = FoundRecord {
    offset: -1,
    timestamp: -1,
};

fn find(
    context: &Context,
    topic: &TopicName,
    asked: &ListOffsetsPartition,
) -> Result<(FoundRecord, i32), ResponseError> {
    context.injected_error(topic, Some(asked.partition_index))?;
    let partition = context
        .cluster
        .topics
        .partition(topic, asked.partition_index)
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    let (node, epoch) = (context.node, asked.current_leader_epoch);
    let end = |offset, leader_epoch| {
        let found = FoundRecord {
            offset,
            timestamp: -1,
        };
        (found, leader_epoch)
    };
    let search = match asked.timestamp {
        LATEST => {
            let (_, latest, leader_epoch) = partition.offsets(node, epoch)?;
            return Ok(end(latest, leader_epoch));
        }
        EARLIEST => {
            let (earliest, _, leader_epoch) = partition.offsets(node, epoch)?;
            return Ok(end(earliest, leader_epoch));
        }
        MAX_TIMESTAMP if context.version >= FIRST_VERSION_WITH_MAX => TimestampSearch::Max,
        timestamp if timestamp < 0 => return Err(ResponseError::UnsupportedVersion),
        timestamp => TimestampSearch::AtOrAfter(timestamp),
    };
    let found = partition.find_by_time(node, epoch, search)?;
    Ok(found.unwrap_or((NOTHING, -1)))
}

fn respond(
    context: &Context,
    asked: &ListOffsetsPartition,
    result: Result<(FoundRecord, i32), ResponseError>,
) -> ListOffsetsPartitionResponse {
    let (error, (found, leader_epoch)) = match result {
        Ok(found) => (0, found),
        Err(e) => (e.code(), (NOTHING, -1)),
    };
    ListOffsetsPartitionResponse::default()
        .with_partition_index(asked.partition_index)
        .with_error_code(error)
        .with_offset(found.offset)
        .with_timestamp(found.timestamp)
        .with_leader_epoch(if context.version >= FIRST_VERSION_WITH_EPOCHS {
            leader_epoch
        } else {
            -1
        })
}
