//! GET /api/stream: every look, as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use futures_util::stream;
use service_kit::http::Problem;
use warp::Reply;
use warp::http::HeaderValue;
use warp::http::header::CACHE_CONTROL;
use warp::reply::Response;
use warp::sse::{Event, keep_alive};

use crate::observe::Watching;

/// How often something is said where there is nothing to say, so that whatever lies in between keeps the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The stream; it ends when the dashboard stops. A 503 where as many watch as may.
pub(crate) fn reply(watching: &Watching) -> Result<Response, Problem> {
    let watcher = watching.watch()?;
    let events = stream::unfold(watcher, |mut watcher| async move {
        let line = watcher.next().await?.line;
        let event = Event::default().event("snapshot").data(&*line);
        Some((Ok::<_, Infallible>(event), watcher))
    });
    let kept_alive = keep_alive().interval(KEEP_ALIVE).stream(events);
    let mut response = warp::sse::reply(kept_alive).into_response();
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
