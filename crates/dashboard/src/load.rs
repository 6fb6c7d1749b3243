//! Places orders by itself, so many a second, and has delivered what runs out by that.

mod orders;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use contracts::names;
use parking_lot::Mutex;
use rand::RngExt;
use serde_json::json;
use service_kit::http::client::{BaseUrl, Connection, Page, Post};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use warp::http::StatusCode;

use crate::services::Services;
use crate::snapshot::Load;
use orders::{Line, Stocked};

/// The most orders a second.
pub(crate) const FASTEST: u32 = 1_000;
/// Connections on which orders are posted.
const WORKERS: usize = 16;
/// How long an order may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How far behind a worker may fall before it leaves out what is due: after a pause, no flood.
const BEHIND: Duration = Duration::from_secs(1);
/// How often the stock is looked at.
const STOCK: Duration = Duration::from_secs(1);
/// How long a worker waits after a failure: what is away comes back no sooner for being asked.
const AFTER_FAILURE: Duration = Duration::from_millis(100);
/// Products that are ordered, of those that there are.
const MOST_PRODUCTS: usize = 50;
/// Some of a product are delivered where fewer are there than an order a second may want of it in so many seconds: each wants
/// two pieces of it at most.
const LOW: u64 = 20;
/// So many times that.
const LOT: u64 = 5;

/// What others see of it, and how they tell it what to do. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct LoadHandle {
    rate: watch::Sender<u32>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    placed: AtomicU64,
    failed: AtomicU64,
}

/// What places the orders.
#[derive(Debug)]
pub(crate) struct Generator {
    services: Arc<Services>,
    handle: LoadHandle,
}

impl LoadHandle {
    /// So many orders a second from now on; 0: none.
    pub(crate) fn set(&self, rate: u32) {
        self.rate.send_replace(rate.min(FASTEST));
    }

    pub(crate) fn told(&self) -> Load {
        Load {
            rate: *self.rate.borrow(),
            placed: self.counts.placed.load(Ordering::Relaxed),
            failed: self.counts.failed.load(Ordering::Relaxed),
        }
    }
}

impl Generator {
    /// One that rests.
    pub(crate) fn new(services: Arc<Services>) -> (Self, LoadHandle) {
        let handle = LoadHandle {
            rate: watch::channel(0).0,
            counts: Arc::default(),
        };
        let generator = Self {
            services,
            handle: handle.clone(),
        };
        (generator, handle)
    }

    /// Does as it is told, until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut rate = self.handle.rate.subscribe();
        let changes = async {
            loop {
                let wanted = *rate.borrow_and_update();
                // Those of the rate before are dropped, and with them what they had under way.
                let mut workers = JoinSet::new();
                if wanted > 0 {
                    self.start(wanted, &mut workers);
                }
                if rate.changed().await.is_err() {
                    return;
                }
            }
        };
        stop.run_until_cancelled(changes).await;
    }

    fn start(&self, rate: u32, workers: &mut JoinSet<()>) {
        let stock: Arc<Mutex<Arc<[Stocked]>>> = Arc::default();
        let (services, shared) = (Arc::clone(&self.services), Arc::clone(&stock));
        workers.spawn(keep_stocked(services, shared, u64::from(rate)));
        let workers_wanted = WORKERS.min(rate as usize);
        let every = Duration::from_secs_f64(workers_wanted as f64 / f64::from(rate));
        let start = Instant::now();
        for n in 0..workers_wanted {
            let worker = Worker {
                services: Arc::clone(&self.services),
                stock: Arc::clone(&stock),
                counts: Arc::clone(&self.handle.counts),
                due: start + every.mul_f64(n as f64 / workers_wanted as f64),
                every,
                connection: None,
            };
            workers.spawn(worker.run());
        }
    }
}

/// Posts every so often, on a connection of its own.
struct Worker {
    services: Arc<Services>,
    stock: Arc<Mutex<Arc<[Stocked]>>>,
    counts: Arc<Counts>,
    due: Instant,
    every: Duration,
    connection: Option<(BaseUrl, Connection)>,
}

impl Worker {
    async fn run(mut self) {
        loop {
            tokio::time::sleep_until(self.due).await;
            self.due += self.every;
            if self.due.elapsed() > BEHIND {
                self.due = Instant::now();
            }
            let stock = Arc::clone(&self.stock.lock());
            let lines = orders::lines(&stock, &mut rand::rng());
            if lines.is_empty() {
                // Nothing is known to be there yet.
                continue;
            }
            if self.place(&lines).await.is_some() {
                self.counts.placed.fetch_add(1, Ordering::Relaxed);
            } else {
                self.counts.failed.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }

    /// Posts an order; none if it was not accepted.
    async fn place(&mut self, lines: &[Line]) -> Option<()> {
        let base = self.services.url_of(names::ORDER_SERVICE).ok()?;
        let same = self.connection.take().filter(|(to, _)| *to == base);
        let (_, connection) = self.connection.insert(same.unwrap_or_else(|| {
            let connection = Connection::to(&base);
            (base, connection)
        }));
        let customer = rand::rng().random_range(0..10_000);
        let body = orders::body(&format!("C{customer:05}"), lines)?;
        let post = Post {
            path: "/orders",
            idempotency_key: None,
            body: Some(Bytes::from(body)),
        };
        let answer = connection.post(&post, PATIENCE).await.ok()?;
        (answer.status == StatusCode::CREATED).then_some(())
    }
}

/// Looks at the stock once in a while, and has large lots delivered of what will run out.
async fn keep_stocked(services: Arc<Services>, stock: Arc<Mutex<Arc<[Stocked]>>>, rate: u64) {
    let low = rate * LOW;
    let mut ticks = tokio::time::interval(STOCK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some((base, found)) = look(&services).await else {
            continue;
        };
        for product in found.iter().filter(|product| product.quantity < low) {
            let path = format!("/inventory/{}/restock", product.product_id);
            let body = Bytes::from(json!({ "quantity": low * LOT }).to_string());
            let delivered = services
                .post(&base, &path, None, Some(body), PATIENCE)
                .await;
            if let Err(error) = delivered {
                tracing::debug!(%error, "a delivery was not made");
            }
        }
        *stock.lock() = found.into();
    }
}

async fn look(services: &Services) -> Option<(BaseUrl, Vec<Stocked>)> {
    let base = services.url_of(names::INVENTORY_SERVICE).ok()?;
    let path = format!("/inventory?limit={MOST_PRODUCTS}");
    let answer = services.get(&base, &path, PATIENCE).await.ok()?;
    let page: Page<Stocked> = serde_json::from_slice(&answer.body).ok()?;
    Some((base, page.items))
}
