//! The committed offsets that newly assigned partitions start from.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_wire::ResponseError;
use kafka_wire::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_wire::messages::{OffsetFetchRequest, TopicName};

use super::coordinator::Lane;
use super::exchange::{Context, string};
use crate::backoff::Backoff;
use crate::consumer::{ConsumerError, IsolationLevel, Slot, Start, TopicPartition};
use crate::error::{ClientError, Remedy};

/// The count of seeks of a new slot. Its holder may seek before the committed offset is even asked for, and that wins.
const NOT_SOUGHT: u64 = 0;

/// A partition whose committed offset is asked for.
pub(super) struct Question {
    slot: Arc<Slot>,
    /// Told apart from others about the same partition, before and after it.
    number: u64,
}

impl Question {
    pub(super) fn new(slot: Arc<Slot>, number: u64) -> Self {
        slot.lock().committed_asked = Some(number);
        Self { slot, number }
    }

    /// Whether somebody waits for this answer: nobody else asks by now, and the partition is held.
    fn is_open(&self) -> bool {
        let slot = &self.slot;
        !slot.ending.is_cancelled()
            && !slot.released.is_cancelled()
            && slot.lock().committed_asked == Some(self.number)
    }

    /// Nothing is learned this time. The next poll tells why, and the one after it has it asked again.
    fn refuse(&self, error: ClientError) {
        self.slot.lock().committed_asked = None;
        let error = ConsumerError::Client(error);
        self.slot.fail_since(error, NOT_SOUGHT);
    }
}

/// Gives partitions their committed offsets; asks again, with waits up to a second, until each has its answer or is gone.
/// `settled` is called after each round in which some got theirs.
pub(super) async fn fetch(
    context: Arc<Context>,
    mut waiting: Vec<Question>,
    settled: impl Fn() + Send,
) {
    let held_back = |q: &Question| q.slot.lock().not_before;
    if let Some(at) = waiting.iter().filter_map(held_back).max() {
        tokio::time::sleep_until(at).await;
    }
    let mut backoff = Backoff::default();
    loop {
        waiting.retain(Question::is_open);
        if waiting.is_empty() {
            return;
        }
        match ask_committed(&context, &waiting).await {
            Ok(answers) => {
                let asked = waiting.len();
                waiting.retain(|question| {
                    let answer = answers.get(&question.slot.id);
                    !answer.is_some_and(|answer| take_committed(question, answer))
                });
                // The others are not waited for.
                if waiting.len() < asked {
                    settled();
                }
            }
            Err(error) if error.is_retriable() => context.failed("fetching offsets", &error),
            Err(error) => {
                for question in waiting {
                    question.refuse(error.clone());
                }
                return;
            }
        }
        if waiting.is_empty() {
            return;
        }
        tokio::time::sleep(backoff.next()).await;
    }
}

/// Offset and leader epoch, where there is something committed.
type Answer = Result<Option<(i64, i32)>, ResponseError>;

type Committed = BTreeMap<TopicPartition, Answer>;

async fn ask_committed(
    context: &Context,
    questions: &[Question],
) -> Result<Committed, ClientError> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for Question { slot, .. } in questions {
        topics
            .entry(&slot.id.topic)
            .or_default()
            .push(slot.id.partition);
    }
    let topics = topics.into_iter().map(|(topic, partitions)| {
        OffsetFetchRequestTopic::default()
            .with_name(TopicName(string(topic)))
            .with_partition_indexes(partitions)
    });
    // Offsets of transactions that are still open would be read twice (KIP-447).
    let stable = context.config.consumer.isolation_level == IsolationLevel::ReadCommitted;
    let request = OffsetFetchRequest::default()
        .with_group_id(context.group_id())
        .with_topics(Some(topics.collect()))
        .with_require_stable(stable);
    let deadline = context.cluster.config().request_timeout;
    let response = context
        .coordinator
        .request(Lane::Member, request, deadline)
        .await?;
    if let Some(code) = ResponseError::try_from_code(response.error_code) {
        context.coordinator.heed(code);
        let group = format!("group {}", context.config.group_id);
        return Err(ClientError::broker("OffsetFetch", group, code));
    }
    let mut answers = Committed::new();
    for topic in response.topics {
        let name: Arc<str> = Arc::from(topic.name.as_str());
        for p in topic.partitions {
            let id = TopicPartition::new(Arc::clone(&name), p.partition_index);
            let answer = match ResponseError::try_from_code(p.error_code) {
                Some(code) => Err(code),
                None => Ok((p.committed_offset >= 0)
                    .then_some((p.committed_offset, p.committed_leader_epoch))),
            };
            answers.insert(id, answer);
        }
    }
    Ok(answers)
}

/// Returns whether that was an answer that needs no other.
fn take_committed(question: &Question, answer: &Answer) -> bool {
    let slot = &question.slot;
    // Whoever took the question over gets an answer of its own.
    if !question.is_open() {
        return true;
    }
    match answer {
        Ok(committed) => {
            {
                let mut state = slot.lock();
                // What is there already was committed since, and is newer.
                state.committed = state.committed.or(committed.map(|(offset, _)| offset));
            }
            match committed {
                Some((offset, epoch)) => slot.start_at(*offset, *epoch, NOT_SOUGHT),
                None => {
                    let mut state = slot.lock();
                    if state.seeks == NOT_SOUGHT {
                        state.start = Start::NeedsReset(None);
                        state.not_before = None;
                    }
                }
            }
            true
        }
        Err(code) if Remedy::of(*code) == Remedy::Fatal => {
            let subject = slot.id.to_string();
            question.refuse(ClientError::broker("OffsetFetch", subject, *code));
            true
        }
        Err(_) => false,
    }
}
