//! What is done with dead letters: looking at them, sending them back, dropping them.
//!
//! A topic of dead letters is worked off from its front. Sending back publishes a letter's record to the topic that it came
//! from, with its own key and headers, so its event id is the same; then the letter is deleted (Kafka's DeleteRecords, which
//! deletes all before an offset). A crash in between sends it back twice, and those who react to events are used to that.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_client::{
    Admin, Client, ClientError, ConsumerConfig, ConsumerError, OffsetAt, OffsetReset, PerItem,
    ProduceError, Producer, ProducerRecord, RecordView, StartAt, TopicPartition,
};

use crate::publish::acknowledged;

use super::{
    ATTEMPTS, ERROR, GROUP, ORIGIN_OFFSET, ORIGIN_PARTITION, ORIGIN_TOPIC, SUFFIX, TRUNCATED,
};

/// Letters that are read, sent back and deleted together.
const BATCH: usize = 500;
/// Letters that are taken out of the reader's memory at once.
const POLL: usize = 64;
/// How long a reader waits for the next records of a topic that has some.
const PATIENCE: Duration = Duration::from_secs(10);

/// A record that could not be handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Where it lies.
    pub place: TopicPartition,
    /// At which offset.
    pub offset: i64,
    /// When it was put aside, in milliseconds since 1970.
    pub timestamp: i64,
    /// Where it came from; none if its headers do not say so.
    pub origin: Option<Origin>,
    /// The group that could not handle it.
    pub group: String,
    /// Why.
    pub error: String,
    /// How often it was tried; 0 where it could not even be read.
    pub attempts: u32,
    /// Whether the record itself was too large to be put aside: there are only these headers of it.
    pub truncated: bool,
    /// The record's key.
    pub key: Option<Vec<u8>>,
    /// The record's value.
    pub value: Option<Vec<u8>>,
    /// The record's own headers.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Where a record came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// Why nothing, or not everything, was done.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// It is no topic of dead letters, or not there.
    #[error("{0} is no topic of dead letters that is there")]
    UnknownTopic(String),
    /// The letter cannot be sent back.
    #[error("the letter at offset {offset} of {place} cannot be sent back: {reason}")]
    NotSendable {
        /// Where it lies.
        place: TopicPartition,
        /// At which offset.
        offset: i64,
        /// Why.
        reason: &'static str,
    },
    /// Kafka could not be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The letters could not be read.
    #[error(transparent)]
    Consumer(#[from] ConsumerError),
    /// Nothing came, though the topic has records.
    #[error("{0} was not read within 10 s")]
    TooSlow(TopicPartition),
    /// A letter could not be published.
    #[error(transparent)]
    Produce(#[from] ProduceError),
}

/// Where dead letters are worked off.
#[derive(Debug, Clone)]
pub struct Desk {
    client: Client,
    admin: Admin,
}

/// How much is read: it ends with the letter that reaches either.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    pub(super) letters: usize,
    /// Of keys and values.
    pub(super) bytes: usize,
}

impl Most {
    fn letters(letters: usize) -> Self {
        Self {
            letters,
            bytes: usize::MAX,
        }
    }
}

impl Desk {
    /// On this cluster.
    pub fn new(client: Client) -> Self {
        let admin = client.admin();
        Self { client, admin }
    }

    /// The topics of dead letters, sorted; of one group if it is named.
    ///
    /// # Errors
    ///
    /// [`DeskError::Client`].
    pub async fn topics(&self, group: Option<&str>) -> Result<Vec<String>, DeskError> {
        let suffix = match group {
            Some(group) => format!(".{group}{SUFFIX}"),
            None => SUFFIX.to_owned(),
        };
        let listed = self.admin.list_topics().await?;
        let mut topics: Vec<String> = listed
            .into_iter()
            .map(|topic| topic.name.to_string())
            .filter(|name| name.ends_with(&suffix))
            .collect();
        topics.sort_unstable();
        Ok(topics)
    }

