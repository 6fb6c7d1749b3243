//! The ends of a partition's log, and the policy for partitions without a place in it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kafka_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_wire::messages::{ListOffsetsRequest, TopicName};
use kafka_wire::{ResponseError, StrBytes};

use super::config::{ConsumerConfig, OffsetReset};
use super::error::ConsumerError;
use super::slot::{Slot, Start};
use crate::cluster::{Cluster, Purpose};
use crate::error::ClientError;
use crate::topic_partition::TopicPartition;

/// Kafka's name for the first offset of the log.
pub(super) const EARLIEST: i64 = -2;
/// Kafka's name for the offset behind the last record (of a committed transaction, under read_committed).
pub(super) const LATEST: i64 = -1;

/// A partition without a place to read on from.
#[derive(Debug)]
pub(super) struct Missing {
    pub(super) slot: Arc<Slot>,
    /// What it needs: [`Start::NeedsReset`] or [`Start::AtTime`].
    pub(super) start: Start,
    /// The seeks up to now: a later one makes this needless.
    pub(super) seeks: u64,
}

impl Missing {
    fn is_needed(&self) -> bool {
        let state = self.slot.lock();
        state.is_held() && state.seeks == self.seeks && state.start == self.start
    }

    /// The times to ask for: one that is wanted from the front, and one from the back.
    fn questions(&self, policy: OffsetReset) -> (Option<i64>, Option<i64>) {
        match (self.start, policy) {
            (Start::AtTime(EARLIEST), _) => (Some(EARLIEST), None),
            (Start::AtTime(LATEST), _) => (None, Some(LATEST)),
            // Where no record is as young as that, it is the log's end.
            (Start::AtTime(time), _) => (Some(time), Some(LATEST)),
            (_, OffsetReset::ByDuration(back)) => (Some(time_before(back)), Some(LATEST)),
            (_, OffsetReset::Timestamp(time)) => (Some(time), Some(LATEST)),
            (_, OffsetReset::Earliest) => (Some(EARLIEST), None),
            (_, OffsetReset::Latest) => (None, Some(LATEST)),
            (_, OffsetReset::Error) => (Some(EARLIEST), Some(LATEST)),
        }
    }
}

/// The time so long ago, in milliseconds since 1970; 0 if that is longer.
fn time_before(back: Duration) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let then = now.unwrap_or_default().saturating_sub(back);
    i64::try_from(then.as_millis()).unwrap_or(i64::MAX)
}

/// Partitions without a place that have the same leader, or none.
#[derive(Debug)]
pub(super) struct OfLeader {
    leader: Option<i32>,
    missing: Vec<Missing>,
}

/// The partitions by who is to be asked: a leader that is silent holds up nobody but its own.
pub(super) fn by_leader(cluster: &Cluster, missing: Vec<Missing>) -> Vec<OfLeader> {
    let mut leaders: HashMap<Option<i32>, Vec<Missing>> = HashMap::new();
    for m in missing {
        let leader = cluster.leader(&m.slot.id.topic, m.slot.id.partition);
        let leader = leader.map(|leader| leader.node);
        leaders.entry(leader).or_default().push(m);
    }
    leaders
        .into_iter()
        .map(|(leader, missing)| OfLeader { leader, missing })
        .collect()
}

/// Finds the offsets, by the reset policy or by time. One attempt: partitions that have no answer after it can be taken for
/// the next one after a wait of up to a second.
pub(super) async fn reset(cluster: &Cluster, config: &ConsumerConfig, asked: OfLeader) {
    let OfLeader { leader, missing } = asked;
    if let Some(leader) = leader {
        let isolation = config.isolation_level.code();
        let (mut fronts, mut backs) = (Vec::new(), Vec::new());
        for m in &missing {
            let (front, back) = m.questions(config.auto_offset_reset);
            fronts.extend(front.map(|time| (m.slot.id.clone(), time)));
            backs.extend(back.map(|time| (m.slot.id.clone(), time)));
        }
        let (fronts, backs) = tokio::join!(
            list(cluster, leader, isolation, &fronts),
            list(cluster, leader, isolation, &backs)
        );
        for m in &missing {
            let expected = m.questions(config.auto_offset_reset);
            settle(m, expected, &fronts, &backs);
        }
    }
    // The same for all, so that the next question is one for all of them, too.
    let mut again_at = None;
    for m in missing.iter().filter(|m| m.is_needed()) {
        let mut state = m.slot.lock();
        if state.failure.is_none() && state.seeks == m.seeks {
            state.resetting = None;
            state.hold_back();
            again_at = again_at.or(state.not_before);
            state.not_before = again_at;
        }
    }
    if again_at.is_some() {
        cluster.request_refresh();
    }
}

