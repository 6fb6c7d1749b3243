//! The dead letters of an order: where it hangs.

use kafka_client::{RecordView, TopicPartition};
use serde::Serialize;
use service_kit::dead_letters::{
    ATTEMPTS, ERROR, GROUP, ORIGIN_OFFSET, ORIGIN_PARTITION, ORIGIN_TOPIC,
};

use super::{JourneyEvent, text};

/// The most bytes that are told of a reason: the writer cuts it at 1,000 characters.
const LONGEST_REASON: usize = 4_000;
/// The most bytes of the other headers.
const LONGEST_WORD: usize = 256;

/// A record of an order that a group could not handle.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct DeadLetter {
    topic: String,
    partition: i32,
    offset: i64,
    /// When it was put aside, in milliseconds since 1970.
    timestamp: i64,
    /// The group that could not handle it.
    group: Option<String>,
    /// Which record it is; none where its headers do not say so.
    origin: Option<Origin>,
    /// Why.
    error: Option<String>,
    /// How often it was tried.
    attempts: Option<u32>,
    #[serde(skip)]
    has_key: bool,
}

/// Where a record came from.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Origin {
    topic: String,
    partition: i32,
    offset: i64,
}

impl DeadLetter {
    /// The letter if it may be the order's: it has its key, or none, since the record was too large to be put aside with it.
    pub(super) fn of(place: &TopicPartition, record: RecordView<'_>, key: &str) -> Option<Self> {
        if record.key.is_some_and(|found| found != key.as_bytes()) {
            return None;
        }
        let header = |name: &str, longest| {
            let mut of_name = record.headers.filter(|header| header.key == name);
            Some(text(of_name.find_map(|header| header.value)?, longest))
        };
        let word = |name| header(name, LONGEST_WORD);
        let origin = || {
            Some(Origin {
                topic: word(ORIGIN_TOPIC)?,
                partition: word(ORIGIN_PARTITION)?.parse().ok()?,
                offset: word(ORIGIN_OFFSET)?.parse().ok()?,
            })
        };
        Some(Self {
            topic: place.topic.to_string(),
            partition: place.partition,
            offset: record.offset,
            timestamp: record.timestamp,
            group: word(GROUP),
            origin: origin(),
            error: header(ERROR, LONGEST_REASON),
            attempts: word(ATTEMPTS).and_then(|attempts| attempts.parse().ok()),
            has_key: record.key.is_some(),
        })
    }

    /// When it was put aside, in milliseconds since 1970.
    pub(super) fn at(&self) -> i64 {
        self.timestamp
    }

    /// Whether it is the order's: one without a key is if its record is one of the order's events.
    pub(super) fn is_of(&self, events: &[JourneyEvent]) -> bool {
        self.has_key
            || self.origin.as_ref().is_some_and(|origin| {
                let place = (&origin.topic, origin.partition, origin.offset);
                let mut events = events.iter();
                events.any(|event| (&event.topic, event.partition, event.offset) == place)
            })
    }
}
