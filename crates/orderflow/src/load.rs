//! Puts a shop under load: posts orders, follows them to their end, and tells how it went.
//!
//! What it does is what customers do, over HTTP. It knows nothing of what is behind that, so it runs against a shop in the same
//! process and against services on other machines alike.

mod follow;
mod latency;
mod orders;
mod post;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use contracts::{OrderStatus, ProductId, Quantity, QuantityError, TextError, names};
use hyper::StatusCode;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

pub use latency::{Latency, percentile};

use crate::http::{Backoff, BaseUrl, Connection, HttpError, PATIENCE, Page, Post};
use follow::{Followed, OpenOrders, follow};
use orders::{Orders, Product};
use post::{Pace, Posted, Poster, Queue, work};

/// How long a shop that answers is waited for to have its products: one that starts listens before it has put them in.
const START: Duration = Duration::from_secs(10);

/// What is to be done.
#[derive(Debug, Clone)]
pub struct LoadSettings {
    /// Where order-service answers.
    pub order_url: BaseUrl,
    /// Where inventory-service answers.
    pub inventory_url: BaseUrl,
    /// How many orders.
    pub orders: u64,
    /// How many requests are under way at a time, at most; 0 is taken for 1.
    pub concurrency: usize,
    /// Orders a second. Then post k is due at k divided by it, and its time counts from there, also when it had to wait for a
    /// free connection. None, or what is not above 0, is as fast as the answers come.
    pub rate: Option<f64>,
    /// The same seed gives the same orders, as long as the products are the same.
    pub seed: u64,
    /// How many of a hundred orders are asked back as soon as they are accepted.
    pub cancel_percent: u8,
    /// Whether the inventory gets what the orders want of it before the first of them is posted.
    pub restock: bool,
    /// How long a request that got no answer is sent again, and how long orders are followed after the last was posted.
    pub follow_for: Duration,
}

impl LoadSettings {
    /// So many orders, 50 at a time, against the ports of this machine: seed 1, no cancellations, no delivery, followed for 60 s.
    pub fn local(orders: u64) -> Self {
        Self {
            order_url: BaseUrl::local(names::ORDER_PORT),
            inventory_url: BaseUrl::local(names::INVENTORY_PORT),
            orders,
            concurrency: 50,
            rate: None,
            seed: 1,
            cancel_percent: 0,
            restock: false,
            follow_for: Duration::from_secs(60),
        }
    }
}

/// How far a load is; for whoever watches it.
#[derive(Debug, Default)]
pub struct Progress {
    accepted: AtomicU64,
    failed: AtomicU64,
    settled: AtomicU64,
}

impl Progress {
    /// Orders that were accepted so far.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Orders that were given up so far: refused, or never answered.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Orders that are final so far.
    pub fn settled(&self) -> u64 {
        self.settled.load(Ordering::Relaxed)
    }

