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

/// Gives newly assigned partitions their committed offsets; asks again until each has its answer or is gone.
pub(super) async fn fetch(context: Arc<Context>, mut waiting: Vec<Arc<Slot>>) {
    let mut backoff = Backoff::default();
    loop {
        waiting.retain(|slot| !slot.ending.is_cancelled() && !slot.released.is_cancelled());
        if waiting.is_empty() {
            return;
        }
        match ask_committed(&context, &waiting).await {
            Ok(answers) => waiting.retain(|slot| {
                let answer = answers.get(&slot.id);
                !answer.is_some_and(|answer| take_committed(slot, answer))
            }),
            Err(error) if error.is_retriable() => context.failed("fetching offsets", &error),
            Err(error) => {
                for slot in waiting {
                    slot.fail_since(ConsumerError::Client(error.clone()), NOT_SOUGHT);
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

async fn ask_committed(context: &Context, slots: &[Arc<Slot>]) -> Result<Committed, ClientError> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for slot in slots {
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
fn take_committed(slot: &Slot, answer: &Answer) -> bool {
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
                    }
                }
            }
            true
        }
        Err(code) if Remedy::of(*code) == Remedy::Fatal => {
            let error = ClientError::broker("OffsetFetch", slot.id.to_string(), *code);
            slot.fail_since(ConsumerError::Client(error), NOT_SOUGHT);
            true
        }
        Err(_) => false,
    }
}
