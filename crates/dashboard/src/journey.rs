//! GET /api/orders/{id}: an order, and every event that was written of it.
//!
//! An order's events have its id as their key, so of each topic one partition can have them (that of Java's partitioner), and none
//! is older than the order. That piece is read to the end that it has now.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use contracts::{Timestamp, names};
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use kafka_client::{
    Admin, Client, ClientError, OffsetAt, RecordView, TopicPartition, partition_for_key,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use service_kit::http::{Problem, ok};
use tokio::time::Instant;
use warp::http::StatusCode;
use warp::reply::Response;

use crate::reading::{Ended, ReadError, is_unknown, read};
use crate::services::{Services, not_answered};

/// How long order-service is waited for.
const ORDER: Duration = Duration::from_secs(3);
/// How long is read, over all topics.
const READ: Duration = Duration::from_secs(2);
/// The most records that are read of a topic.
const MOST_RECORDS: usize = 50_000 / names::TOPICS.len();
/// The most events that are told of a topic: an order has a handful.
const MOST_EVENTS: usize = 100;
/// Bytes that are fetched at once.
const AHEAD: usize = 1 << 20;
/// How much earlier than the order its events are looked for: clocks differ.
const MARGIN_MS: i64 = 60_000;
/// The most groups that are asked where they stand.
const MOST_GROUPS: usize = 100;
/// Groups that are asked at the same time.
const GROUPS_AT_ONCE: usize = 16;
/// The most bytes that are told of a type, an id or a status: whoever can write to a topic could make them long.
const LONGEST_WORD: usize = 256;
/// The most bytes of an event that are read for its status.
const LARGEST_EVENT: usize = 1 << 20;

#[derive(Debug, Serialize)]
struct Journey<'a> {
    order: &'a RawValue,
    events: Vec<JourneyEvent>,
    complete: bool,
}

/// An event of an order.
#[derive(Debug, Serialize)]
struct JourneyEvent {
    topic: String,
    partition: i32,
    offset: i64,
    timestamp: i64,
    r#type: Option<String>,
    event_id: Option<String>,
    status: Option<String>,
    group_offsets: Vec<GroupStands>,
}

/// Where a group stands in an event's partition.
#[derive(Debug, Clone, Serialize)]
struct GroupStands {
    group: String,
    committed: Option<i64>,
}

/// What is read of an order.
#[derive(Debug, Deserialize)]
struct Placed {
    created_at: Timestamp,
}

/// What is read of an event.
#[derive(Debug, Deserialize)]
struct Said {
    #[serde(default)]
    status: Option<Value>,
}

/// What each group that is asked has committed.
type Commits = Vec<(String, BTreeMap<TopicPartition, i64>)>;

/// The order as order-service tells it, its events in the order of their times, and whether these are all: not where more than
/// 10,000 records of a topic, or more than 2 s, would have had to be read, a topic has more than 100 of them, or Kafka did not tell.
pub(crate) async fn journey(
    client: &Client,
    services: &Services,
    order_id: &str,
) -> Result<Response, Problem> {
    let unknown = || Problem::not_found(format!("there is no order {order_id}"));
    // What is no id is no order, and nothing to put into a path.
    let id: contracts::OrderId = order_id.parse().map_err(|_| unknown())?;
    let base = services.url_of(names::ORDER_SERVICE)?;
    let answer = services.get(&base, &format!("/orders/{id}"), ORDER).await;
    let answer = answer.map_err(|error| not_answered(&error))?;
    match answer.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Err(unknown()),
        status => {
            let text = format!("order-service answered {status}");
            return Err(Problem::unavailable(text));
        }
    }
    let not_read =
        |error| Problem::unavailable(format!("order-service is not understood: {error}"));
    let order: &RawValue = serde_json::from_slice(&answer.body).map_err(not_read)?;
    let placed: Placed = serde_json::from_str(order.get()).map_err(not_read)?;
    let (events, complete) = events(client, &id.to_string(), placed.created_at.millis()).await;
    Ok(ok(&Journey {
        order,
        events,
        complete,
    }))
}

async fn events(client: &Client, key: &str, since: i64) -> (Vec<JourneyEvent>, bool) {
    let deadline = Instant::now() + READ;
    let admin = client.admin();
    let reading = join_all(names::TOPICS.map(|topic| async move {
        // In a box, since it is large.
        let reading = Box::pin(of_topic(client, topic, key, since - MARGIN_MS, deadline));
        match tokio::time::timeout_at(deadline, reading).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::debug!(%error, topic, "the events of an order cannot be read");
                (Vec::new(), false)
            }
            Err(_) => (Vec::new(), false),
        }
    }));
    let stands = tokio::time::timeout_at(deadline, commits(&admin));
    let (found, stands) = tokio::join!(reading, stands);
    let known = matches!(stands, Ok(Ok(_)));
    let commits = stands.ok().and_then(Result::ok).unwrap_or_default();
    let complete = known && found.iter().all(|(_, complete)| *complete);
    let mut events: Vec<JourneyEvent> = found.into_iter().flat_map(|(events, _)| events).collect();
    for event in &mut events {
        event.group_offsets = stands_of(&commits, &event.topic, event.partition);
    }
    // Stable, so that of one moment the topics stand in the order of the pipeline.
    events.sort_by_key(|event| event.timestamp);
    (events, complete)
}