type Listed = HashMap<TopicPartition, Result<i64, ClientError>>;

fn settle(missing: &Missing, asked: (Option<i64>, Option<i64>), fronts: &Listed, backs: &Listed) {
    let id = &missing.slot.id;
    let (front, back) = (fronts.get(id), backs.get(id));
    // Not in the answer: asked again.
    if (asked.0.is_some() && front.is_none()) || (asked.1.is_some() && back.is_none()) {
        return;
    }
    let mut answers = [front, back].into_iter().flatten();
    if let Some(error) = answers.find_map(|answer| answer.as_ref().err()) {
        if error.is_retriable() {
            tracing::debug!(partition = %id, %error, "cannot list offsets yet");
        } else {
            let error = ConsumerError::Client(error.clone());
            missing.slot.fail_since(error, missing.seeks);
        }
        return;
    }
    let outside = match missing.start {
        Start::NeedsReset(outside) => outside,
        _ => None,
    };
    let offset = match (front, back) {
        (Some(Ok(found)), Some(Ok(log_end))) if asked.0 != Some(EARLIEST) => {
            if *found >= 0 {
                *found
            } else {
                *log_end
            }
        }
        (Some(Ok(log_start)), Some(Ok(log_end))) => {
            let error = ConsumerError::NoOffset {
                partition: id.clone(),
                offset: outside,
                log_start: *log_start,
                log_end: *log_end,
            };
            missing.slot.fail_since(error, missing.seeks);
            return;
        }
        (Some(Ok(offset)), None) | (None, Some(Ok(offset))) => *offset,
        _ => return,
    };
    if let Some(outside) = outside {
        tracing::warn!(partition = %id, offset = outside, reset_to = offset, "an offset is not in the log");
    }
    // An end of the log is there in every epoch.
    missing.slot.start_at(offset.max(0), -1, missing.seeks);
}

/// Asks the leader for an offset of each partition, if there are any.
async fn list(
    cluster: &Cluster,
    leader: i32,
    isolation_level: i8,
    partitions: &[(TopicPartition, i64)],
) -> Listed {
    if partitions.is_empty() {
        return Listed::new();
    }
    let asked: Vec<_> = partitions
        .iter()
        .map(|(id, time)| Asked {
            id,
            time: *time,
            epoch: cluster
                .leader(&id.topic, id.partition)
                .map_or(-1, |leader| leader.epoch),
        })
        .collect();
    let request = list_request(&asked, isolation_level);
    let answer = cluster.request_to(leader, Purpose::General, request).await;
    match answer {
        Err(error) => asked
            .iter()
            .map(|asked| (asked.id.clone(), Err(error.clone())))
            .collect(),
        Ok(response) => {
            let mut listed = Listed::new();
            for topic in response.topics {
                let name: Arc<str> = Arc::from(topic.name.as_str());
                for p in topic.partitions {
                    let id = TopicPartition::new(Arc::clone(&name), p.partition_index);
                    let result = match ResponseError::try_from_code(p.error_code) {
                        None => Ok(p.offset),
                        Some(code) => Err(ClientError::broker("ListOffsets", id.to_string(), code)),
                    };
                    listed.insert(id, result);
                }
            }
            listed
        }
    }
}

struct Asked<'a> {
    id: &'a TopicPartition,
    /// Milliseconds since 1970, or a name of an end of the log.
    time: i64,
    /// The leader's.
    epoch: i32,
}

fn list_request(partitions: &[Asked<'_>], isolation_level: i8) -> ListOffsetsRequest {
    let mut topics: Vec<ListOffsetsTopic> = Vec::new();
    for Asked { id, time, epoch } in partitions {
        let partition = ListOffsetsPartition::default()
            .with_partition_index(id.partition)
            .with_current_leader_epoch(*epoch)
            .with_timestamp(*time);
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
