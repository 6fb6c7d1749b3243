//! The paths that do something. Each needs JSON, and what [`guard`] wants besides.

mod broker;
mod groups;
pub(crate) mod guard;
mod letters;
mod reset;
mod shop;

use std::sync::Arc;

use kafka_client::{Client, Producer};
use serde::{Deserialize, Serialize};
use serde_json::json;
use service_kit::http::{Problem, Routes, first_of, no_query, ok, post};
use warp::http::header::CONTENT_TYPE;
use warp::http::{HeaderMap, HeaderValue, StatusCode};
use warp::reply::Response;
use warp::{Filter, Rejection};

use crate::api::told;
use crate::controls::{ControlError, Controls};
use crate::load::LoadHandle;
use crate::services::Services;
use guard::Guard;

/// The paths that are answered here.
pub(crate) const TEMPLATES: [&str; 12] = [
    "/api/orders",
    "/api/orders/{id}/cancel",
    "/api/inventory/{product}/restock",
    "/api/load",
    "/api/poison",
    "/api/dead-letters/{topic}/redrive",
    "/api/dead-letters/{topic}/drop",
    "/api/groups/{group}/reset",
    "/api/groups/{group}/partitions/{topic}/{partition}/{action}",
    "/api/services/{service}/instances",
    "/api/instances/{instance}/{action}",
    "/api/broker/{action}",
];

/// What is needed to do something.
#[derive(Debug, Clone)]
pub(crate) struct Deeds {
    pub(crate) guard: Guard,
    pub(crate) client: Client,
    pub(crate) producer: Producer,
    pub(crate) services: Arc<Services>,
    pub(crate) controls: Option<Arc<dyn Controls>>,
    pub(crate) load: LoadHandle,
}

/// That it is done: a sentence.
#[derive(Debug, Serialize)]
struct Done {
    done: String,
}

/// The body of what needs none: an empty object.
#[derive(Debug, Deserialize)]
struct Nothing {}

pub(crate) fn routes(deeds: Deeds) -> Routes {
    first_of([
        shop::routes(deeds.clone()),
        letters::routes(deeds.clone()),
        groups::routes(deeds.clone()),
        reset::routes(deeds.clone()),
        broker::routes(deeds),
    ])
}

/// POST without query parameters: what is needed to do it, or why it may not be done. Stands behind the path.
fn allowed(
    deeds: Deeds,
) -> impl Filter<Extract = (Result<Deeds, Problem>,), Error = Rejection> + Clone {
    post()
        .and(no_query())
        .and(warp::header::headers_cloned())
        .map(move |query: Result<(), Problem>, headers: HeaderMap| {
            deeds.guard.check(&headers)?;
            query?;
            Ok(deeds.clone())
        })
}

fn done(sentence: impl Into<String>) -> Response {
    let done = sentence.into();
    tracing::info!(done, "did what the page was told");
    ok(&Done { done })
}

/// What is answered where some of it was done, or may have been. Unlike a 503 it does not say to try again.
fn unfinished(status: StatusCode, detail: &str) -> Response {
    tracing::warn!(detail, "what the page was told was not finished");
    let problem = json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": detail,
    });
    let mut response = Response::new(format!("{problem}\n").into());
    *response.status_mut() = status;
    let of_problems = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(CONTENT_TYPE, of_problems);
    response
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Unknown(_) => Self::not_found(&error),
            ControlError::Conflict(_) => Self::conflict(&error),
            ControlError::Failed(_) => {
                tracing::warn!(%error, "what the page was told was not done");
                Self::unavailable(&error)
            }
            ControlError::Late(_) => {
                tracing::warn!(%error, "it is not known whether what the page was told was done");
                Self::no_answer(&error)
            }
        }
    }
}