    /// The oldest letters of a topic, at most `limit` of each partition.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub async fn letters(&self, topic: &str, limit: usize) -> Result<Vec<Letter>, DeskError> {
        let mut letters = Vec::new();
        for (place, start, end) in self.extent(topic).await? {
            letters.extend(self.read(&place, start, end, Most::letters(limit)).await?);
        }
        Ok(letters)
    }

    /// The letter at this offset of a topic; of several partitions, of the first that has it.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub async fn letter(&self, topic: &str, offset: i64) -> Result<Option<Letter>, DeskError> {
        for (place, start, end) in self.extent(topic).await? {
            if (start..end).contains(&offset) {
                let found = self
                    .read(&place, offset, offset + 1, Most::letters(1))
                    .await?;
                if let Some(letter) = found.into_iter().find(|letter| letter.offset == offset) {
                    return Ok(Some(letter));
                }
            }
        }
        Ok(None)
    }

    /// Sends the letters of a topic back to where they came from, the oldest first, those before offset `before` of each
    /// partition or all; returns how many.
    ///
    /// # Errors
    ///
    /// [`DeskError::NotSendable`] stops at a letter that has no record; it and those behind it stay. After any other error,
    /// too, what was not sent back is still there.
    pub async fn redrive(
        &self,
        producer: &Producer,
        topic: &str,
        before: Option<i64>,
    ) -> Result<u64, DeskError> {
        let mut sent = 0;
        for (place, mut start, end) in self.extent(topic).await? {
            let end = before.map_or(end, |before| before.min(end));
            while start < end {
                let letters = self.read(&place, start, end, Most::letters(BATCH)).await?;
                let Some(last) = letters.last().map(|letter| letter.offset) else {
                    break;
                };
                let sendable = letters
                    .iter()
                    .take_while(|letter| letter.refusal().is_none());
                let sendable: Vec<&Letter> = sendable.collect();
                send_back(producer, &sendable).await?;
                sent += sendable.len() as u64;
                let refused = letters.get(sendable.len());
                self.delete_before(&place, refused.map_or(last + 1, |letter| letter.offset))
                    .await?;
                if let Some((letter, reason)) = refused.and_then(|l| Some((l, l.refusal()?))) {
                    return Err(DeskError::NotSendable {
                        place,
                        offset: letter.offset,
                        reason,
                    });
                }
                start = last + 1;
            }
        }
        Ok(sent)
    }

    /// Deletes the letters of a topic for good: those before offset `before` of each partition, or all; returns how many
    /// offsets that were.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub async fn drop_letters(&self, topic: &str, before: Option<i64>) -> Result<u64, DeskError> {
        let mut dropped = 0;
        for (place, start, end) in self.extent(topic).await? {
            let end = before.map_or(end, |before| before.min(end));
            if start < end {
                self.delete_before(&place, end).await?;
                dropped += end.abs_diff(start);
            }
        }
        Ok(dropped)
    }

    /// Each partition of a topic of dead letters, and from where to where it has some.
    pub(super) async fn extent(
        &self,
        topic: &str,
    ) -> Result<Vec<(TopicPartition, i64, i64)>, DeskError> {
        let unknown = || DeskError::UnknownTopic(topic.to_owned());
        if !topic.ends_with(SUFFIX) || !self.topics(None).await?.iter().any(|t| t == topic) {
            return Err(unknown());
        }
        let described = self.admin.describe_topics(&[topic]).await?;
        let (_, described) = described.into_iter().next().ok_or_else(unknown)?;
        let partitions: Vec<TopicPartition> = described?
            .partitions
            .iter()
            .map(|found| TopicPartition::new(topic, found.partition))
            .collect();
        let starts = self
            .admin
            .list_offsets(&partitions, OffsetAt::Earliest)
            .await?;
        let ends = self
            .admin
            .list_offsets(&partitions, OffsetAt::Latest)
            .await?;
        let offsets = |listed: PerItem<TopicPartition, kafka_client::ListedOffset>| {
            listed
                .into_iter()
                .map(|(place, found)| Ok((place, found?.offset.unwrap_or_default())))
                .collect::<Result<BTreeMap<_, _>, ClientError>>()
        };
        let (starts, ends) = (offsets(starts)?, offsets(ends)?);
        let extent = partitions.into_iter().map(|place| {
            let start = starts.get(&place).copied().unwrap_or_default();
            let end = ends.get(&place).copied().unwrap_or_default();
            (place, start, end)
        });
        Ok(extent.collect())
    }

    pub(super) async fn read(
        &self,
        place: &TopicPartition,
        start: i64,
        end: i64,
        most: Most,
    ) -> Result<Vec<Letter>, DeskError> {
        let (mut letters, mut bytes) = (Vec::new(), 0);
        if start >= end {
            return Ok(letters);
        }
        let config = ConsumerConfig {
            auto_offset_reset: OffsetReset::Earliest,
            ..ConsumerConfig::default()
        };
        let mut consumers = self
            .client
            .consume(config, [(place.clone(), StartAt::Offset(start))])?;
        let Some(consumer) = consumers.first_mut() else {
            return Ok(letters);
        };
        // Offsets may be missing, so the position tells when the end is reached, and not the last letter.
        while letters.len() < most.letters
            && bytes < most.bytes
            && consumer.position().is_none_or(|next| next < end)
        {
            let room = (most.letters - letters.len()).min(POLL);
            let polled = tokio::time::timeout(PATIENCE, consumer.poll(room));
            let records = polled
                .await
                .map_err(|_| DeskError::TooSlow(place.clone()))??;
            let Some(records) = records else {
                break;
            };
            let wanted = records.iter().filter(|record| record.offset < end);
            for letter in wanted.map(|record| Letter::of(place, record)) {
                bytes += letter.size();
                letters.push(letter);
                if bytes >= most.bytes {
                    break;
                }
            }
        }
        Ok(letters)
    }

    async fn delete_before(&self, place: &TopicPartition, offset: i64) -> Result<(), DeskError> {
        let deleted = self
            .admin
            .delete_records(&[(place.clone(), offset)])
            .await?;
        for (_, outcome) in deleted {
            outcome?;
        }
        Ok(())
    }
}

