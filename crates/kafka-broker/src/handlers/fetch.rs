//! Fetch: reads at once what is there, and waits for what is not.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_wire::ResponseError;
use kafka_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_wire::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_wire::messages::{BrokerId, FetchRequest, FetchResponse};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::{Context, Handle, NoAnswer, code};
use crate::faults::Target;
use crate::log::{Partition, Read, Reader};
use crate::shape::{Field, INT8, INT32, INT32S, INT64, STRING, array};

pub(super) const VERSIONS: RangeInclusive<i16> = 4..=12;

/// The first version whose clients can be sent to a replica, and read from one (KIP-392).
const FIRST_VERSION_WITH_RACKS: i16 = 11;

impl Handle for FetchRequest {
    type Response = FetchResponse;
    const SHAPE: &'static [Field] = &[
        INT32,
        INT32,
        INT32,
        INT32,
        INT8,
        INT32.from(7),
        INT32.from(7),
        array(&[
            STRING,
            array(&[
                INT32,
                INT32.from(9),
                INT64,
                INT32.from(12),
                INT64.from(5),
                INT32,
            ]),
        ]),
        array(&[STRING, INT32S]).from(7),
        STRING.from(11),
        STRING.tagged(0).from(12),
    ];

    fn targets(&self, visit: &mut dyn FnMut(Target<'_>)) {
        for topic in &self.topics {
            for partition in &topic.partitions {
                visit(Target::partition(&topic.topic, partition.partition));
            }
        }
    }

    fn refuse(&self, _error: ResponseError, _version: i16) -> Option<FetchResponse> {
        None
    }

    async fn handle(self, context: &Context) -> Result<FetchResponse, NoAnswer> {
        // Sessions are an offer that a broker may decline, with session id 0; then every fetch is a full one (KIP-227).
        // An incremental fetch means a session that this broker never gave.
        if self.session_id != 0 && self.session_epoch > 0 {
            return Ok(FetchResponse::default()
                .with_error_code(ResponseError::FetchSessionIdNotFound.code()));
        }
        let wait = Duration::from_millis(u64::try_from(self.max_wait_ms).unwrap_or_default());
        let deadline = Instant::now() + wait;
        let min_bytes = usize::try_from(self.min_bytes).unwrap_or_default();
        let fetch = Fetch::new(context, &self);
        let mut found = fetch.read();
        if !found.is_enough(min_bytes) && !wait.is_zero() {
            let watch = Watch::start(&fetch.asked);
            loop {
                found = fetch.read();
                if found.is_enough(min_bytes)
                    || timeout_at(deadline, watch.changed.notified())
                        .await
                        .is_err()
                {
                    break;
                }
            }
        }
        let preferred = fetch.asked.iter().map(|asked| asked.preferred);
        Ok(found.into_response(&self, preferred))
    }
}

/// A partition that is asked for, if there is such a partition.
struct Asked<'a> {
    request: &'a FetchPartition,
    partition: Result<Arc<Partition>, ResponseError>,
    /// The replica that the client is sent to in place of an answer.
    preferred: Option<i32>,
}

struct Fetch<'a> {
    context: &'a Context,
    asked: Vec<Asked<'a>>,
    max_bytes: usize,
}

impl<'a> Fetch<'a> {
    fn new(context: &'a Context, request: &'a FetchRequest) -> Self {
        let asked = request
            .topics
            .iter()
            .flat_map(|topic| look_up(context, topic, &request.rack_id))
            .collect();
        let max_bytes = usize::try_from(request.max_bytes).unwrap_or_default();
        Self {
            context,
            asked,
            max_bytes: max_bytes.min(context.cluster.config.max_fetch_bytes),
        }
    }

    /// Reads every partition within the limits. The first batch of all comes whole, whatever its size (KIP-74).
    fn read(&self) -> Found {
        let mut found = Found {
            partitions: Vec::with_capacity(self.asked.len()),
            bytes: 0,
            at_once: self.asked.is_empty(),
        };
        for asked in &self.asked {
            let result = self.read_one(asked, found.bytes);
            match &result {
                Ok(read) => found.bytes += read.batches.iter().map(Bytes::len).sum::<usize>(),
                Err(_) => found.at_once = true,
            }
            found.at_once |= asked.preferred.is_some();
            found.partitions.push(result);
        }
        found
    }

    fn read_one(
        &self,
        asked: &Asked<'_>,
        bytes_before: usize,
    ) -> Result<Read, (ResponseError, Read)> {
        let request = asked.request;
        let partition = asked
            .partition
            .as_ref()
            .map_err(|error| (*error, unknown_offsets()))?;
        if asked.preferred.is_some() {
            let (start_offset, end_offset, _) = partition
                .offsets(self.context.node, request.current_leader_epoch)
                .map_err(|error| (error, unknown_offsets()))?;
            return Ok(Read {
                batches: Vec::new(),
                start_offset,
                end_offset,
            });
        }
        let limit = usize::try_from(request.partition_max_bytes).unwrap_or_default();
        let reader = if self.context.cluster.config.racks.is_empty()
            || self.context.version < FIRST_VERSION_WITH_RACKS
        {
            Reader::Leader(self.context.node)
        } else {
            Reader::Replica(self.context.node)
        };
        partition.read(
            reader,
            request.current_leader_epoch,
            request.fetch_offset,
            limit.min(self.max_bytes.saturating_sub(bytes_before)),
            bytes_before == 0,
        )
    }
}

