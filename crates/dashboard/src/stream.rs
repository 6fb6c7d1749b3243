//! GET /api/stream: every look, as server-sent events.
//!
//! - `history`, first of all: how far each group was behind, second by second until then.
//! - `snapshot`: a look; each later one once it differs.
//! - `tick`: a second has gone by in which nothing was different. It says what time it is, by the clock of the snapshots.

use std::convert::Infallible;

use futures_util::{StreamExt, stream};
use service_kit::http::Problem;
use warp::Reply;
use warp::http::HeaderValue;
use warp::http::header::CACHE_CONTROL;
use warp::reply::Response;
use warp::sse::Event;

use crate::observe::{Look, Watched, Watching};

/// The stream; it ends when the dashboard stops. A 503 where as many watch as may.
pub(crate) fn reply(watching: &Watching) -> Result<Response, Problem> {
    let watcher = watching.watch()?;
    let told = stream::unfold(watcher, |mut watcher| async move {
        let events = events(watcher.next().await?);
        Some((stream::iter(events.map(Ok::<_, Infallible>)), watcher))
    });
    let mut response = warp::sse::reply(told.flatten()).into_response();
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn events(watched: Watched) -> impl Iterator<Item = Event> {
    let snapshot = |look: Look| Event::default().event("snapshot").data(&*look.line);
    let (first, second) = match watched {
        Watched::First(look, history) => {
            let history = Event::default().event("history").data(history);
            (history, Some(snapshot(look)))
        }
        Watched::Changed(look) => (snapshot(look), None),
        Watched::Same(at) => {
            let tick = format!(r#"{{"at":{at}}}"#);
            (Event::default().event("tick").data(tick), None)
        }
    };
    std::iter::once(first).chain(second)
}