/// The events of one topic, and whether these are all.
async fn of_topic(
    client: &Client,
    topic: &str,
    key: &str,
    since: i64,
    deadline: Instant,
) -> Result<(Vec<JourneyEvent>, bool), ReadError> {
    let admin = client.admin();
    let described = admin.describe_topics(&[topic]).await?.into_iter().next();
    let partitions = match described {
        Some((_, Ok(topic))) => topic.partitions.len(),
        // Without the topic there are no events of it.
        Some((_, Err(error))) if is_unknown(&error) => return Ok((Vec::new(), true)),
        Some((_, Err(error))) => return Err(error.into()),
        None => 0,
    };
    let partitions = u32::try_from(partitions).unwrap_or_default();
    let place = TopicPartition::new(topic, partition_for_key(key.as_bytes(), partitions));
    let end = offset(&admin, &place, OffsetAt::Latest).await?;
    let first = offset(&admin, &place, OffsetAt::Timestamp(since.max(0))).await?;
    let (Some(end), Some(first)) = (end, first) else {
        // Nothing was written since.
        return Ok((Vec::new(), true));
    };
    let (mut events, mut seen) = (Vec::new(), 0);
    let each = |record: RecordView<'_>| {
        seen += 1;
        if record.key == Some(key.as_bytes()) {
            events.push(event(&place, record));
        }
        if seen >= MOST_RECORDS || events.len() >= MOST_EVENTS {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    // A little before the time is up for good, so that what was found until then is told.
    let deadline = deadline - Duration::from_millis(50);
    let ended = read(client, &place, first..end, AHEAD, deadline, each).await?;
    Ok((events, ended == Ended::AtEnd))
}

async fn offset(
    admin: &Admin,
    place: &TopicPartition,
    at: OffsetAt,
) -> Result<Option<i64>, ClientError> {
    let listed = admin.list_offsets(std::slice::from_ref(place), at).await?;
    match listed.into_iter().next() {
        Some((_, found)) => Ok(found?.offset),
        None => Ok(None),
    }
}

fn event(place: &TopicPartition, record: RecordView<'_>) -> JourneyEvent {
    let header = |name: &str| {
        let mut of_name = record.headers.filter(|header| header.key == name);
        let value = of_name.find_map(|header| header.value)?;
        Some(word(value))
    };
    let value = record.value.filter(|value| value.len() <= LARGEST_EVENT);
    let said = value.and_then(|value| serde_json::from_slice::<Said>(value).ok());
    let status = said.and_then(|said| said.status);
    JourneyEvent {
        topic: place.topic.to_string(),
        partition: place.partition,
        offset: record.offset,
        timestamp: record.timestamp,
        r#type: header("ce_type"),
        event_id: header("ce_id"),
        status: status.and_then(|status| status.as_str().map(|status| word(status.as_bytes()))),
        group_offsets: Vec::new(),
    }
}

/// The beginning of it, as text.
fn word(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST_WORD)]).into_owned()
}

async fn commits(admin: &Admin) -> Result<Commits, ClientError> {
    let listed = admin.list_groups().await?;
    let asked = listed
        .into_iter()
        .take(MOST_GROUPS)
        .map(|group| async move {
            let committed = admin.group_offsets(&group.group).await?;
            let committed = committed.into_iter();
            let committed = committed.map(|(place, committed)| (place, committed.offset));
            Ok((group.group, committed.collect()))
        });
    let found: Vec<Result<_, ClientError>> =
        stream::iter(asked).buffered(GROUPS_AT_ONCE).collect().await;
    found.into_iter().collect()
}

/// Where the groups that read a topic stand in a partition of it. One reads it if it has committed anything there.
fn stands_of(commits: &Commits, topic: &str, partition: i32) -> Vec<GroupStands> {
    let place = TopicPartition::new(topic, partition);
    let reads = commits
        .iter()
        .filter(|(_, committed)| committed.keys().any(|found| *found.topic == *topic));
    reads
        .map(|(group, committed)| GroupStands {
            group: group.clone(),
            committed: committed.get(&place).copied(),
        })
        .collect()
}