fn look_up<'a>(
    context: &'a Context,
    topic: &'a FetchTopic,
    rack: &'a str,
) -> impl Iterator<Item = Asked<'a>> + use<'a> {
    let found = context.cluster.topics.get(&topic.topic);
    topic.partitions.iter().map(move |request| {
        let partition = context
            .injected_error(&topic.topic, Some(request.partition))
            .and_then(|()| {
                found
                    .as_ref()
                    .and_then(|found| found.partition(request.partition))
                    .ok_or(ResponseError::UnknownTopicOrPartition)
            });
        let preferred = partition
            .as_ref()
            .ok()
            .and_then(|partition| preferred_replica(context, partition, rack));
        Asked {
            request,
            partition,
            preferred,
        }
    })
}

/// The replica in the client's rack, if that is not the leader, whom alone this is asked of.
fn preferred_replica(context: &Context, partition: &Partition, rack: &str) -> Option<i32> {
    let nodes = &context.cluster.nodes;
    if rack.is_empty() || context.cluster.config.racks.is_empty() {
        return None;
    }
    let view = partition.view();
    if view.leadership.leader != Some(context.node) || nodes.is_up_in(context.node, rack) {
        return None;
    }
    let mut replicas = view.replicas.into_iter();
    replicas.find(|id| nodes.is_up_in(*id, rack))
}

fn unknown_offsets() -> Read {
    Read {
        batches: Vec::new(),
        start_offset: -1,
        end_offset: -1,
    }
}

/// What was read, in the order in which it was asked for.
struct Found {
    partitions: Vec<Result<Read, (ResponseError, Read)>>,
    bytes: usize,
    /// There is something to say that the client should not wait for.
    at_once: bool,
}

impl Found {
    /// An error is answered at once, as is a fetch that asks for nothing or at the wrong replica.
    fn is_enough(&self, min_bytes: usize) -> bool {
        self.at_once || self.bytes >= min_bytes
    }

    fn into_response(
        self,
        request: &FetchRequest,
        preferred: impl Iterator<Item = Option<i32>>,
    ) -> FetchResponse {
        let mut results = self.partitions.into_iter().zip(preferred);
        let responses = request
            .topics
            .iter()
            .map(|topic| {
                let partitions = topic
                    .partitions
                    .iter()
                    .zip(results.by_ref())
                    .map(|(asked, (result, preferred))| {
                        partition_data(asked.partition, result)
                            .with_preferred_read_replica(BrokerId(preferred.unwrap_or(-1)))
                    })
                    .collect();
                FetchableTopicResponse::default()
                    .with_topic(topic.topic.clone())
                    .with_partitions(partitions)
            })
            .collect();
        FetchResponse::default().with_responses(responses)
    }
}

fn partition_data(index: i32, result: Result<Read, (ResponseError, Read)>) -> PartitionData {
    let (error, read) = match result {
        Ok(read) => (None, read),
        Err((error, read)) => (Some(error), read),
    };
    PartitionData::default()
        .with_partition_index(index)
        .with_error_code(code(error))
        .with_high_watermark(read.end_offset)
        .with_last_stable_offset(read.end_offset)
        .with_log_start_offset(read.start_offset)
        .with_aborted_transactions(None)
        .with_records(Some(concatenated(read.batches)))
}

/// The batches one after another. A single one, which is what a consumer that keeps up gets, is not copied.
fn concatenated(mut batches: Vec<Bytes>) -> Bytes {
    if batches.len() == 1 {
        return batches.pop().unwrap_or_default();
    }
    let mut all = BytesMut::with_capacity(batches.iter().map(Bytes::len).sum());
    for batch in &batches {
        all.extend_from_slice(batch);
    }
    all.freeze()
}

/// Is notified of what happens to the partitions of a fetch, until it is dropped.
struct Watch {
    changed: Arc<Notify>,
    watched: Vec<(Arc<Partition>, u64)>,
}

impl Watch {
    fn start(asked: &[Asked<'_>]) -> Self {
        let changed = Arc::new(Notify::new());
        let watched = asked
            .iter()
            .filter_map(|asked| asked.partition.as_ref().ok())
            .map(|partition| (Arc::clone(partition), partition.watch(&changed)))
            .collect();
        Self { changed, watched }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        for (partition, id) in &self.watched {
            partition.unwatch(*id);
        }
    }
}
