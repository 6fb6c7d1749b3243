//! The paths that are read: the page, what it shows, and what it asks for besides.

use std::sync::Arc;
use std::time::Duration;

use contracts::names;
use kafka_client::Client;
use service_kit::http::{Problem, Query, Routes, Segment, first_of, get, no_query, query};
use tokio::sync::{Semaphore, SemaphorePermit};
use warp::http::HeaderValue;
use warp::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use warp::reply::Response;
use warp::{Filter, Reply};

use crate::observe::Watching;
use crate::services::{Services, not_answered};
use crate::{assets, journey, records, stream};

/// The paths that are answered here.
pub(crate) const TEMPLATES: [&str; 8] = [
    "/health",
    "/metrics",
    "/api/stream",
    "/api/snapshot",
    "/api/records",
    "/api/orders",
    "/api/orders/{id}",
    "/{file}",
];
/// The most requests that read logs at the same time: each has a reader of its own for each topic, and some MiB on the way.
const MOST_READINGS: usize = 16;
/// How long order-service is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
/// Orders of a list that does not say how many.
const DEFAULT: usize = 30;
/// The most of a list.
const MOST: usize = 500;

/// What the paths are answered from.
#[derive(Debug, Clone)]
pub(crate) struct Reads {
    watching: Watching,
    client: Client,
    services: Arc<Services>,
    readings: Arc<Semaphore>,
}

impl Reads {
    pub(crate) fn new(watching: Watching, client: Client, services: Arc<Services>) -> Self {
        Self {
            watching,
            client,
            services,
            readings: Arc::new(Semaphore::new(MOST_READINGS)),
        }
    }

    /// A place among those who read logs, or a 503 where there are as many as may be.
    fn reading(&self) -> Result<SemaphorePermit<'_>, Problem> {
        self.readings
            .try_acquire()
            .map_err(|_| Problem::unavailable("as many read as may at the same time, try again"))
    }
}

pub(crate) fn routes(reads: Reads) -> Routes {
    let with = warp::any().map(move || reads.clone());
    let stream = warp::path!("api" / "stream")
        .and(get())
        .and(no_query())
        .and(with.clone())
        .map(|query: Result<(), Problem>, reads: Reads| {
            told(query.and_then(|()| stream::reply(&reads.watching)))
        });
    let snapshot = warp::path!("api" / "snapshot")
        .and(get())
        .and(no_query())
        .and(with.clone())
        .then(|query, reads: Reads| async move { told(snapshot(query, &reads).await) });
    let records = warp::path!("api" / "records")
        .and(get())
        .and(query(&records::PARAMETERS))
        .and(with.clone())
        .then(|query: Result<Query, Problem>, reads: Reads| async move {
            told(records(query, &reads).await)
        });
    let orders = warp::path!("api" / "orders")
        .and(get())
        .and(query(&["limit"]))
        .and(with.clone())
        .then(|query, reads: Reads| async move { told(orders(query, &reads).await) });
    let order = warp::path!("api" / "orders" / Segment)
        .and(get())
        .and(no_query())
        .and(with)
        .then(
            |id: Segment, query, reads: Reads| async move { told(order(&id, query, &reads).await) },
        );
    first_of([
        stream.boxed(),
        snapshot.boxed(),
        records.boxed(),
        orders.boxed(),
        order.boxed(),
        assets::routes(),
    ])
}

/// What is answered, be it a problem.
pub(crate) fn told(outcome: Result<Response, Problem>) -> Response {
    outcome.unwrap_or_else(Reply::into_response)
}

async fn snapshot(query: Result<(), Problem>, reads: &Reads) -> Result<Response, Problem> {
    query?;
    let line = reads.watching.once().await?;
    let mut response = Response::new(line.to_string().into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

async fn records(query: Result<Query, Problem>, reads: &Reads) -> Result<Response, Problem> {
    let query = query?;
    let _place = reads.reading()?;
    // In a box, since it is large.
    Box::pin(records::page(&reads.client, &query)).await
}

async fn order(id: &str, query: Result<(), Problem>, reads: &Reads) -> Result<Response, Problem> {
    query?;
    let _place = reads.reading()?;
    journey::journey(&reads.client, &reads.services, id).await
}

/// The newest orders as order-service lists them.
async fn orders(query: Result<Query, Problem>, reads: &Reads) -> Result<Response, Problem> {
    let limit = records::limit(&query?, DEFAULT, MOST)?;
    let base = reads.services.url_of(names::ORDER_SERVICE)?;
    let path = format!("/orders?order=desc&limit={limit}");
    let answer = reads.services.get(&base, &path, PATIENCE).await;
    Ok(passed_on(answer.map_err(|error| not_answered(&error))?))
}

/// An answer of a service, as it came.
pub(crate) fn passed_on(answer: service_kit::http::client::Answer) -> Response {
    use warp::http::header::{LOCATION, RETRY_AFTER};
    let mut response = Response::new(answer.body.into());
    *response.status_mut() = answer.status;
    for name in [CONTENT_TYPE, LOCATION, RETRY_AFTER] {
        if let Some(value) = answer.headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}
