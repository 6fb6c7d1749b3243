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
/// How long it goes on while nobody watches.
const UNWATCHED: Duration = Duration::from_secs(60);
/// How often it is asked whether somebody does.
const LOOK: Duration = Duration::from_secs(1);
/// What is told of one that has stopped for that.
const NOBODY_WATCHED: &str = "it stopped by itself: nobody had watched for a minute";
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
    pace: watch::Sender<Pace>,
    counts: Arc<Counts>,
}

/// What it is to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Pace {
    /// Orders a second.
    rate: u32,
    /// Why there are none, where nobody told it so.
    stopped: Option<&'static str>,
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
    /// So many orders a second from now on; 0: none. What goes on at that rate already is left alone.
    pub(crate) fn set(&self, rate: u32) {
        self.go_on_at(Pace {
            rate: rate.min(FASTEST),
            stopped: None,
        });
    }

    fn go_on_at(&self, wanted: Pace) {
        self.pace.send_if_modified(|pace| {
            let differs = *pace != wanted;
            *pace = wanted;
            differs
        });
    }

    pub(crate) fn told(&self) -> Load {
        let pace = *self.pace.borrow();
        Load {
            rate: pace.rate,
            placed: self.counts.placed.load(Ordering::Relaxed),
            failed: self.counts.failed.load(Ordering::Relaxed),
            stopped: pace.stopped.map(str::to_owned),
        }
    }
}

impl Generator {
    /// One that rests.
    pub(crate) fn new(services: Arc<Services>) -> (Self, LoadHandle) {
        let handle = LoadHandle {
            pace: watch::channel(Pace::default()).0,
            counts: Arc::default(),
        };
        let generator = Self {
            services,
            handle: handle.clone(),
        };
        (generator, handle)
    }

    /// Does as it is told, until `stop`; and places no more orders once `is_watched` has said for a minute that nobody watches.
    pub(crate) async fn run(self, is_watched: impl Fn() -> bool, stop: CancellationToken) {
        let mut pace = self.handle.pace.subscribe();
        let changes = async {
            loop {
                let wanted = pace.borrow_and_update().rate;
                // Those of the rate before are dropped, and with them what they had under way.
                let mut workers = JoinSet::new();
                if wanted > 0 {
                    self.start(wanted, &mut workers);
                }
                tokio::select! {
                    changed = pace.changed() => if changed.is_err() {
                        return;
                    },
                    () = unwatched(&is_watched), if wanted > 0 => {
                        tracing::info!(rate = wanted, "places no more orders: nobody watches");
                        self.handle.go_on_at(Pace {
                            rate: 0,
                            stopped: Some(NOBODY_WATCHED),
                        });
                    }
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

/// Returns once nobody has watched for [`UNWATCHED`].
async fn unwatched(is_watched: &impl Fn() -> bool) {
    let mut last = Instant::now();
    let mut ticks = tokio::time::interval(LOOK);
    while last.elapsed() < UNWATCHED {
        ticks.tick().await;
        if is_watched() {
            last = Instant::now();
        }
    }
}

/// Looks at the stock once in a while, and has large lots delivered of what will run out.
async fn keep_stocked(services: Arc<Services>, stock: Arc<Mutex<Arc<[Stocked]>>>, rate: u64) {
    let low = rate * LOW;
    let mut refused = None;
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
            match delivered {
                Ok(answer) if answer.status.is_success() => refused = None,
                // Said once and not every second.
                Ok(answer) if refused != Some(answer.status) => {
                    refused = Some(answer.status);
                    let (product, status) = (&product.product_id, answer.status.as_u16());
                    tracing::warn!(%product, status, "a delivery was refused");
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "a delivery was not made"),
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::build::ServiceUrls;

    fn nowhere() -> ServiceUrls {
        let url = || BaseUrl::local(1);
        ServiceUrls {
            order: url(),
            payment: url(),
            inventory: url(),
            shipment: url(),
            notification: url(),
        }
    }

    /// A generator that runs beside services that are not there, and whether somebody watches.
    fn running() -> (LoadHandle, Arc<AtomicBool>) {
        let services = Services::new(&nowhere(), None);
        let (generator, handle) = Generator::new(Arc::new(services));
        let watched = Arc::new(AtomicBool::new(true));
        let is_watched = Arc::clone(&watched);
        let running = generator.run(
            move || is_watched.load(Ordering::Relaxed),
            CancellationToken::new(),
        );
        tokio::spawn(running);
        (handle, watched)
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_a_minute_after_the_last_watcher_left_and_says_so() {
        let (handle, watched) = running();
        handle.set(1);
        tokio::time::advance(UNWATCHED * 3).await;
        assert_eq!((handle.told().rate, handle.told().stopped), (1, None));
        watched.store(false, Ordering::Relaxed);
        let mut pace = handle.pace.subscribe();
        pace.wait_for(|pace| pace.rate == 0).await.unwrap();
        assert_eq!(handle.told().stopped.as_deref(), Some(NOBODY_WATCHED));
        handle.set(2);
        assert_eq!((handle.told().rate, handle.told().stopped), (2, None));
    }

    #[tokio::test]
    async fn what_goes_on_already_is_not_begun_anew() {
        let services = Services::new(&nowhere(), None);
        let (_generator, handle) = Generator::new(Arc::new(services));
        let mut pace = handle.pace.subscribe();
        handle.set(5);
        assert!(pace.has_changed().unwrap());
        pace.mark_unchanged();
        handle.set(5);
        assert!(!pace.has_changed().unwrap());
        handle.set(6);
        assert!(pace.has_changed().unwrap());
    }
}
