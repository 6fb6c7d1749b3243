//! GET /api/orders/{id}: an order, every event that was written of it, and its dead letters.
//!
//! An order's events have its id as their key, so of each topic one partition has them (that of Java's partitioner), and none is older
//! than the order. That piece is read to the end that it has now. Where it has none, all partitions of the topic are read: the topic may have had
//! fewer of them when the event was written. And where `order_placed` is not there, they are read from a minute before, since clocks differ.

mod letters;
mod search;

use std::collections::BTreeMap;
use std::time::Duration;

use contracts::{Timestamp, names};
use futures_util::future::join_all;
use kafka_client::{Admin, Client, ClientError, RecordView, TopicPartition, partition_for_key};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use service_kit::dead_letters;
use service_kit::http::{Problem, ok};
use tokio::time::Instant;
use warp::http::StatusCode;
use warp::reply::Response;

use crate::commits::{Committed, committed, consumer_groups, of_each};
use crate::services::{Services, not_answered};
use letters::DeadLetter;
use search::{Found, Search};

/// How long order-service is waited for.
const ORDER: Duration = Duration::from_secs(3);
/// How long is read, over all topics.
const READ: Duration = Duration::from_secs(2);
/// How much earlier than the order its events are looked for.
const JUST_BEFORE_MS: i64 = 2_000;
/// How much earlier where they are not found: clocks differ.
const MARGIN_MS: i64 = 60_000;
/// The most topics of dead letters that are read.
const MOST_LETTER_TOPICS: usize = 32;
/// The most bytes that are told of a type, an id or a status: whoever can write to a topic could make them long.
const LONGEST_WORD: usize = 256;
/// The most bytes of an event that are read for its status.
const LARGEST_EVENT: usize = 1 << 20;

#[derive(Debug, Serialize)]
struct Journey<'a> {
    order: &'a RawValue,
    #[serde(flatten)]
    found: Told,
}

/// What Kafka has of an order.
#[derive(Debug, Default, Serialize)]
struct Told {
    events: Vec<JourneyEvent>,
    dead_letters: Vec<DeadLetter>,
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
type Commits = Vec<(String, Committed)>;

/// How many partitions each topic has.
type Topics = BTreeMap<String, usize>;

/// The order as order-service tells it, its events and its dead letters in the order of their times, and whether these are all: not where its
/// `order_placed` is not among them, more than 50,000 records of a topic that are newer than the order, or more than 2 s, would have had
/// to be read, a topic has more than 100 of them, or Kafka did not tell.
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
    let found = look(client, &id.to_string(), placed.created_at.millis()).await;
    Ok(ok(&Journey { order, found }))
}

async fn look(client: &Client, key: &str, created_at: i64) -> Told {
    let deadline = Instant::now() + READ;
    let admin = client.admin();
    let Ok(Ok(topics)) = tokio::time::timeout_at(deadline, Box::pin(topics(&admin))).await else {
        return Told::default();
    };
    let search = Search {
        client,
        created_at,
        // A little before the time is up for good, so that what was found until then is told.
        deadline: deadline - Duration::from_millis(100),
    };
    let stands = tokio::time::timeout_at(deadline, commits(&admin));
    // In boxes, since they are large.
    let (found, letters, stands) = tokio::join!(
        Box::pin(events(&search, &topics, key)),
        Box::pin(dead_letters(&search, &topics, key)),
        Box::pin(stands),
    );
    let known = matches!(stands, Ok(Ok(_)));
    let commits = stands.ok().and_then(Result::ok).unwrap_or_default();
    let is_placed = found.items.iter().any(|it| it.topic == names::ORDER_PLACED);
    let complete = known && is_placed && found.whole && letters.whole;
    let mut events = found.items;
    for event in &mut events {
        event.group_offsets = stands_of(&commits, &event.topic, event.partition);
    }
    // Stable, so that of one moment the topics stand in the order of the pipeline.
    events.sort_by_key(|event| event.timestamp);
    let mut dead_letters = letters.items;
    dead_letters.retain(|letter| letter.is_of(&events));
    dead_letters.sort_by_key(DeadLetter::at);
    Told {
        events,
        dead_letters,
        complete,
    }
}

async fn topics(admin: &Admin) -> Result<Topics, ClientError> {
    let listed = admin.list_topics().await?.into_iter();
    Ok(listed
        .map(|topic| (topic.name.to_string(), topic.partitions))
        .collect())
}

/// The events of all topics, in the order of the pipeline.
async fn events(search: &Search<'_>, topics: &Topics, key: &str) -> Found<JourneyEvent> {
    let pick = |place: &TopicPartition, record: RecordView<'_>| {
        (record.key == Some(key.as_bytes())).then(|| event(place, record))
    };
    let just_before = search.created_at - JUST_BEFORE_MS;
    let mut found = join_all(names::TOPICS.map(|topic| {
        let of_key = |count| partition_for_key(key.as_bytes(), count);
        let count = topics.get(topic).copied().unwrap_or_default();
        let count = u32::try_from(count).ok().filter(|count| *count > 0);
        // Without the topic there are no events of it.
        let place = count.map(|count| TopicPartition::new(topic, of_key(count)));
        search.through(place.into_iter().collect(), just_before, pick)
    }))
    .await;
    let placed = names::TOPICS.iter().zip(&found);
    let is_placed = placed
        .filter(|(topic, _)| **topic == names::ORDER_PLACED)
        .any(|(_, found)| !found.items.is_empty());
    let since = if is_placed {
        just_before
    } else {
        search.created_at - MARGIN_MS
    };
    let again = names::TOPICS
        .iter()
        .zip(&mut found)
        .filter(|(_, found)| found.items.is_empty());
    join_all(again.map(|(topic, found)| async move {
        *found = search.through(all_of(topic, topics), since, pick).await;
    }))
    .await;
    together(found)
}

/// What may be the order's dead letters.
async fn dead_letters(search: &Search<'_>, topics: &Topics, key: &str) -> Found<DeadLetter> {
    let pick = |place: &TopicPartition, record: RecordView<'_>| DeadLetter::of(place, record, key);
    let of_letters: Vec<&String> = topics
        .keys()
        .filter(|topic| topic.ends_with(dead_letters::SUFFIX))
        .collect();
    let read = of_letters.iter().take(MOST_LETTER_TOPICS);
    let found = join_all(read.map(|topic| {
        let since = search.created_at - MARGIN_MS;
        search.through(all_of(topic, topics), since, pick)
    }));
    let mut found = together(found.await);
    found.whole &= of_letters.len() <= MOST_LETTER_TOPICS;
    found
}

fn all_of(topic: &str, topics: &Topics) -> Vec<TopicPartition> {
    let count = topics.get(topic).copied().unwrap_or_default();
    let partitions = 0..i32::try_from(count).unwrap_or_default();
    partitions.map(|p| TopicPartition::new(topic, p)).collect()
}

fn together<T>(found: Vec<Found<T>>) -> Found<T> {
    let whole = found.iter().all(|found| found.whole);
    let items = found.into_iter().flat_map(|found| found.items).collect();
    Found { items, whole }
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
fn text(bytes: &[u8], longest: usize) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(longest)]).into_owned()
}

fn word(bytes: &[u8]) -> String {
    text(bytes, LONGEST_WORD)
}

async fn commits(admin: &Admin) -> Result<Commits, ClientError> {
    let (listed, _) = consumer_groups(admin).await?;
    let asked = of_each(listed, |group| async move {
        let committed = committed(admin, &group.group).await?;
        Ok((group.group, committed))
    });
    asked.await.into_iter().collect()
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
