//! GET /api/records: what lies in a partition, from an offset on.

use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::time::Duration;

use kafka_client::{Client, RecordView, TopicPartition};
use serde::Serialize;
use service_kit::http::{Page, Problem, Query, ok};
use tokio::time::Instant;
use warp::reply::Response;

use crate::reading::{extent, read};

/// The query parameters.
pub(crate) const PARAMETERS: [&str; 4] = ["topic", "partition", "offset", "limit"];
/// Records of a page that does not say how many.
const DEFAULT: usize = 20;
/// The most of a page.
const MOST: usize = 100;
/// How long Kafka is waited for, to learn where the log begins and ends.
const EXTENT: Duration = Duration::from_secs(3);
/// How long is read.
const READ: Duration = Duration::from_secs(1);
/// Bytes that are fetched at once.
const AHEAD: usize = 1 << 20;
/// The most bytes of a value that are told.
const VALUE: usize = 64 * 1024;
/// The most bytes of a key or a header.
const SHORT: usize = 4 * 1024;
/// The most headers of a record.
const HEADERS: usize = 64;
/// The most bytes of all records together, keys and headers included, so that a page of large ones is a short one.
const PAGE: usize = 2 << 20;

/// A record as HTTP tells it.
#[derive(Debug, Serialize)]
struct RecordTold {
    topic: String,
    partition: i32,
    offset: i64,
    timestamp: i64,
    key: Option<String>,
    headers: Vec<(String, Option<String>)>,
    value: Option<String>,
    value_encoding: &'static str,
    truncated: bool,
}

impl RecordTold {
    /// What counts for the length of a page.
    fn bytes(&self) -> usize {
        let of = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let headers = self.headers.iter();
        let headers: usize = headers.map(|(name, value)| name.len() + of(value)).sum();
        of(&self.key) + headers + of(&self.value)
    }
}

/// The page that is asked for: at most 100 records (20 unless told), at most what is read in 1 s, values cut at 64 KiB, and no more of them once they
/// have 2 MiB. An offset before the start of the log gives the first records that there are; from its end on there are none.
///
/// `next` is where to read on, and null at the end of the log as it was when this was asked.
pub(crate) async fn page(client: &Client, query: &Query) -> Result<Response, Problem> {
    let missing = |name| Problem::bad_parameter(name, "must be there");
    let topic = query.text("topic").ok_or_else(|| missing("topic"))?;
    let partition: i32 = query
        .get("partition")?
        .ok_or_else(|| missing("partition"))?;
    let offset: i64 = query.get("offset")?.ok_or_else(|| missing("offset"))?;
    let limit = limit(query, DEFAULT, MOST)?;
    let place = TopicPartition::new(topic, partition);
    let unknown = || Problem::not_found(format!("there is no partition {partition} of this topic"));
    let log = extent(&client.admin(), &place, EXTENT)
        .await?
        .ok_or_else(unknown)?;
    let mut records = Vec::new();
    let (mut bytes, mut next) = (0, log.end);
    let piece = offset.max(log.start)..log.end;
    let mut position = piece.start;
    let ended = read(
        client,
        &place,
        piece,
        AHEAD,
        Instant::now() + READ,
        |record| {
            let told = told(&place, record);
            bytes += told.bytes();
            records.push(told);
            position = record.offset + 1;
            if records.len() >= limit || bytes >= PAGE {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        },
    );
    if ended.await? != crate::reading::Ended::AtEnd {
        next = position;
    }
    let next = (next < log.end).then_some(next);
    Ok(ok(&Page::new(records, next)))
}

/// The query parameter `limit`.
pub(crate) fn limit(query: &Query, usual: usize, most: usize) -> Result<usize, Problem> {
    match query.text("limit").map(str::parse) {
        None => Ok(usual),
        Some(Ok(limit)) if (1..=most).contains(&limit) => Ok(limit),
        Some(_) => {
            let reason = format!("must be a whole number from 1 to {most}");
            Err(Problem::bad_parameter("limit", reason))
        }
    }
}

fn told(place: &TopicPartition, record: RecordView<'_>) -> RecordTold {
    let short = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(SHORT)]).into();
    let (value, value_encoding) = match record.value.map(value) {
        Some((text, encoding)) => (Some(text), encoding),
        None => (None, "utf-8"),
    };
    RecordTold {
        topic: place.topic.to_string(),
        partition: place.partition,
        offset: record.offset,
        timestamp: record.timestamp,
        key: record.key.map(short),
        headers: record
            .headers
            .take(HEADERS)
            .map(|header| {
                let name = short(header.key.as_bytes());
                (name, header.value.map(short))
            })
            .collect(),
        value,
        value_encoding,
        truncated: record.value.is_some_and(|value| value.len() > VALUE),
    }
}

/// The beginning of a value and how it is written: as the text that it is, without half a character at its end, or in base64.
fn value(bytes: &[u8]) -> (String, &'static str) {
    let beginning = &bytes[..bytes.len().min(VALUE)];
    match std::str::from_utf8(beginning) {
        Ok(text) => (text.to_owned(), "utf-8"),
        Err(error) if error.error_len().is_none() && beginning.len() < bytes.len() => {
            let whole = &beginning[..error.valid_up_to()];
            (String::from_utf8_lossy(whole).into_owned(), "utf-8")
        }
        Err(_) => (base64(beginning), "base64"),
    }
}

/// RFC 4648 section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits = three
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - three.len()));
        for digit in 0..4 {
            let at = (bits >> (18 - 6 * digit)) as usize & 63;
            // Three bytes are four digits; of fewer, those that say nothing are filled up.
            let shown = if digit <= three.len() {
                DIGITS[at]
            } else {
                b'='
            };
            let _ = text.write_char(char::from(shown));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{VALUE, base64, value};

    #[test]
    fn base64_is_that_of_the_rfc() {
        let encoded = [
            "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy",
        ];
        for (length, encoded) in encoded.into_iter().enumerate() {
            assert_eq!(base64(&b"foobar"[..length]), encoded);
        }
        assert_eq!(base64(&[0xff, 0xef, 0xbe]), "/+++");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let mut long = "a".repeat(VALUE - 1);
        long.push_str("ßß");
        let (text, encoding) = value(long.as_bytes());
        assert_eq!((text.len(), encoding), (VALUE - 1, "utf-8"));
        let (text, encoding) = value(&vec![0xff; VALUE + 1]);
        assert_eq!((text.len(), encoding), (VALUE.div_ceil(3) * 4, "base64"));
        // Half a character at the very end is no text.
        assert_eq!(value(b"a\xc3").1, "base64");
    }
}
