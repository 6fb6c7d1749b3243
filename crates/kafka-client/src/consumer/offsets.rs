//! The ends of a partition's log, and the policy for partitions without a place in it.

use std::collections::HashMap;
use std::sync::Arc;

use kafka_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_wire::messages::{ListOffsetsRequest, TopicName};
use kafka_wire::{ResponseError, StrBytes};

use super::config::{ConsumerConfig, OffsetReset};
use super::error::ConsumerError;
use super::slot::{Slot, Start};
use crate::backoff::Backoff;
use crate::cluster::{Cluster, Purpose};
use crate::error::ClientError;
use crate::topic_partition::TopicPartition;

/// Kafka's name for the first offset of the log.
const EARLIEST: i64 = -2;
/// Kafka's name for the offset behind the last record (of a committed transaction, under read_committed).
const LATEST: i64 = -1;

/// A partition without a place to read on from.
#[derive(Debug)]
pub(super) struct Missing {
    pub(super) slot: Arc<Slot>,
    /// The offset that turned out to be outside of the log, if there was one.
    pub(super) outside: Option<i64>,
    /// The seeks up to now: a later one makes this needless.
    pub(super) seeks: u64,
}

impl Missing {
    fn is_needed(&self) -> bool {
        let state = self.slot.lock();
        state.is_held() && state.seeks == self.seeks && state.start != Start::Ready
    }
}

/// Carries out the reset policy; asks again, with waits up to a second, until each partition has its answer or is gone.
pub(super) async fn reset(cluster: &Cluster, config: &ConsumerConfig, mut missing: Vec<Missing>) {
    let mut backoff = Backoff::default();
    loop {
        missing.retain(Missing::is_needed);
        if missing.is_empty() {
            return;
        }
        let ids: Vec<_> = missing.iter().map(|m| m.slot.id.clone()).collect();
        let isolation = config.isolation_level.code();
        let (ends, starts) = match config.auto_offset_reset {
            OffsetReset::Earliest => (None, Some(list(cluster, isolation, &ids, EARLIEST).await)),
            OffsetReset::Latest => (Some(list(cluster, isolation, &ids, LATEST).await), None),
            OffsetReset::Error => {
                let (ends, starts) = tokio::join!(
                    list(cluster, isolation, &ids, LATEST),
                    list(cluster, isolation, &ids, EARLIEST)
                );
                (Some(ends), Some(starts))
            }
        };
        for m in &missing {
            settle(m, starts.as_ref(), ends.as_ref());
        }
        missing.retain(|m| m.slot.lock().failure.is_none() && m.is_needed());
        if !missing.is_empty() {
            cluster.request_refresh();
            tokio::time::sleep(backoff.next()).await;
        }
    }
}

type Listed = HashMap<TopicPartition, Result<i64, ClientError>>;

fn settle(missing: &Missing, starts: Option<&Listed>, ends: Option<&Listed>) {
    let id = &missing.slot.id;
    let start = starts.and_then(|listed| listed.get(id));
    let end = ends.and_then(|listed| listed.get(id));
    let mut answers = [start, end].into_iter().flatten();
    if let Some(error) = answers.find_map(|answer| answer.as_ref().err()) {
        if error.is_retriable() {
            tracing::debug!(partition = %id, %error, "cannot list offsets yet");
        } else {
            missing.slot.fail(ConsumerError::Client(error.clone()));
        }
        return;
    }
    match (start, end) {
        (Some(Ok(log_start)), Some(Ok(log_end))) => missing.slot.fail(ConsumerError::NoOffset {
            partition: id.clone(),
            offset: missing.outside,
            log_start: *log_start,
            log_end: *log_end,
        }),
        (Some(Ok(offset)), None) | (None, Some(Ok(offset))) => {
            if let Some(outside) = missing.outside {
                tracing::warn!(partition = %id, offset = outside, reset_to = offset, "an offset is not in the log");
            }
            missing.slot.start_at(*offset, missing.seeks);
        }
        // Not in the answer: asked again.
        _ => {}
    }
}

/// Asks the leaders for an offset of each partition, one request a leader.
async fn list(
    cluster: &Cluster,
    isolation_level: i8,
    partitions: &[TopicPartition],
    timestamp: i64,
) -> Listed {
    let mut by_leader: HashMap<i32, Vec<(&TopicPartition, i32)>> = HashMap::new();
    let mut listed = Listed::new();
    for id in partitions {
        match cluster.leader(&id.topic, id.partition) {
            Some(leader) => {
                let of_leader = by_leader.entry(leader.node).or_default();
                of_leader.push((id, leader.epoch));
            }
            None => {
                let code = ResponseError::LeaderNotAvailable;
                let error = ClientError::broker("ListOffsets", id.to_string(), code);
                listed.insert(id.clone(), Err(error));
            }
        }
    }
    let asked = by_leader.iter().map(|(node, partitions)| async move {
        let request = list_request(partitions, timestamp, isolation_level);
        let answer = cluster.request_to(*node, Purpose::General, request).await;
        (partitions, answer)
    });
    for (partitions, answer) in futures_util::future::join_all(asked).await {
        match answer {
            Err(error) => {
                let failed = partitions
                    .iter()
                    .map(|(id, _)| ((*id).clone(), Err(error.clone())));
                listed.extend(failed);
            }
            Ok(response) => {
                for topic in response.topics {
                    let name: Arc<str> = Arc::from(topic.name.as_str());
                    for p in topic.partitions {
                        let id = TopicPartition::new(Arc::clone(&name), p.partition_index);
                        let result = match ResponseError::try_from_code(p.error_code) {
                            None => Ok(p.offset.max(0)),
                            Some(code) => {
                                Err(ClientError::broker("ListOffsets", id.to_string(), code))
                            }
                        };
                        listed.insert(id, result);
                    }
                }
            }
        }
    }
    listed
}

fn list_request(
    partitions: &[(&TopicPartition, i32)],
    timestamp: i64,
    isolation_level: i8,
) -> ListOffsetsRequest {
    let mut topics: Vec<ListOffsetsTopic> = Vec::new();
    for (id, epoch) in partitions {
        let partition = ListOffsetsPartition::default()
            .with_partition_index(id.partition)
            .with_current_leader_epoch(*epoch)
            .with_timestamp(timestamp);
        match topics.iter_mut().find(|t| t.name.as_str() == &*id.topic) {
            Some(topic) => topic.partitions.push(partition),
            None => topics.push(
                ListOffsetsTopic::default()
                    .with_name(TopicName(StrBytes::from_string(id.topic.to_string())))
                    .with_partitions(vec![partition]),
            ),
        }
    }
    ListOffsetsRequest::default()
        .with_replica_id((-1).into())
        .with_isolation_level(isolation_level)
        .with_topics(topics)
}
