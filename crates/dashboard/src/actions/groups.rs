//! Consumer groups: pausing and resuming what a member of one reads. Their offsets are set in [`reset`](super::reset).

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use kafka_client::TopicPartition;
use serde::Deserialize;
use service_kit::http::client::BaseUrl;
use service_kit::http::{BODY_LIMIT, Problem, Routes, Segment, first_of, json_body};
use warp::Filter;
use warp::http::StatusCode;
use warp::reply::Response;

use super::{Deeds, Nothing, allowed, done, told};
use crate::api::passed_on;
use crate::services::{Services, not_answered};

/// How long an instance is waited for.
const INSTANCE: Duration = Duration::from_secs(2);

pub(super) fn routes(deeds: Deeds) -> Routes {
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
    first_of([pause, resume])
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
    fn a_topic_can_stand_in_a_path() {
        assert_eq!(encoded("order_placed.v-1"), "order_placed.v-1");
        assert_eq!(encoded("a/b ß"), "a%2Fb%20%C3%9F");
    }
}
