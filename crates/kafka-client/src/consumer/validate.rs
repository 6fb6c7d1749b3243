//! Whether what was read still stands after the leader changed (KIP-320).
//!
//! A new leader may lack records that the old one handed out, if it was elected uncleanly. It is asked where the epoch of
//! the last record that was read ends in its log: at or behind the position, and all is there; before it, and the log was
//! truncated.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use kafka_wire::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_wire::messages::offset_for_leader_epoch_response::EpochEndOffset;
use kafka_wire::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, TopicName};
use kafka_wire::{ResponseError, StrBytes, WireError};
use tokio::sync::Notify;

use super::config::{ConsumerConfig, OffsetReset};
use super::error::ConsumerError;
use super::slot::{Slot, Start};
use crate::backoff::Backoff;
use crate::cluster::{Cluster, Purpose};
use crate::error::{ClientError, Remedy};

/// A partition whose position is in doubt.
#[derive(Debug)]
pub(super) struct Doubt {
    pub(super) slot: Arc<Slot>,
    /// The seeks up to now: a later one makes this needless.
    pub(super) seeks: u64,
}

/// What is asked about one partition.
#[derive(Debug, Clone, Copy)]
struct Question {
    /// The offset that was read up to, and the epoch of the record before it.
    offset: i64,
    epoch: i32,
    /// The leader's, as far as known.
    leader_epoch: i32,
}

impl Doubt {
    fn is_needed(&self) -> bool {
        let state = self.slot.lock();
        state.is_held()
            && state.seeks == self.seeks
            && state.start == Start::Unvalidated
            && state.failure.is_none()
    }

    /// Whether the answer left the partition with another question, which is not part of this check.
    fn needs_more(&self) -> bool {
        let state = self.slot.lock();
        let is_open = state.is_held() && state.failure.is_none();
        is_open && state.start != Start::Ready && state.resetting != Some(state.seeks)
    }

    fn question(&self, leader_epoch: i32) -> Question {
        let state = self.slot.lock();
        Question {
            offset: state.fetch_offset,
            epoch: state.epoch_before(state.fetch_offset),
            leader_epoch,
        }
    }
}

/// Asks the leaders until each partition has its answer or is gone, with waits up to a second.
/// `wake` is told of partitions that need something else now.
pub(super) async fn validate(
    cluster: &Cluster,
    config: &ConsumerConfig,
    wake: &Notify,
    mut doubts: Vec<Doubt>,
) {
    let policy = config.auto_offset_reset;
    let mut backoff = Backoff::default();
    loop {
        doubts.retain(Doubt::is_needed);
        if doubts.is_empty() {
            return;
        }
        let mut by_leader: HashMap<i32, Vec<(&Doubt, Question)>> = HashMap::new();
        for doubt in &doubts {
            let id = &doubt.slot.id;
            if let Some(leader) = cluster.leader(&id.topic, id.partition) {
                let of_leader = by_leader.entry(leader.node).or_default();
                of_leader.push((doubt, doubt.question(leader.epoch)));
            }
        }
        let asked = by_leader.iter().map(|(node, asked)| async move {
            let answer = cluster
                .request_to(*node, Purpose::General, request(asked))
                .await;
            (asked, answer)
        });
        // As they come: one leader may be silent.
        let mut answers: FuturesUnordered<_> = asked.collect();
        while let Some((asked, answer)) = answers.next().await {
            if take_answers(asked, answer, policy) {
                wake.notify_one();
            }
        }
        drop(answers);
        doubts.retain(Doubt::is_needed);
        if !doubts.is_empty() {
            cluster.request_refresh();
            tokio::time::sleep(backoff.next()).await;
        }
    }
}

fn request(asked: &[(&Doubt, Question)]) -> OffsetForLeaderEpochRequest {
    let mut topics: Vec<OffsetForLeaderTopic> = Vec::new();
    for (doubt, question) in asked {
        let id = &doubt.slot.id;
        let partition = OffsetForLeaderPartition::default()
            .with_partition(id.partition)
            .with_current_leader_epoch(question.leader_epoch)
            .with_leader_epoch(question.epoch);
        match topics.iter_mut().find(|t| t.topic.as_str() == &*id.topic) {
            Some(topic) => topic.partitions.push(partition),
            None => topics.push(
                OffsetForLeaderTopic::default()
                    .with_topic(TopicName(StrBytes::from_string(id.topic.to_string())))
                    .with_partitions(vec![partition]),
            ),
        }
    }
    OffsetForLeaderEpochRequest::default()
        // A consumer; the default is a debugging replica.
        .with_replica_id((-1).into())
        .with_topics(topics)
}

