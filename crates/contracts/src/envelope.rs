//! CloudEvents 1.0 in Kafka's binary mode: the attributes are headers, the value is the plain JSON.
//!
//! Source: CloudEvents 1.0.2 and its Kafka protocol binding, section 3.2; `traceparent` is W3C's.

use std::borrow::Cow;

use trace_context::{TRACEPARENT, TraceParent};

use crate::{Event, EventId, Timestamp, trace};

const ID: &str = "ce_id";
const TYPE: &str = "ce_type";
const SOURCE: &str = "ce_source";
const SPECVERSION: &str = "ce_specversion";
const TIME: &str = "ce_time";
const CONTENT_TYPE: &str = "content-type";

/// Characters of a header's value, and of what is wrong with the event's, that an error repeats.
const LONGEST_VALUE: usize = 100;
const LONGEST_REASON: usize = 1_000;

/// Bytes that the event of an order of a few lines fits into, so that its buffer seldom grows.
const USUAL_VALUE: usize = 640;

const VERSION: &str = "1.0";
const JSON: &str = "application/json";

/// What an event's headers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// The same for the same step of the same order, however often it is told.
    pub id: EventId,
    /// What the value is: [`Event::TYPE`].
    pub kind: String,
    /// Who tells it: [`Event::SOURCE`].
    pub source: String,
    /// When it happened.
    pub time: Timestamp,
    /// The trace it belongs to. One that cannot be read counts as none, as W3C asks.
    pub traceparent: Option<TraceParent>,
}

/// An event and its attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope<E> {
    /// What the headers say.
    pub attributes: Attributes,
    /// What the value says.
    pub data: E,
}

/// An event as it is written: what a producer needs, in no type of Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where it goes.
    pub topic: &'static str,
    /// The order's id as text, so that all of an order's events share a partition.
    pub key: Vec<u8>,
    /// Names and values, each name once.
    pub headers: Vec<(&'static str, Cow<'static, [u8]>)>,
    /// JSON.
    pub value: Vec<u8>,
}

/// The event could not be written as JSON.
#[derive(Debug, thiserror::Error)]
#[error("event of type {kind} cannot be written as JSON")]
pub struct EncodeError {
    kind: &'static str,
    source: serde_json::Error,
}

/// Why a record is not the event that it should be. Reading it again will not help.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// A header that must be there is not.
    #[error("header {name} is missing")]
    Missing {
        /// The header.
        name: &'static str,
    },
    /// A header of the envelope is there twice.
    #[error("header {name} is there more than once")]
    Repeated {
        /// The header.
        name: &'static str,
    },
    /// A header's value cannot be read.
    #[error("header {name} is {value:?}: {reason}")]
    Header {
        /// The header.
        name: &'static str,
        /// Its value, cut to 100 characters.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It is an event of another type or of another version of the schema.
    #[error("event is of type {found:?}, not {expected}")]
    Type {
        /// What it is, cut to 100 characters.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// There is no value: the record is a tombstone.
    #[error("value is empty")]
    Empty,
    /// The value is not the JSON of that event.
    #[error("value is no {expected}: {reason}")]
    Value {
        /// What it should be.
        expected: &'static str,
        /// Why, cut to 1,000 characters since it repeats what was found, and where.
        reason: String,
    },
}

impl Attributes {
    /// Reads the attributes from a record's headers; headers of other names are passed over.
    ///
    /// A null header value is for the caller to leave out, so it counts as missing.
    pub fn decode<'a>(
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, DecodeError> {
        let mut found = Found::default();
        for (name, value) in headers {
            found.take(name, value)?;
        }
        let version = found
            .text(SPECVERSION)?
            .ok_or(DecodeError::Missing { name: SPECVERSION })?;
        if version != VERSION {
            return Err(header(SPECVERSION, version, "must be 1.0"));
        }
        if let Some(content) = found.text(CONTENT_TYPE)?
            && !is_json(content)
        {
            return Err(header(CONTENT_TYPE, content, "must be application/json"));
        }
        Ok(Self {
            id: found.parse(ID)?,
            kind: found.required(TYPE)?.to_owned(),
            source: found.required(SOURCE)?.to_owned(),
            time: found.parse(TIME)?,
            traceparent: found
                .text(TRACEPARENT)
                .ok()
                .flatten()
                .and_then(|text| text.parse().ok()),
        })
    }
}

impl<E: Event> Envelope<E> {
    /// The envelope of an event: its id and time follow from the event; it continues the trace of
    /// `cause`, or else the order's own.
    pub fn new(data: E, cause: Option<TraceParent>) -> Self {
        let id = EventId::of(data.order_id(), data.step());
        let parent = cause.unwrap_or_else(|| trace::of(data.order_id()));
        let attributes = Attributes {
            id,
            kind: E::TYPE.to_owned(),
            source: E::SOURCE.to_owned(),
            time: data.timestamp(),
            traceparent: Some(trace::child(parent, id)),
        };
        Self { attributes, data }
    }

    /// The event as a record.
    pub fn encode(&self) -> Result<Message, EncodeError> {
        let attributes = &self.attributes;
        let mut value = Vec::with_capacity(USUAL_VALUE);
        serde_json::to_writer(&mut value, &self.data).map_err(|source| EncodeError {
            kind: E::TYPE,
            source,
        })?;
        let mut headers = vec![
            (ID, owned(attributes.id.to_string())),
            (TYPE, owned(attributes.kind.clone())),
            (SOURCE, owned(attributes.source.clone())),
            (SPECVERSION, Cow::Borrowed(VERSION.as_bytes())),
            (TIME, owned(attributes.time.to_string())),
            (CONTENT_TYPE, Cow::Borrowed(JSON.as_bytes())),
        ];
        if let Some(traceparent) = attributes.traceparent {
            headers.push((TRACEPARENT, owned(traceparent.to_string())));
        }
        Ok(Message {
            topic: E::TOPIC,
            key: self.data.order_id().to_string().into_bytes(),
            headers,
            value,
        })
    }

    /// Reads an event of this type from a record's headers and value.
    ///
    /// A null header value is for the caller to leave out, a null value to hand in as empty.
    pub fn decode<'a>(
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        value: &[u8],
    ) -> Result<Self, DecodeError> {
        let attributes = Attributes::decode(headers)?;
        if attributes.kind != E::TYPE {
            return Err(DecodeError::Type {
                found: cut(&attributes.kind, LONGEST_VALUE),
                expected: E::TYPE,
            });
        }
        if value.is_empty() {
            return Err(DecodeError::Empty);
        }
        let data = serde_json::from_slice(value).map_err(|error| not_the_value(E::TYPE, &error))?;
        Ok(Self { attributes, data })
    }
}

