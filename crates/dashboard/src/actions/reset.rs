//! Setting the offsets of a group, as `orderflow reset-offsets` does.

use std::collections::BTreeSet;
use std::time::Duration;

use kafka_client::{ClientError, OffsetAt, OffsetsReset, PlannedOffset, ResetError, ResetTo};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use service_kit::http::{BODY_LIMIT, FieldError, Problem, Routes, Segment, json_body};
use warp::Filter;
use warp::http::StatusCode;
use warp::reply::Response;

use super::{Deeds, allowed, done, told, unfinished};
use crate::reading::LONGEST_TOPIC;

/// How long Kafka is waited for, to learn the offsets and then to set them.
const PATIENCE: Duration = Duration::from_secs(5);

/// The body.
#[derive(Debug, Deserialize)]
struct Reset {
    to: Box<RawValue>,
    #[serde(default)]
    topic: Option<String>,
    #[serde(default)]
    partition: Option<i32>,
}

pub(super) fn routes(deeds: Deeds) -> Routes {
    warp::path!("api" / "groups" / Segment / "reset")
        .and(allowed(deeds))
        .and(json_body::<Reset>(BODY_LIMIT))
        .then(|group: Segment, deeds, body| async move { told(reset(&group, deeds, body).await) })
        .boxed()
}

async fn reset(
    group: &str,
    deeds: Result<Deeds, Problem>,
    body: Result<Reset, Problem>,
) -> Result<Response, Problem> {
    let (deeds, body) = (deeds?, body?);
    let to = place(body.to.get())?;
    if body.partition.is_some() && body.topic.is_none() {
        let detail = "must be there where a partition is named";
        return Err(Problem::invalid(vec![FieldError::new("topic", detail)]));
    }
    if body
        .topic
        .as_ref()
        .is_some_and(|it| it.len() > LONGEST_TOPIC)
    {
        return Err(Problem::not_found("there is no such topic"));
    }
    let admin = deeds.client.admin();
    let planning = admin.plan_reset(OffsetsReset {
        group,
        topic: body.topic.as_deref(),
        partition: body.partition,
        to,
    });
    // In boxes, since they are large.
    let planned = match tokio::time::timeout(PATIENCE, Box::pin(planning)).await {
        Ok(Ok(planned)) => planned,
        Ok(Err(error)) => return refused(&error),
        Err(_) => return Err(Problem::unavailable("Kafka does not answer, try again")),
    };
    let setting = admin.carry_out_reset(group, &planned);
    match tokio::time::timeout(PATIENCE, Box::pin(setting)).await {
        Ok(Ok(())) => Ok(done(sentence(group, &planned))),
        Ok(Err(error)) => refused(&error),
        Err(_) => Ok(unfinished(
            StatusCode::GATEWAY_TIMEOUT,
            &format!(
                "Kafka did not say within {} s whether the offsets of {group} were set: none, some or all of {} may be",
                PATIENCE.as_secs(),
                planned.len()
            ),
        )),
    }
}

/// Where to.
fn place(to: &str) -> Result<ResetTo, Problem> {
    let wrong = || {
        let detail = r#"must be "earliest", "latest", {"offset": N} or {"timestamp": MS}"#;
        Problem::invalid(vec![FieldError::new("to", detail)])
    };
    let number = |value: &Value| value.as_i64().filter(|number| *number >= 0);
    match serde_json::from_str(to).map_err(|_| wrong())? {
        Value::String(word) if word == "earliest" => Ok(ResetTo::At(OffsetAt::Earliest)),
        Value::String(word) if word == "latest" => Ok(ResetTo::At(OffsetAt::Latest)),
        Value::Object(object) if object.len() == 1 => {
            let offset = object.get("offset").and_then(number).map(ResetTo::Offset);
            let timestamp = object.get("timestamp").and_then(number);
            let timestamp = timestamp.map(|at| ResetTo::At(OffsetAt::Timestamp(at)));
            offset.or(timestamp).ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}

/// What is answered where not all was set.
fn refused(error: &ResetError) -> Result<Response, Problem> {
    Err(match error {
        ResetError::UnknownGroup { group, .. } => {
            Problem::not_found(format!("there is no group {group}"))
        }
        ResetError::HasMembers { group, members } => match members {
            1 => has_members(group, "a member"),
            members => has_members(group, &format!("{members} members")),
        },
        ResetError::MembersUntold { group, state } => Problem::conflict(format!(
            "{group} is {state} and its members are not told (KIP-848): stop all of them first, until it is Empty"
        )),
        ResetError::NothingCommitted(group) => {
            Problem::not_found(format!("{group} has committed nothing: name a topic"))
        }
        ResetError::TopicsGone(group) => Problem::not_found(format!(
            "there are no topics any more that {group} has committed offsets of"
        )),
        ResetError::UnknownTopic(topic) => Problem::not_found(format!("there is no topic {topic}")),
        ResetError::UnknownPartition {
            topic, partition, ..
        } => Problem::not_found(format!("there is no partition {partition} of {topic}")),
        ResetError::Partly { group, set: 0, .. } if error.is_of_new_member() => {
            has_members(group, "members again")
        }
        ResetError::Partly { set: 0, source, .. } => not_done(source),
        ResetError::Partly { .. } => {
            return Ok(unfinished(StatusCode::BAD_GATEWAY, &error.to_string()));
        }
        ResetError::Client(error) => not_done(error),
    })
}

fn has_members(group: &str, members: &str) -> Problem {
    Problem::conflict(format!(
        "{group} has {members}: stop all of its instances first, for they would go on from where they are"
    ))
}

fn not_done(error: &ClientError) -> Problem {
    Problem::unavailable(format!("Kafka did not do it: {error}"))
}

fn sentence(group: &str, set: &[PlannedOffset]) -> String {
    match set {
        [PlannedOffset { partition, now, .. }] => {
            format!("{group} goes on at offset {now} of {partition}")
        }
        _ => {
            let topics: BTreeSet<&str> = set.iter().map(|it| &*it.partition.topic).collect();
            let topics: Vec<&str> = topics.into_iter().collect();
            let partitions = set.len();
            format!(
                "set the offsets of {group} in {partitions} partitions of {}",
                topics.join(", ")
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_to_is_one_of_four() {
        let read = |to: &str| place(to).map_err(|problem| problem.status().as_u16());
        assert_eq!(read(r#""earliest""#), Ok(ResetTo::At(OffsetAt::Earliest)));
        assert_eq!(read(r#""latest""#), Ok(ResetTo::At(OffsetAt::Latest)));
        assert_eq!(read(r#"{"offset": 7}"#), Ok(ResetTo::Offset(7)));
        assert_eq!(
            read(r#"{"timestamp": 9}"#),
            Ok(ResetTo::At(OffsetAt::Timestamp(9)))
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
}