    fn count_accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    fn count_failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    fn count_final(&self) {
        self.settled.fetch_add(1, Ordering::Relaxed);
    }
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoadReport {
    /// The seed of the orders.
    pub seed: u64,
    /// How many orders there were to post.
    pub orders: u64,
    /// How many were accepted.
    pub accepted: u64,
    /// How many came to each final status.
    pub by_status: BTreeMap<OrderStatus, u64>,
    /// How many were accepted and had not come to an end when following ended.
    pub not_final: u64,
    /// Requests that failed for good: orders, and cancellations.
    pub failed_requests: u64,
    /// How often a request was sent again because it got no answer, or a 503.
    pub retries: u64,
    /// Cancellations that came in time to be looked at; the order may be SHIPPED all the same.
    pub cancels_accepted: u64,
    /// Cancellations that were refused because the order had ended.
    pub cancels_too_late: u64,
    /// Pieces that were delivered to the inventory before.
    pub restocked: u64,
    /// From the first POST to the last order that became final, in seconds.
    pub seconds: f64,
    /// Final orders in each of these seconds.
    pub orders_per_second: f64,
    /// From a POST, or when it was due, to its answer.
    pub post: Latency,
    /// From there to the answer that first says that the order is final.
    pub post_to_final: Latency,
    /// Why requests failed, and how often; the first ten reasons.
    pub failures: BTreeMap<String, u64>,
}

impl LoadReport {
    /// What did not go as it should, a sentence each; nothing where all orders were accepted and became final.
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        if self.accepted < self.orders {
            let refused = self.orders - self.accepted;
            complaints.push(format!(
                "{refused} of {} orders were not accepted",
                self.orders
            ));
        }
        if self.not_final > 0 {
            complaints.push(format!(
                "{} of {} accepted orders are not final",
                self.not_final, self.accepted
            ));
        }
        // Every order that was not accepted is a request that failed; the others are cancellations.
        let cancels = self.failed_requests + self.accepted;
        if cancels > self.orders {
            complaints.push(format!("{} cancellations failed", cancels - self.orders));
        }
        complaints.extend(
            self.failures
                .iter()
                .map(|(text, times)| format!("{times} times: {text}")),
        );
        complaints
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, name: &str, value: &dyn fmt::Display| {
            writeln!(f, "{name:<18} {value}")
        };
        row(f, "seed", &self.seed)?;
        row(f, "orders", &self.orders)?;
        row(f, "accepted", &self.accepted)?;
        for (status, orders) in &self.by_status {
            row(f, &format!("  {status}"), orders)?;
        }
        row(f, "not final", &self.not_final)?;
        row(f, "failed requests", &self.failed_requests)?;
        row(f, "sent again", &self.retries)?;
        if self.cancels_accepted + self.cancels_too_late > 0 {
            let told = format!(
                "{} accepted, {} too late",
                self.cancels_accepted, self.cancels_too_late
            );
            row(f, "cancellations", &told)?;
        }
        if self.restocked > 0 {
            row(f, "restocked pieces", &self.restocked)?;
        }
        let speed = format!("{:.0} in {:.2} s", self.orders_per_second, self.seconds);
        row(f, "orders/s", &speed)?;
        row(f, "POST", &self.post)?;
        row(f, "POST to final", &self.post_to_final)
    }
}

/// Why there was no load.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The inventory has nothing to order.
    #[error("the inventory has no products: there is nothing to order")]
    NoProducts,
    /// A price is so high that an order would cost more than there are numbers for.
    #[error("product {0} costs too much for an order of it")]
    TooDear(ProductId),
    /// The products cannot be read, or a delivery was refused.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// An order cannot be written as JSON.
    #[error("an order cannot be written as JSON: {0}")]
    Write(serde_json::Error),
    /// A customer or an address that is made here is none.
    #[error("an order cannot be made: a text of it {0}")]
    Text(TextError),
    /// A quantity that is made here is none.
    #[error("an order cannot be made: its quantity {0}")]
    Quantity(QuantityError),
    /// A task of the load ended by a panic.
    #[error("a task of the load failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl LoadError {
    fn text(error: TextError) -> Self {
        Self::Text(error)
    }

    fn quantity(error: QuantityError) -> Self {
        Self::Quantity(error)
    }
}

/// Whether an order of this status stays so.
pub(crate) fn is_final(status: OrderStatus) -> bool {
    match status {
        OrderStatus::Shipped
        | OrderStatus::Declined
        | OrderStatus::Refunded
        | OrderStatus::Cancelled => true,
        OrderStatus::Pending
        | OrderStatus::Paid
        | OrderStatus::Reserved
        | OrderStatus::Rejected => false,
    }
}

