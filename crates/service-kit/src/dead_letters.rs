//! Records that nobody can handle: they go to `<topic>.<group>.dlq` with the reason, and later records go on.

mod api;
mod desk;
mod page;

use std::collections::HashSet;
use std::sync::Arc;

use kafka_client::{
    Admin, ClientError, NewTopic, ProduceError, Producer, ProducerRecord, RecordView,
};
use parking_lot::Mutex;

pub use api::Which;
pub(crate) use api::routes;
pub use desk::{Desk, DeskError, Letter, Origin};
pub use page::{LetterId, LetterIdError};

/// How the name of a topic of dead letters ends.
pub const SUFFIX: &str = ".dlq";
/// How the headers begin that a letter has beside those of its record.
const PREFIX: &str = "dlq_";
/// The header with the topic that a letter came from.
pub const ORIGIN_TOPIC: &str = "dlq_topic";
/// The header with the partition that it came from.
pub const ORIGIN_PARTITION: &str = "dlq_partition";
/// The header with the offset that it had there.
pub const ORIGIN_OFFSET: &str = "dlq_offset";
/// The header with the group that could not handle it.
pub const GROUP: &str = "dlq_group";
/// The header with the reason.
pub const ERROR: &str = "dlq_error";
/// The header that says how often it was tried; 0 where it could not even be read.
pub const ATTEMPTS: &str = "dlq_attempts";
const TRUNCATED: &str = "dlq_truncated";
/// On a record that was sent back: the group that could not handle it. Others have handled it, or have a letter of their own.
const REDRIVEN_FOR: &str = "dlq_redriven_for";

/// Characters of the reason that go into the header: it may repeat a whole record.
const LONGEST_REASON: usize = 1_000;

/// Why a record could not be put aside.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    /// The topic could not be made.
    #[error("cannot make the topic {topic}: {source}")]
    Topic {
        /// Which topic.
        topic: String,
        /// Why.
        source: ClientError,
    },
    /// The record was not acknowledged.
    #[error(transparent)]
    Produce(#[from] ProduceError),
}

impl DeadLetterError {
    /// Whether the producer is at its end, so that no attempt will succeed.
    pub fn is_of_producer(&self) -> bool {
        matches!(self, Self::Produce(error) if error.is_of_producer())
    }
}

/// Why a record is put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong with it.
    pub reason: String,
    /// How often it was tried; 0 where there was nothing to try.
    pub attempts: u32,
}

/// Puts records of one group aside.
#[derive(Debug)]
pub struct DeadLetters {
    group: Arc<str>,
    producer: Producer,
    admin: Admin,
    /// Topics that are known to be there.
    made: Mutex<HashSet<String>>,
}

impl DeadLetters {
    /// For the records that `group` cannot handle.
    pub fn new(group: &str, producer: Producer, admin: Admin) -> Self {
        Self {
            group: Arc::from(group),
            producer,
            admin,
            made: Mutex::default(),
        }
    }

    /// The topic for records of `topic` that `group` could not handle.
    pub fn topic(topic: &str, group: &str) -> String {
        format!("{topic}.{group}{SUFFIX}")
    }

    /// Puts a record aside as it is, its own headers (the trace's among them) with it, and adds where it came from, how often
    /// it was tried and the reason (its first 1,000 characters); returns once Kafka has it.
    ///
    /// A record that is too large for that, or that Kafka refuses, is told of by these headers alone: the letter then has
    /// neither key nor value, and the header `dlq_truncated`. The record itself stays where it came from.
    ///
    /// # Errors
    ///
    /// [`DeadLetterError`]; the record is then not to be committed.
    pub async fn put(
        &self,
        topic: &str,
        partition: i32,
        record: RecordView<'_>,
        refusal: &Refusal,
    ) -> Result<(), DeadLetterError> {
        let dead_letter_topic = Self::topic(topic, &self.group);
        self.make(&dead_letter_topic).await?;
        let reason = cut(&refusal.reason);
        let (origin_partition, origin_offset) = (partition.to_string(), record.offset.to_string());
        let attempts = refusal.attempts.to_string();
        let mut origin: Vec<(&str, Option<&[u8]>)> = vec![
            (ORIGIN_TOPIC, Some(topic.as_bytes())),
            (ORIGIN_PARTITION, Some(origin_partition.as_bytes())),
            (ORIGIN_OFFSET, Some(origin_offset.as_bytes())),
            (GROUP, Some(self.group.as_bytes())),
            (ERROR, Some(reason.as_bytes())),
            (ATTEMPTS, Some(attempts.as_bytes())),
        ];
        let own_headers = record.headers.map(|header| (header.key, header.value));
        let headers: Vec<_> = own_headers.chain(origin.iter().copied()).collect();
        let letter = ProducerRecord {
            topic: &dead_letter_topic,
            partition: None,
            key: record.key,
            value: record.value,
            headers: &headers,
            timestamp: None,
        };
        let truncated = match self.send(&letter).await {
            Err(error) if error.is_of_record() => {
                origin.push((TRUNCATED, Some(b"true")));
                let letter = ProducerRecord::new(&dead_letter_topic).headers(&origin);
                self.send(&letter).await?;
                true
            }
            sent => {
                sent?;
                false
            }
        };
        tracing::warn!(
            group = &*self.group,
            topic,
            partition,
            offset = record.offset,
            reason,
            attempts = refusal.attempts,
            truncated,
            "record put aside as a dead letter"
        );
        Ok(())
    }

    async fn send(&self, letter: &ProducerRecord<'_>) -> Result<(), ProduceError> {
        self.producer.send(letter).await?.await.map(drop)
    }

    async fn make(&self, topic: &str) -> Result<(), DeadLetterError> {
        if self.made.lock().contains(topic) {
            return Ok(());
        }
        let failed = |source| DeadLetterError::Topic {
            topic: topic.to_owned(),
            source,
        };
        self.admin
            .ensure_topics(&[NewTopic::new(topic, 1, -1)])
            .await
            .map_err(failed)?;
        self.made.lock().insert(topic.to_owned());
        Ok(())
    }
}

/// Whether a record was sent back for another group than this one, which is then done with it.
pub(crate) fn is_for_another(record: RecordView<'_>, group: &str) -> bool {
    let sent_for = record
        .headers
        .filter(|header| header.key == REDRIVEN_FOR)
        .last();
    sent_for
        .and_then(|header| header.value)
        .is_some_and(|sent_for| sent_for != group.as_bytes())
}

fn cut(reason: &str) -> &str {
    match reason.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => &reason[..end],
        None => reason,
    }
}
