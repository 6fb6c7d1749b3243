//! Fetch requests and what their answers mean for each partition.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_wire::messages::fetch_response::PartitionData;
use kafka_wire::messages::{FetchRequest, FetchResponse, TopicName};
use kafka_wire::{ResponseError, StrBytes, batch};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::config::{ConsumerConfig, IsolationLevel};
use super::decode::{Chunk, end_of};
use super::error::ConsumerError;
use super::fetcher::Shared;
use super::slot::{Slot, SlotState, Start};
use crate::error::FetchVerdict;

/// A partition that has less than this part of an answer gets a copy of its own: a slice would keep the whole answer in
/// memory, and many partitions with a small slice each could keep many answers.
const COPY_BELOW: usize = 8;

/// How long a replica that failed is left alone. A cluster takes up to 9 s to notice that a node is gone, and its leaders
/// name the node until then.
const REPLICA_REST: Duration = Duration::from_secs(30);

/// A partition that goes into a request.
#[derive(Debug)]
pub(super) struct Pick {
    pub(super) slot: Arc<Slot>,
    offset: i64,
    leader_epoch: i32,
    /// The leader is not to send us to a replica.
    leader_only: bool,
    /// Names this fetch of the partition; an answer to any other is dropped.
    fetch: u64,
}

/// What an answer calls for.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Received {
    /// The metadata may be old.
    pub(super) refresh: bool,
    /// A partition goes to another broker, or needs an offset.
    pub(super) reroute: bool,
}

/// The partition, if it is to be fetched now; or when it may be.
pub(super) fn pick(
    slot: &Arc<Slot>,
    shared: &Shared,
    wake: &Arc<Notify>,
    now: Instant,
) -> Result<Option<Pick>, Instant> {
    let mut state = slot.lock();
    let mine = state.fetcher.as_ref().is_some_and(|f| Arc::ptr_eq(f, wake));
    if !mine
        || !state.is_held()
        || state.start != Start::Ready
        || state.paused
        || state.failure.is_some()
        || state.in_flight.is_some()
        || state.buffered_bytes >= shared.config.partition_buffer_bytes
    {
        return Ok(None);
    }
    if let Some(later) = state.not_before.filter(|at| *at > now) {
        return Err(later);
    }
    let leader = shared.cluster.leader(&slot.id.topic, slot.id.partition);
    // The supervisor may have looked when nothing was known of the epoch of what was read: a fetch that was under way has
    // told since.
    if leader.is_some_and(|leader| state.is_in_doubt(leader.epoch)) {
        shared.wake();
        return Ok(None);
    }
    state.fetches += 1;
    state.in_flight = Some(state.fetches);
    Ok(Some(Pick {
        slot: Arc::clone(slot),
        offset: state.fetch_offset,
        leader_epoch: leader.map_or(-1, |l| l.epoch),
        leader_only: state.leader_only.is_some_and(|until| until > now),
        fetch: state.fetches,
    }))
}

/// How long a partition is read from its leader after a replica near by has failed.
fn replica_rest(shared: &Shared) -> Duration {
    REPLICA_REST.min(shared.cluster.config().metadata_max_age)
}

impl Pick {
    /// Lets the partition be picked again.
    pub(super) fn give_back(&self) {
        let mut state = self.slot.lock();
        if state.in_flight == Some(self.fetch) {
            state.in_flight = None;
        }
    }

    /// Lets the partition be picked again, at the leader.
    pub(super) fn failed(&self, shared: &Shared) {
        self.give_back();
        self.slot.lock().leave_replica(replica_rest(shared));
    }
}

pub(super) fn build(config: &ConsumerConfig, picks: &[Pick], wait: Duration) -> FetchRequest {
    let mut topics: Vec<FetchTopic> = Vec::new();
    let mut index: HashMap<&str, usize> = HashMap::new();
    for pick in picks {
        let topic = &pick.slot.id.topic;
        let at = *index.entry(topic).or_insert_with(|| {
            let name = TopicName(StrBytes::from_string(topic.to_string()));
            topics.push(FetchTopic::default().with_topic(name));
            topics.len() - 1
        });
        topics[at].partitions.push(
            FetchPartition::default()
                .with_partition(pick.slot.id.partition)
                .with_current_leader_epoch(pick.leader_epoch)
                .with_fetch_offset(pick.offset)
                .with_partition_max_bytes(config.partition_max_bytes),
        );
    }
    // A leader that is told the rack answers with the replica's name in place of records, although that may be the one
    // that just failed.
    let leader_only = picks.iter().any(|pick| pick.leader_only);
    let rack = config.client_rack.as_deref().filter(|_| !leader_only);
    let rack = rack.unwrap_or_default();
    FetchRequest::default()
        .with_max_wait_ms(i32::try_from(wait.as_millis()).unwrap_or(i32::MAX))
        .with_min_bytes(config.fetch_min_bytes)
        .with_max_bytes(config.fetch_max_bytes)
        .with_isolation_level(config.isolation_level.code())
        .with_rack_id(StrBytes::from_string(rack.to_owned()))
        .with_topics(topics)
}

