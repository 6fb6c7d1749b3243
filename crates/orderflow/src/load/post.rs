//! Posting the orders: each worker has a connection and takes the next order when it is done with one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use contracts::OrderId;
use hyper::StatusCode;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::time::Instant;

use super::follow::OpenOrders;
use super::orders::{NewOrder, Orders};
use super::{LoadError, Progress};
use crate::http::{BaseUrl, Connection, HttpError, Post};

/// The most different failures that are kept by their text.
const MOST_FAILURES: usize = 10;

/// The orders that have not been posted yet, in their order.
#[derive(Debug)]
pub(crate) struct Queue {
    orders: Mutex<(Orders, u64)>,
    end: u64,
    pace: Option<Pace>,
}

/// When each order is due, where there is a rate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) start: Instant,
    pub(crate) per_second: f64,
}

impl Pace {
    fn due(&self, n: u64) -> Instant {
        self.start + Duration::from_secs_f64(n as f64 / self.per_second)
    }
}

impl Queue {
    pub(crate) fn new(orders: Orders, end: u64, pace: Option<Pace>) -> Self {
        Self {
            orders: Mutex::new((orders, 0)),
            end,
            pace,
        }
    }

    /// The next order and its number; none after the last.
    fn next(&self) -> Result<Option<(u64, NewOrder)>, LoadError> {
        let mut next = self.orders.lock();
        let n = next.1;
        if n == self.end {
            return Ok(None);
        }
        next.1 += 1;
        Ok(Some((n, next.0.next_order()?)))
    }
}

/// What all workers share.
#[derive(Debug)]
pub(crate) struct Poster {
    pub(crate) url: BaseUrl,
    pub(crate) queue: Queue,
    /// What the idempotency keys begin with: no two runs have the same.
    pub(crate) run: String,
    /// How long an order is posted again that got no answer.
    pub(crate) patience: Duration,
    pub(crate) open: Arc<OpenOrders>,
    pub(crate) progress: Arc<Progress>,
}

/// What became of the requests of a worker.
#[derive(Debug, Default)]
pub(crate) struct Posted {
    pub(crate) accepted: u64,
    pub(crate) failed: u64,
    pub(crate) retries: u64,
    pub(crate) cancels_accepted: u64,
    pub(crate) cancels_too_late: u64,
    pub(crate) latencies: Vec<Duration>,
    pub(crate) failures: BTreeMap<String, u64>,
}

/// What is read of the answer to an order that was accepted.
#[derive(Debug, Deserialize)]
struct Accepted {
    order_id: OrderId,
}

impl Posted {
    pub(crate) fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.failed += other.failed;
        self.retries += other.retries;
        self.cancels_accepted += other.cancels_accepted;
        self.cancels_too_late += other.cancels_too_late;
        self.latencies.extend(other.latencies);
        for (text, times) in other.failures {
            self.note(text, times);
        }
    }

    fn failed(&mut self, error: &HttpError) {
        self.failed += 1;
        self.note(error.to_string(), 1);
    }

    fn note(&mut self, text: String, times: u64) {
        if self.failures.len() < MOST_FAILURES || self.failures.contains_key(&text) {
            *self.failures.entry(text).or_default() += times;
        }
    }
}

/// Posts orders until there are no more.
///
/// # Errors
///
/// [`LoadError`] where an order cannot be made or written; a request that fails is counted instead.
pub(crate) async fn work(poster: Arc<Poster>) -> Result<Posted, LoadError> {
    let mut connection = Connection::to(&poster.url);
    let mut posted = Posted::default();
    while let Some((n, order)) = poster.queue.next()? {
        // With a rate, an order's time counts from when it was due: whatever held it up here, a customer would have waited for.
        let begun = match &poster.queue.pace {
            Some(pace) => pace.due(n),
            None => Instant::now(),
        };
        tokio::time::sleep_until(begun).await;
        let until = Instant::now() + poster.patience;
        match place(&poster, &mut connection, &mut posted, (n, &order), until).await? {
            Ok(id) => {
                posted.latencies.push(begun.elapsed());
                posted.accepted += 1;
                poster.progress.count_accepted();
                poster.open.insert(id, begun);
                if order.cancel {
                    cancel(&mut connection, &mut posted, id, until).await;
                }
            }
            Err(error) => {
                posted.failed(&error);
                poster.progress.count_failed();
            }
        }
    }
    Ok(posted)
}

async fn place(
    poster: &Poster,
    connection: &mut Connection,
    posted: &mut Posted,
    (n, order): (u64, &NewOrder),
    until: Instant,
) -> Result<Result<OrderId, HttpError>, LoadError> {
    let key = format!("{}-{n}", poster.run);
    let post = Post {
        path: "/orders",
        idempotency_key: Some(&key),
        body: Some(Bytes::from(
            serde_json::to_vec(order).map_err(LoadError::Write)?,
        )),
    };
    let answer = connection.insist(&post, until, &mut posted.retries).await;
    Ok(answer.and_then(|answer| match answer.status {
        StatusCode::CREATED => {
            let accepted: Accepted = connection.read(post.path, &answer)?;
            Ok(accepted.order_id)
        }
        _ => Err(connection.refusal(post.path, &answer)),
    }))
}

/// Asks for an order back. That it comes too late is an answer and no failure.
async fn cancel(connection: &mut Connection, posted: &mut Posted, id: OrderId, until: Instant) {
    let path = format!("/orders/{id}/cancel");
    let post = Post {
        path: &path,
        idempotency_key: None,
        body: None,
    };
    match connection.insist(&post, until, &mut posted.retries).await {
        Ok(answer) => match answer.status {
            // OK: it was asked for before, by a request whose answer was lost.
            StatusCode::ACCEPTED | StatusCode::OK => posted.cancels_accepted += 1,
            StatusCode::CONFLICT => posted.cancels_too_late += 1,
            _ => {
                let error = connection.refusal("/orders/{id}/cancel", &answer);
                posted.failed(&error);
            }
        },
        Err(error) => posted.failed(&error),
    }
}
