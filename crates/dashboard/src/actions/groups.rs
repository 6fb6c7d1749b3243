//! Consumer groups: setting their offsets, pausing and resuming what a member of one reads.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use kafka_client::{Admin, ClientError, OffsetAt, ResponseError, TopicPartition};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use service_kit::http::client::BaseUrl;
use service_kit::http::{BODY_LIMIT, FieldError, Problem, Routes, Segment, first_of, json_body};
use warp::Filter;
use warp::http::StatusCode;
use warp::reply::Response;

use super::{Deeds, Nothing, allowed, done, told};
use crate::api::passed_on;
use crate::reading::{LONGEST_TOPIC, is_unknown};
use crate::services::{Services, not_answered};

/// How long Kafka is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an instance is waited for.
const INSTANCE: Duration = Duration::from_secs(2);

/// The body of a reset.
#[derive(Debug, Deserialize)]
struct Reset {
    to: Box<RawValue>,
    #[serde(default)]
    topic: Option<String>,
    #[serde(default)]
    partition: Option<i32>,
}

/// Where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    At(OffsetAt),
    /// This offset, or the end of the log that is nearer.
    Offset(i64),
}

impl Target {
    fn read(to: &str) -> Result<Self, Problem> {
        let wrong = || {
            let detail = r#"must be "earliest", "latest", {"offset": N} or {"timestamp": MS}"#;
            Problem::invalid(vec![FieldError::new("to", detail)])
        };
        let number = |value: &Value| value.as_i64().filter(|number| *number >= 0);
        match serde_json::from_str(to).map_err(|_| wrong())? {
            Value::String(word) if word == "earliest" => Ok(Self::At(OffsetAt::Earliest)),
            Value::String(word) if word == "latest" => Ok(Self::At(OffsetAt::Latest)),
            Value::Object(object) if object.len() == 1 => {
                let offset = object.get("offset").and_then(number).map(Self::Offset);
                let timestamp = object.get("timestamp").and_then(number);
                let timestamp = timestamp.map(|at| Self::At(OffsetAt::Timestamp(at)));
                offset.or(timestamp).ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }
}

pub(super) fn routes(deeds: Deeds) -> Routes {
    let reset = warp::path!("api" / "groups" / Segment / "reset")
        .and(allowed(deeds.clone()))
        .and(json_body::<Reset>(BODY_LIMIT))
        .then(|group: Segment, deeds, body| async move { told(reset(&group, deeds, body).await) });
    let in_partition = |action: &'static str| {
        warp::path("api")
            .and(warp::path("groups"))
            .and(warp::path::param::<Segment>())
            .and(warp::path("partitions"))
            .and(warp::path::param::<Segment>())
            .and(warp::path::param::<i32>())
            .and(warp::path(action))
            .and(warp::path::end())
            .and(allowed(deeds.clone()))
            .and(json_body::<Nothing>(BODY_LIMIT))
            .then(
                move |group: Segment, topic: Segment, partition, deeds, body| async move {
                    let place = TopicPartition::new(&*topic, partition);
                    told(in_partition(&group, &place, action, deeds, body).await)
                },
            )
    };
    let pause = in_partition("pause").boxed();
    let resume = in_partition("resume").boxed();
    first_of([reset.boxed(), pause, resume])
}

async fn reset(
    group: &str,
    deeds: Result<Deeds, Problem>,
    body: Result<Reset, Problem>,
) -> Result<Response, Problem> {
    let (deeds, body) = (deeds?, body?);
    let target = Target::read(body.to.get())?;
    if body.partition.is_some() && body.topic.is_none() {
        let detail = "must be there where a partition is named";
        return Err(Problem::invalid(vec![FieldError::new("topic", detail)]));
    }
    let admin = deeds.client.admin();
    let work = async {
        without_members(&admin, group).await?;
        let places = places(&admin, group, &body).await?;
        let set = set(&admin, group, &places, target).await?;
        if set.is_empty() {
            let gone =
                format!("there are no topics any more that {group} has committed offsets of");
            return Err(Problem::not_found(gone));
        }
        Ok(done(sentence(group, &set)))
    };
    // In a box, since it is large.
    tokio::time::timeout(PATIENCE, Box::pin(work))
        .await
        .unwrap_or_else(|_| Err(Problem::unavailable("Kafka does not answer, try again")))
}

/// A 409 while the group has members: they would go on from where they are, and commit that.
async fn without_members(admin: &Admin, group: &str) -> Result<(), Problem> {
    let described = admin.describe_groups(&[group]).await.into_iter().next();
    let unknown = || Problem::not_found(format!("there is no group {group}"));
    let described = match described {
        Some((_, Ok(described))) => described,
        Some((_, Err(error))) if is(&error, ResponseError::GroupIdNotFound) => {
            return Err(unknown());
        }
        Some((_, Err(error))) => return Err(away(&error)),
        None => return Err(unknown()),
    };
    match described.members.len() {
        0 => Ok(()),
        1 => Err(has_members(group, "a member")),
        members => Err(has_members(group, &format!("{members} members"))),
    }
}

fn has_members(group: &str, members: &str) -> Problem {
    Problem::conflict(format!(
        "{group} has {members}: stop all of its instances first, for they would go on from where they are"
    ))
}

/// The partitions that are meant: those that are named, or else all that the group has committed.
async fn places(admin: &Admin, group: &str, body: &Reset) -> Result<Vec<TopicPartition>, Problem> {
    let Some(topic) = &body.topic else {
        let committed = admin.group_offsets(group).await.map_err(|e| away(&e))?;
        let places: Vec<TopicPartition> = committed.into_keys().collect();
        if places.is_empty() {
            return Err(Problem::not_found(format!(
                "{group} has committed nothing: name a topic"
            )));
        }
        return Ok(places);
    };
    let unknown = || Problem::not_found(format!("there is no topic {topic}"));
    if topic.len() > LONGEST_TOPIC {
        return Err(Problem::not_found("there is no such topic"));
    }
    let described = admin.describe_topics(&[topic]).await;
    let described = described.map_err(|error| away(&error))?.into_iter().next();
    let described = match described {
        Some((_, Ok(described))) => described,
        Some((_, Err(error))) if !is_unknown(&error) => return Err(away(&error)),
        _ => return Err(unknown()),
    };
    let places: Vec<TopicPartition> = described
        .partitions
        .iter()
        .map(|found| found.partition)
        .filter(|found| body.partition.is_none_or(|wanted| wanted == *found))
        .map(|partition| TopicPartition::new(topic.as_str(), partition))
        .collect();
    if places.is_empty() {
        let partition = body.partition.unwrap_or_default();
        let detail = format!("there is no partition {partition} of {topic}");
        return Err(Problem::not_found(detail));
    }
    Ok(places)
}

/// Sets the offsets, and says which they are.
async fn set(
    admin: &Admin,
    group: &str,
    places: &[TopicPartition],
    target: Target,
) -> Result<Vec<(TopicPartition, i64)>, Problem> {
    let outcome = match target {
        Target::At(at) => admin.reset_group_offsets(group, places, at).await,
        Target::Offset(offset) => within_logs(admin, group, places, offset).await,
    };
    let mut set = Vec::with_capacity(places.len());
    for (place, outcome) in outcome.map_err(|error| away(&error))? {
        match outcome {
            Ok(offset) => set.push((place, offset)),
            // One came in between.
            Err(error)
                if is(&error, ResponseError::UnknownMemberId)
                    || is(&error, ResponseError::NonEmptyGroup) =>
            {
                return Err(has_members(group, "members again"));
            }
            // Of a topic that is gone the rest of the group's offsets are set all the same.
            Err(error) if is_unknown(&error) => {}
            Err(error) => return Err(away(&error)),
        }
    }
    Ok(set)
}

async fn within_logs(
    admin: &Admin,
    group: &str,
    places: &[TopicPartition],
    offset: i64,
) -> Result<kafka_client::PerItem<TopicPartition, i64>, ClientError> {
    let (starts, ends) = tokio::try_join!(
        admin.list_offsets(places, OffsetAt::Earliest),
        admin.list_offsets(places, OffsetAt::Latest)
    )?;
    let mut targets = Vec::with_capacity(places.len());
    let mut outcomes = Vec::with_capacity(places.len());
    for ((place, start), (_, end)) in starts.into_iter().zip(ends) {
        match (start, end) {
            (Ok(start), Ok(end)) => {
                let (start, end) = (start.offset, end.offset);
                let nearest = offset.min(end.unwrap_or(offset));
                targets.push((place, nearest.max(start.unwrap_or(nearest))));
            }
            (Err(error), _) | (_, Err(error)) => outcomes.push((place, Err(error))),
        }
    }
    let set = admin.alter_group_offsets(group, &targets).await?;
    for ((place, outcome), (_, target)) in set.into_iter().zip(targets) {
        outcomes.push((place, outcome.map(|()| target)));
    }
    Ok(outcomes)
}

fn sentence(group: &str, set: &[(TopicPartition, i64)]) -> String {
    match set {
        [(place, offset)] => format!("{group} goes on at offset {offset} of {place}"),
        _ => {
            let topics: BTreeSet<&str> = set.iter().map(|(place, _)| &*place.topic).collect();
            let topics: Vec<&str> = topics.into_iter().collect();
            let partitions = set.len();
            format!(
                "set the offsets of {group} in {partitions} partitions of {}",
                topics.join(", ")
            )
        }
    }
}

fn is(error: &ClientError, wanted: ResponseError) -> bool {
    matches!(error, ClientError::Broker { code, .. } if *code == wanted)
}

fn away(error: &ClientError) -> Problem {
    Problem::unavailable(format!("Kafka did not do it: {error}"))
}

/// Told to the instance that reads the partition; its answer is passed on if it is none of success.
async fn in_partition(
    group: &str,
    place: &TopicPartition,
    action: &str,
    deeds: Result<Deeds, Problem>,
    body: Result<Nothing, Problem>,
) -> Result<Response, Problem> {
    let deeds = deeds?;
    body?;
    let (instance, base) = owner(&deeds.services, group, place).await?;
    let (topic, partition) = (encoded(&place.topic), place.partition);
    let path = format!("/partitions/{topic}/{partition}/{action}");
    let body = Some(Bytes::from_static(b"{}"));
    let answer = deeds
        .services
        .post(&base, &path, None, body, INSTANCE)
        .await;
    let answer = answer.map_err(|error| not_answered(&error))?;
    if !answer.status.is_success() {
        return Ok(passed_on(answer));
    }
    let what = if action == "pause" {
        "pauses"
    } else {
        "goes on with"
    };
    Ok(done(format!("{instance} {what} {place}")))
}

/// The instance whose member reads the partition; a 409 where none of those that are known does.
async fn owner(
    services: &Services,
    group: &str,
    place: &TopicPartition,
) -> Result<(String, BaseUrl), Problem> {
    let instances = services.instances();
    let of_group = instances
        .iter()
        .filter(|instance| instance.service == group)
        .filter_map(|instance| Some((instance.instance.clone(), instance.url.parse().ok()?)));
    let asked = join_all(
        of_group.map(|(instance, base): (String, BaseUrl)| async move {
            let reads = reads(services, &base, place).await;
            reads.then_some((instance, base))
        }),
    );
    asked.await.into_iter().flatten().next().ok_or_else(|| {
        Problem::conflict(format!(
            "no instance of {group} that is known here reads {place} now"
        ))
    })
}

/// Whether an instance says that it reads the partition.
async fn reads(services: &Services, base: &BaseUrl, place: &TopicPartition) -> bool {
    #[derive(Deserialize)]
    struct Member {
        partitions: Vec<Held>,
    }
    #[derive(Deserialize)]
    struct Held {
        topic: String,
        partition: i32,
    }
    let Ok(answer) = services.get(base, "/member", INSTANCE).await else {
        return false;
    };
    let member = serde_json::from_slice(&answer.body)
        .ok()
        .filter(|_: &Member| answer.status == StatusCode::OK);
    member.is_some_and(|member| {
        let mut held = member.partitions.iter();
        held.any(|it| it.topic == *place.topic && it.partition == place.partition)
    })
}

/// As a segment of a path (RFC 3986 section 2.3).
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_to_is_one_of_four() {
        let read = |to: &str| Target::read(to).map_err(|problem| problem.status().as_u16());
        assert_eq!(read(r#""earliest""#), Ok(Target::At(OffsetAt::Earliest)));
        assert_eq!(read(r#""latest""#), Ok(Target::At(OffsetAt::Latest)));
        assert_eq!(read(r#"{"offset": 7}"#), Ok(Target::Offset(7)));
        assert_eq!(
            read(r#"{"timestamp": 9}"#),
            Ok(Target::At(OffsetAt::Timestamp(9)))
        );
        for wrong in [
            r#""newest""#,
            "7",
            "null",
            "{}",
            r#"{"offset": -1}"#,
            r#"{"offset": 1.5}"#,
            r#"{"offset": 1, "timestamp": 2}"#,
            r#"{"offset": 1, "more": 2}"#,
        ] {
            assert_eq!(read(wrong), Err(422), "{wrong}");
        }
    }

    #[test]
    fn a_topic_can_stand_in_a_path() {
        assert_eq!(encoded("order_placed.v-1"), "order_placed.v-1");
        assert_eq!(encoded("a/b ß"), "a%2Fb%20%C3%9F");
    }
}