/// The envelope's own headers, as far as they were met.
#[derive(Default)]
struct Found<'a> {
    values: [Option<&'a [u8]>; 7],
}

const NAMES: [&str; 7] = [
    ID,
    TYPE,
    SOURCE,
    SPECVERSION,
    TIME,
    CONTENT_TYPE,
    TRACEPARENT,
];

impl<'a> Found<'a> {
    fn take(&mut self, name: &str, value: &'a [u8]) -> Result<(), DecodeError> {
        let Some(at) = NAMES.iter().position(|known| *known == name) else {
            return Ok(());
        };
        match self.values[at].replace(value) {
            None => Ok(()),
            Some(_) => Err(DecodeError::Repeated { name: NAMES[at] }),
        }
    }

    fn text(&self, name: &'static str) -> Result<Option<&'a str>, DecodeError> {
        let value = NAMES
            .iter()
            .position(|known| *known == name)
            .and_then(|at| self.values[at]);
        value
            .map(|value| {
                std::str::from_utf8(value)
                    .map_err(|_| header(name, &String::from_utf8_lossy(value), "must be UTF-8"))
            })
            .transpose()
    }

    fn required(&self, name: &'static str) -> Result<&'a str, DecodeError> {
        match self.text(name)? {
            None => Err(DecodeError::Missing { name }),
            Some("") => Err(header(name, "", "must not be empty")),
            Some(text) => Ok(text),
        }
    }

    fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(
        &self,
        name: &'static str,
    ) -> Result<T, DecodeError> {
        let text = self.required(name)?;
        text.parse()
            .map_err(|error: T::Err| header(name, text, &error.to_string()))
    }
}

/// `application/json`, whatever parameters follow it.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(JSON)
}

fn header(name: &'static str, value: &str, reason: &str) -> DecodeError {
    DecodeError::Header {
        name,
        value: cut(value, LONGEST_VALUE),
        reason: reason.to_owned(),
    }
}

fn not_the_value(expected: &'static str, error: &serde_json::Error) -> DecodeError {
    let text = error.to_string();
    // The place comes last, and is not to be cut off.
    let place = format!(" at line {} column {}", error.line(), error.column());
    let reason = match text.strip_suffix(&place) {
        Some(why) => cut(why, LONGEST_REASON) + &place,
        None => cut(&text, LONGEST_REASON),
    };
    DecodeError::Value { expected, reason }
}

/// An error goes into a log line and into a dead letter's headers, so it stays short.
fn cut(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

fn owned(text: String) -> Cow<'static, [u8]> {
    Cow::Owned(text.into_bytes())
}