/// Posts the orders and follows them to their end. `progress` says meanwhile how far it is. Dropping the future ends all of it.
///
/// # Errors
///
/// [`LoadError`] where it could not begin. Requests that fail are in the report: see [`LoadReport::complaints`].
pub async fn run(
    settings: &LoadSettings,
    progress: &Arc<Progress>,
) -> Result<LoadReport, LoadError> {
    let run = format!("load-{:016x}", rand::random::<u64>());
    let products = products(&settings.inventory_url).await?;
    let orders = Orders::new(products, settings.seed, settings.cancel_percent)?;
    let restocked = match settings.restock {
        true => restock(settings, &orders, &run).await?,
        false => 0,
    };
    let open = Arc::new(OpenOrders::default());
    let start = Instant::now();
    let pace = settings.rate.filter(|rate| *rate > 0.0);
    let poster = Arc::new(Poster {
        url: settings.order_url.clone(),
        queue: Queue::new(
            orders,
            settings.orders,
            pace.map(|per_second| Pace { start, per_second }),
        ),
        run,
        patience: settings.follow_for,
        open: Arc::clone(&open),
        progress: Arc::clone(progress),
    });
    let follower = AbortOnDropHandle::new(tokio::spawn(follow(
        settings.order_url.clone(),
        Arc::clone(&open),
        Arc::clone(progress),
    )));
    let mut workers = JoinSet::new();
    let most = usize::try_from(settings.orders).unwrap_or(usize::MAX);
    for _ in 0..settings.concurrency.clamp(1, most.max(1)) {
        workers.spawn(work(Arc::clone(&poster)));
    }
    let mut posted = Posted::default();
    while let Some(worker) = workers.join_next().await {
        posted.add(worker??);
    }
    open.close(Instant::now() + settings.follow_for);
    let followed = follower.await?;
    let not_final = open.len() as u64;
    Ok(report(
        settings,
        start,
        posted,
        followed,
        (not_final, restocked),
    ))
}

fn report(
    settings: &LoadSettings,
    start: Instant,
    mut posted: Posted,
    mut followed: Followed,
    (not_final, restocked): (u64, u64),
) -> LoadReport {
    let seconds = followed
        .last
        .map_or(0.0, |last| last.duration_since(start).as_secs_f64());
    let finals = followed.latencies.len() as f64;
    if let Some(error) = followed.error {
        *posted.failures.entry(error.to_string()).or_default() += 1;
    }
    LoadReport {
        seed: settings.seed,
        orders: settings.orders,
        accepted: posted.accepted,
        by_status: followed.by_status,
        not_final,
        failed_requests: posted.failed,
        retries: posted.retries,
        cancels_accepted: posted.cancels_accepted,
        cancels_too_late: posted.cancels_too_late,
        restocked,
        seconds,
        orders_per_second: if seconds > 0.0 { finals / seconds } else { 0.0 },
        post: Latency::of(&mut posted.latencies),
        post_to_final: Latency::of(&mut followed.latencies),
        failures: posted.failures,
    }
}

/// All products, each once.
async fn products(url: &BaseUrl) -> Result<Arc<[Product]>, LoadError> {
    let mut connection = Connection::to(url);
    let until = Instant::now() + START;
    let mut backoff = Backoff::new();
    loop {
        let outcome = all_products(&mut connection).await;
        let wait = match &outcome {
            Ok(products) => products.is_empty(),
            Err(HttpError::Connect { .. }) => false,
            Err(error) => error.may_pass(),
        };
        if !wait || !backoff.wait(until).await {
            return Ok(outcome?.into_values().collect());
        }
    }
}

async fn all_products(
    connection: &mut Connection,
) -> Result<BTreeMap<ProductId, Product>, HttpError> {
    let mut products = BTreeMap::new();
    let mut path = "/inventory?limit=500".to_owned();
    loop {
        let page: Page<Product> = connection.page(&path, PATIENCE).await?;
        products.extend(page.items.into_iter().map(|p| (p.product_id.clone(), p)));
        match page.next {
            Some(next) => path = format!("/inventory?limit=500&after={next}"),
            None => return Ok(products),
        }
    }
}

/// Delivers what the orders want, and returns how many pieces that is.
async fn restock(settings: &LoadSettings, orders: &Orders, run: &str) -> Result<u64, LoadError> {
    let mut connection = Connection::to(&settings.inventory_url);
    let until = Instant::now() + settings.follow_for;
    let mut delivered = 0;
    for (product, wanted) in orders.demand(settings.orders)? {
        let path = format!("/inventory/{product}/restock");
        let mut left = wanted;
        // A delivery has a largest size.
        while left > 0 {
            let pieces = left.min(Quantity::MAX.into());
            let key = format!("{run}-{product}-{left}");
            let post = Post {
                path: &path,
                idempotency_key: Some(&key),
                body: Some(Bytes::from(format!("{{\"quantity\":{pieces}}}"))),
            };
            let answer = connection.insist(&post, until, &mut 0).await?;
            if answer.status != StatusCode::OK {
                return Err(connection.refusal(&path, &answer).into());
            }
            left -= pieces;
            delivered += pieces;
        }
    }
    Ok(delivered)
}
