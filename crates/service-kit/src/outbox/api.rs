//! POST /outbox/redrive.

use warp::reply::Response;
use warp::{Filter, Reply};

use super::{Outbox, OutboxDocument};
use crate::http::{Problem, Routes, accepted, no_query, post};

/// The path, for the templates of a service that has an outbox.
pub const REDRIVE: &str = "/outbox/redrive";

/// POST /outbox/redrive: a 202 with the backlog that there is, which the relay then publishes; GET /health says what comes of it.
/// A 503 while the store is away.
pub fn route<T: OutboxDocument>(outbox: Outbox<T>) -> Routes {
    warp::path!("outbox" / "redrive")
        .and(post())
        .and(no_query())
        .then(move |query| {
            let outbox = outbox.clone();
            async move {
                redrive(&outbox, query)
                    .await
                    .unwrap_or_else(Reply::into_response)
            }
        })
        .boxed()
}

async fn redrive<T: OutboxDocument>(
    outbox: &Outbox<T>,
    query: Result<(), Problem>,
) -> Result<Response, Problem> {
    query?;
    Ok(accepted("/health", &outbox.redrive().await?))
}
