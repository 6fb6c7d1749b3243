//! Dead letters: sent back, or dropped.

use std::time::Duration;

use service_kit::dead_letters::{Desk, Which};
use service_kit::http::{BODY_LIMIT, Problem, Routes, Segment, first_of, json_body};
use warp::Filter;
use warp::reply::Response;

use super::{Deeds, allowed, done, told};

/// How long is worked on them. What is done by then stays done.
const PATIENCE: Duration = Duration::from_secs(30);

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

async fn redrive(
    topic: &str,
    deeds: Result<Deeds, Problem>,
    which: Result<Which, Problem>,
) -> Result<Response, Problem> {
    let deeds = deeds?;
    let before = which?.before()?;
    let desk = Desk::new(deeds.client.clone());
    let work = desk.redrive(&deeds.producer, topic, before);
    let sent = in_time(work).await?;
    Ok(done(format!("sent back {sent} dead letters of {topic}")))
}

async fn drop_some(
    topic: &str,
    deeds: Result<Deeds, Problem>,
    which: Result<Which, Problem>,
) -> Result<Response, Problem> {
    let deeds = deeds?;
    let before = which?.before()?;
    let desk = Desk::new(deeds.client.clone());
    let dropped = in_time(desk.drop_letters(topic, before)).await?;
    Ok(done(format!("dropped {dropped} dead letters of {topic}")))
}

async fn in_time<E: Into<Problem>>(
    work: impl Future<Output = Result<u64, E>>,
) -> Result<u64, Problem> {
    // In a box, since it is large.
    match tokio::time::timeout(PATIENCE, Box::pin(work)).await {
        Ok(worked) => worked.map_err(Into::into),
        Err(_) => Err(Problem::unavailable("Kafka does not answer, try again")),
    }
}