/// Hands what came to the partitions that it was fetched for.
pub(super) fn receive(
    shared: &Shared,
    node: i32,
    picks: &[Pick],
    response: FetchResponse,
) -> Received {
    let total: usize = response
        .responses
        .iter()
        .flat_map(|topic| &topic.partitions)
        .map(|p| p.records.as_ref().map_or(0, Bytes::len))
        .sum();
    let by_id: HashMap<(&str, i32), &Pick> = picks
        .iter()
        .map(|p| ((&*p.slot.id.topic, p.slot.id.partition), p))
        .collect();
    let mut received = Received::default();
    for topic in response.responses {
        for data in topic.partitions {
            if let Some(pick) = by_id.get(&(topic.topic.as_str(), data.partition_index)) {
                receive_partition(shared, node, pick, data, total, &mut received);
            }
        }
    }
    for pick in picks {
        pick.give_back();
    }
    received
}

fn receive_partition(
    shared: &Shared,
    node: i32,
    pick: &Pick,
    data: PartitionData,
    total: usize,
    received: &mut Received,
) {
    let slot = &pick.slot;
    let mut state = slot.lock();
    if state.in_flight != Some(pick.fetch) || !state.is_held() {
        return;
    }
    let failure = match ResponseError::try_from_code(data.error_code) {
        None => store(shared, node, pick, &mut state, data, total, received),
        Some(code) => {
            let from_replica = state.leave_replica(replica_rest(shared));
            received.reroute = true;
            refused(pick, &mut state, code, from_replica, received)
        }
    };
    if let Some(failure) = failure {
        drop(state);
        slot.fail(failure);
    }
}

/// What an error of the partition means.
fn refused(
    pick: &Pick,
    state: &mut SlotState,
    code: ResponseError,
    from_replica: bool,
    received: &mut Received,
) -> Option<ConsumerError> {
    tracing::debug!(partition = %pick.slot.id, offset = pick.offset, %code, "fetch of a partition failed");
    match FetchVerdict::of(code) {
        // What is in memory is handed out first; and a replica may be behind: the leader decides.
        FetchVerdict::OutOfRange if !from_replica && state.position == Some(state.fetch_offset) => {
            state.start = Start::NeedsReset(Some(pick.offset));
            None
        }
        FetchVerdict::OutOfRange => {
            state.hold_back();
            None
        }
        FetchVerdict::Retry => {
            state.hold_back();
            received.refresh = true;
            None
        }
        FetchVerdict::Fatal => Some(ConsumerError::Fetch {
            partition: pick.slot.id.clone(),
            code,
        }),
    }
}

fn store(
    shared: &Shared,
    node: i32,
    pick: &Pick,
    state: &mut SlotState,
    data: PartitionData,
    total: usize,
    received: &mut Received,
) -> Option<ConsumerError> {
    let committed_only = shared.config.isolation_level == IsolationLevel::ReadCommitted;
    let end = if committed_only && data.last_stable_offset >= 0 {
        data.last_stable_offset
    } else {
        data.high_watermark
    };
    if end >= 0 {
        state.high_watermark = Some(end);
    }
    if data.log_start_offset >= 0 {
        state.log_start = Some(data.log_start_offset);
    }
    let replica = data.preferred_read_replica.0;
    if replica >= 0 && replica != node {
        // The leader is asked again when its answer is as old as metadata may get (KIP-392).
        let age = shared.cluster.config().metadata_max_age;
        state.preferred = Some((replica, Instant::now() + age));
        received.reroute = true;
    }
    pick.slot.meters.lag(state.lag());
    let records = data.records.filter(|r| !r.is_empty())?;
    pick.slot
        .meters
        .fetched_bytes
        .increment(records.len() as u64);
    let Some(end) = end_of(&records) else {
        // Not one whole batch: reading it says what is wrong.
        let source = batch::batches(records).next()?.err()?;
        return Some(ConsumerError::Undecodable {
            partition: pick.slot.id.clone(),
            offset: pick.offset,
            source,
        });
    };
    state.backoff.reset();
    // A broker may answer with batches that end before the offset asked for, never with only such.
    if end.next_offset <= pick.offset {
        state.hold_back();
        return None;
    }
    for (offset, epoch) in end.epochs {
        state.note_epoch(offset, epoch);
    }
    // It answered in this epoch.
    state.validate(pick.leader_epoch);
    let aborted = data.aborted_transactions.filter(|_| committed_only);
    let chunk = Chunk {
        records: if end.length < total / COPY_BELOW {
            Bytes::copy_from_slice(&records[..end.length])
        } else {
            records.slice(..end.length)
        },
        aborted: aborted
            .unwrap_or_default()
            .iter()
            .map(|t| (t.producer_id.0, t.first_offset))
            .collect(),
        next_offset: end.next_offset,
    };
    state.push(chunk);
    pick.slot.readable.notify_one();
    None
}
