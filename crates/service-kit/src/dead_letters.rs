//! Records that nobody can handle: they go to `<topic>.<group>.dlq` with the reason, and later records go on.

use std::collections::HashSet;
use std::sync::Arc;

use kafka_client::{
    Admin, ClientError, NewTopic, ProduceError, Producer, ProducerRecord, RecordView,
};
use parking_lot::Mutex;

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
        format!("{topic}.{group}.dlq")
    }

    /// Puts a record aside as it is, with where it came from and the reason (its first 1,000 characters) in its headers,
    /// and returns once Kafka has it.
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
        reason: &str,
    ) -> Result<(), DeadLetterError> {
        let dead_letter_topic = Self::topic(topic, &self.group);
        self.make(&dead_letter_topic).await?;
        let reason = cut(reason);
        let (origin_partition, origin_offset) = (partition.to_string(), record.offset.to_string());
        let mut origin: Vec<(&str, Option<&[u8]>)> = vec![
            ("dlq_topic", Some(topic.as_bytes())),
            ("dlq_partition", Some(origin_partition.as_bytes())),
            ("dlq_offset", Some(origin_offset.as_bytes())),
            ("dlq_group", Some(self.group.as_bytes())),
            ("dlq_error", Some(reason.as_bytes())),
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
                origin.push(("dlq_truncated", Some(b"true")));
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
            topic,
            partition,
            offset = record.offset,
            reason,
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

fn cut(reason: &str) -> &str {
    match reason.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => &reason[..end],
        None => reason,
    }
}