/// Returns whether some partitions need something else now.
fn take_answers(
    asked: &[(&Doubt, Question)],
    answer: Result<OffsetForLeaderEpochResponse, ClientError>,
    policy: OffsetReset,
) -> bool {
    let response = match answer {
        Ok(response) => response,
        // A broker from before KIP-320 has nothing to say, as Kafka's clients take it, too.
        Err(ClientError::Wire(WireError::UnsupportedVersion { .. })) => {
            for (doubt, question) in asked {
                doubt.slot.lock().validate(question.leader_epoch);
                doubt.slot.readable.notify_one();
            }
            return false;
        }
        Err(error) => {
            tracing::debug!(%error, "cannot ask yet whether positions stand");
            return false;
        }
    };
    let mut answers: HashMap<(&str, i32), &EpochEndOffset> = HashMap::new();
    for topic in &response.topics {
        for partition in &topic.partitions {
            answers.insert((topic.topic.as_str(), partition.partition), partition);
        }
    }
    let mut needs_more = false;
    for (doubt, question) in asked {
        let id = &doubt.slot.id;
        // What is not in the answer is asked again.
        if let Some(answer) = answers.get(&(&*id.topic, id.partition)) {
            settle(doubt, *question, answer, policy);
            needs_more |= doubt.needs_more();
        }
    }
    needs_more
}

fn settle(doubt: &Doubt, question: Question, answer: &EpochEndOffset, policy: OffsetReset) {
    let slot = &doubt.slot;
    if let Some(code) = ResponseError::try_from_code(answer.error_code) {
        tracing::debug!(partition = %slot.id, %code, "cannot ask yet whether the position stands");
        if Remedy::of(code) == Remedy::Fatal {
            slot.lock().resetting = None;
            let error = ConsumerError::Fetch {
                partition: slot.id.clone(),
                code,
            };
            slot.fail_since(error, doubt.seeks);
        }
        return;
    }
    let known = answer.end_offset >= 0 && answer.leader_epoch >= 0;
    let mut state = slot.lock();
    if state.seeks != doubt.seeks || state.start != Start::Unvalidated {
        return;
    }
    if known && answer.end_offset >= question.offset {
        state.validate(question.leader_epoch);
        drop(state);
        // What waits in memory may be handed out.
        slot.readable.notify_one();
        return;
    }
    // What is in memory goes first: the position that users know may stand nevertheless.
    if state.position.is_some_and(|p| p < question.offset) {
        state.rewind();
        if state.epoch_before(state.fetch_offset) < 0 {
            state.validate(question.leader_epoch);
        }
        return;
    }
    let diverged_at = known.then_some(answer.end_offset);
    tracing::warn!(partition = %slot.id, offset = question.offset, diverged_at, "the log was truncated");
    if policy == OffsetReset::Error {
        // Without a seek there is nothing to read on from.
        state.start = Start::NeedsReset(Some(question.offset));
        drop(state);
        let error = ConsumerError::Truncated {
            partition: slot.id.clone(),
            offset: question.offset,
            diverged_at,
        };
        slot.fail_since(error, doubt.seeks);
        return;
    }
    match diverged_at {
        Some(offset) => {
            drop(state);
            slot.start_at(offset, answer.leader_epoch, doubt.seeks);
            slot.lock().validate(question.leader_epoch);
        }
        None => {
            state.start = Start::NeedsReset(Some(question.offset));
            state.resetting = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use kafka_wire::messages::offset_for_leader_epoch_response::OffsetForLeaderTopicResult;

    use super::*;
    use crate::topic_partition::TopicPartition;

    /// A partition whose holder was given what is before `position`, of six records that were fetched.
    fn doubt(position: i64) -> Doubt {
        let slot = Slot::new(TopicPartition::new("orders", 0), Start::Ready);
        let seeks = {
            let mut state = slot.lock();
            state.move_to(position);
            state.note_epoch(0, 0);
            state.fetch_offset = 6;
            state.start = Start::Unvalidated;
            state.resetting = Some(state.seeks);
            state.seeks
        };
        let slot = Arc::new(slot);
        Doubt { slot, seeks }
    }

    /// Returns whether the partition needs more after this answer about the epoch of what was read.
    fn answered(doubt: &Doubt, end_offset: i64, leader_epoch: i32) -> bool {
        let partition = EpochEndOffset::default()
            .with_end_offset(end_offset)
            .with_leader_epoch(leader_epoch);
        let topic = OffsetForLeaderTopicResult::default()
            .with_topic(TopicName(StrBytes::from_static_str("orders")))
            .with_partitions(vec![partition]);
        let answer = OffsetForLeaderEpochResponse::default().with_topics(vec![topic]);
        let question = doubt.question(1);
        take_answers(&[(doubt, question)], Ok(answer), OffsetReset::Earliest)
    }

    #[test]
    fn a_partition_that_needs_another_answer_does_not_wait_for_the_rest_of_its_check() {
        // What waits in memory was truncated: whether the position stands is another question.
        let rewound = doubt(2);
        assert!(answered(&rewound, 4, 0));
        assert_eq!(rewound.slot.lock().start, Start::Unvalidated);
        assert!(!rewound.is_needed());
        // The leader knows nothing of it, so the policy has to decide.
        let unknown = doubt(6);
        assert!(answered(&unknown, -1, -1));
        assert_eq!(unknown.slot.lock().start, Start::NeedsReset(Some(6)));
        for (end_offset, position) in [(6, 6), (4, 4)] {
            let settled = doubt(6);
            assert!(!answered(&settled, end_offset, 0));
            let state = settled.slot.lock();
            assert_eq!(
                (state.start, state.position),
                (Start::Ready, Some(position))
            );
        }
    }
}
