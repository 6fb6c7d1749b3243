//! Dead letters: sent back, or dropped.

use std::time::Duration;

use kafka_client::{Admin, OffsetAt, TopicPartition};
use service_kit::dead_letters::{Desk, Which};
use service_kit::http::{BODY_LIMIT, Problem, Routes, Segment, first_of, json_body};
use warp::Filter;
use warp::http::StatusCode;
use warp::reply::Response;

use super::{Deeds, allowed, done, told, unfinished};

/// How long is worked on them. What is done by then stays done.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it may take to learn how many there were, or are left.
const COUNT: Duration = Duration::from_secs(2);

pub(super) fn routes(deeds: Deeds) -> Routes {
    let redrive = warp::path!("api" / "dead-letters" / Segment / "redrive")
        .and(allowed(deeds.clone()))
        .and(json_body::<Which>(BODY_LIMIT))
        .then(
            |topic: Segment, deeds, which| async move { told(redrive(&topic, deeds, which).await) },
        );
    let drop_some =
        warp::path!("api" / "dead-letters" / Segment / "drop")
            .and(allowed(deeds))
            .and(json_body::<Which>(BODY_LIMIT))
            .then(|topic: Segment, deeds, which| async move {
                told(drop_some(&topic, deeds, which).await)
            });
    first_of([redrive.boxed(), drop_some.boxed()])
}

fn counted(count: u64) -> String {
    match count {
        1 => "1 dead letter".to_owned(),
        count => format!("{count} dead letters"),
    }
}

async fn redrive(
    topic: &str,
    deeds: Result<Deeds, Problem>,
    which: Result<Which, Problem>,
) -> Result<Response, Problem> {
    let deeds = deeds?;
    let before = which?.before()?;
    let letters = Letters::of(&deeds, topic).await;
    let desk = Desk::new(deeds.client.clone());
    let work = desk.redrive(&deeds.producer, topic, before);
    let what = |sent| format!("sent back {} of {topic}", counted(sent));
    in_time(work, what, letters.gone()).await
}

async fn drop_some(
    topic: &str,
    deeds: Result<Deeds, Problem>,
    which: Result<Which, Problem>,
) -> Result<Response, Problem> {
    let deeds = deeds?;
    let before = which?.before()?;
    let letters = Letters::of(&deeds, topic).await;
    let desk = Desk::new(deeds.client.clone());
    let work = desk.drop_letters(topic, before);
    let what = |dropped| format!("dropped {} of {topic}", counted(dropped));
    in_time(work, what, letters.gone()).await
}

/// Says what was done; or, where that takes too long, how much of it: `so_far`, if that is known.
async fn in_time<E: Into<Problem>>(
    work: impl Future<Output = Result<u64, E>>,
    what: impl Fn(u64) -> String,
    so_far: impl Future<Output = Option<u64>>,
) -> Result<Response, Problem> {
    // In a box, since it is large.
    match tokio::time::timeout(PATIENCE, Box::pin(work)).await {
        Ok(worked) => Ok(done(what(worked.map_err(Into::into)?))),
        Err(_) => {
            let detail = late(so_far.await.map(what));
            Ok(unfinished(StatusCode::GATEWAY_TIMEOUT, &detail))
        }
    }
}

fn late(done: Option<String>) -> String {
    let seconds = PATIENCE.as_secs();
    let done = done.unwrap_or_else(|| "how many it was done with is not known".to_owned());
    format!("not done within {seconds} s: {done}; the others are still there")
}

/// The letters of a topic, for counting those that have gone. They are deleted from the front, a lot at a time, once it is done with them.
struct Letters {
    admin: Admin,
    places: Vec<TopicPartition>,
    /// Offsets before the first letters at the beginning; none where that was not to be learned.
    before: Option<u64>,
}

impl Letters {
    async fn of(deeds: &Deeds, topic: &str) -> Self {
        let admin = deeds.client.admin();
        let describing = async {
            let described = admin.describe_topics(&[topic]).await.ok()?;
            let (_, described) = described.into_iter().next()?;
            Some(described.ok()?.partitions)
        };
        let partitions = tokio::time::timeout(COUNT, Box::pin(describing)).await;
        let partitions = partitions.ok().flatten().unwrap_or_default();
        let places = partitions.iter().map(|found| found.partition);
        let places = places.map(|partition| TopicPartition::new(topic, partition));
        let mut letters = Self {
            admin,
            places: places.collect(),
            before: None,
        };
        letters.before = letters.offsets_before().await;
        letters
    }

    async fn offsets_before(&self) -> Option<u64> {
        let listing = self.admin.list_offsets(&self.places, OffsetAt::Earliest);
        let listed = tokio::time::timeout(COUNT, Box::pin(listing)).await;
        let mut sum = 0;
        for (_, found) in listed.ok()?.ok()? {
            sum += u64::try_from(found.ok()?.offset?).ok()?;
        }
        Some(sum)
    }

    /// How many have gone since.
    async fn gone(&self) -> Option<u64> {
        let now = self.offsets_before().await?;
        now.checked_sub(self.before?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use warp::http::header::RETRY_AFTER;

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_is_no_promise_that_nothing_was_done() {
        let for_ever = std::future::pending::<Result<u64, Problem>>();
        let what = |sent| format!("sent back {sent} letters");
        let response = in_time(for_ever, what, async { Some(500) }).await;
        let response = response.unwrap();
        assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
        assert!(!response.headers().contains_key(RETRY_AFTER));
    }

    #[test]
    fn it_is_told_with_what_was_done_of_it() {
        let told = late(Some("sent back 500 letters".to_owned()));
        let expected = "not done within 30 s: sent back 500 letters; the others are still there";
        assert_eq!(told, expected);
    }
}