/// Publishes the letters' records where they came from, and waits until Kafka has all of them.
async fn send_back(producer: &Producer, letters: &[&Letter]) -> Result<(), DeskError> {
    let mut deliveries = Vec::with_capacity(letters.len());
    for letter in letters {
        let Some(origin) = &letter.origin else {
            continue;
        };
        let own = letter.headers.iter();
        let own = own.map(|(name, value)| (name.as_str(), value.as_deref()));
        let group = (!letter.group.is_empty()).then_some(letter.group.as_bytes());
        let headers: Vec<(&str, Option<&[u8]>)> = own
            .chain(group.map(|group| (super::REDRIVEN_FOR, Some(group))))
            .collect();
        let record = ProducerRecord {
            topic: &origin.topic,
            // A record without a key may go anywhere; with one it finds its partition by it.
            partition: letter.key.is_none().then_some(origin.partition),
            key: letter.key.as_deref(),
            value: letter.value.as_deref(),
            headers: &headers,
            timestamp: None,
        };
        deliveries.push(producer.send(&record).await?);
    }
    Ok(acknowledged(deliveries).await?)
}

impl Letter {
    fn of(place: &TopicPartition, record: RecordView<'_>) -> Self {
        let (ours, own): (Vec<_>, Vec<_>) = record
            .headers
            .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
            .partition(|(name, _)| name.starts_with(super::PREFIX));
        let told = |name: &str| {
            let (_, value) = ours.iter().find(|(known, _)| known == name)?;
            Some(String::from_utf8_lossy(value.as_deref()?).into_owned())
        };
        let origin = || {
            Some(Origin {
                topic: told(ORIGIN_TOPIC)?,
                partition: told(ORIGIN_PARTITION)?.parse().ok()?,
                offset: told(ORIGIN_OFFSET)?.parse().ok()?,
            })
        };
        Self {
            place: place.clone(),
            offset: record.offset,
            timestamp: record.timestamp,
            origin: origin(),
            group: told(GROUP).unwrap_or_default(),
            error: told(ERROR).unwrap_or_default(),
            attempts: told(ATTEMPTS)
                .and_then(|text| text.parse().ok())
                .unwrap_or_default(),
            truncated: told(TRUNCATED).is_some(),
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: own,
        }
    }

    /// Bytes of its key and value.
    pub(super) fn size(&self) -> usize {
        let of = |part: &Option<Vec<u8>>| part.as_ref().map_or(0, Vec::len);
        of(&self.key) + of(&self.value)
    }

    /// Why it cannot be sent back, if so.
    fn refusal(&self) -> Option<&'static str> {
        if self.truncated {
            Some("its record was too large to be kept with it, and is still where it came from")
        } else if self.origin.is_none() {
            Some("it does not say where it came from")
        } else {
            None
        }
    }
}
