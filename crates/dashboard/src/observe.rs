//! Looks at everything twice a second while somebody watches, and rests otherwise.

mod cluster;
mod groups;
mod history;
mod instances;
mod rates;
mod rebalances;
mod topics;

use std::sync::Arc;
use std::time::Duration;

use contracts::names;
use kafka_client::{Admin, Client};
use parking_lot::Mutex;
use service_kit::clock::{Clock, SystemClock};
use service_kit::http::Problem;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::controls::Controls;
use crate::load::LoadHandle;
use crate::services::Services;
use crate::snapshot::{Can, Kafka, KafkaState, Snapshot};
use crate::tail::{MOST_READERS, Tails};
use cluster::Seen;
use history::History;
use instances::Shop;
use rates::Rates;
use rebalances::Rebalances;

/// How often it looks.
const TICK: Duration = Duration::from_millis(500);
/// How long a part of a look may take.
const PATIENCE: Duration = Duration::from_millis(1_000);
/// The most who watch at the same time.
pub(crate) const MOST_WATCHERS: usize = 64;
/// How long a watcher waits for a look that differs before it says that there was none.
const QUIET: Duration = Duration::from_secs(1);
/// After how long without the end of a look nothing is known of the present: far longer than a look takes where all is away.
const STALE_MS: i64 = 5_000;
/// For how long it goes on looking after somebody has asked once, or has left: a page that is loaded anew is gone for a moment.
const ASKED: Duration = Duration::from_secs(5);
/// How long somebody who asks once waits for the first look.
const FIRST_LOOK: Duration = Duration::from_secs(3);

/// What is looked at.
#[derive(Debug)]
pub(crate) struct Sources {
    /// A client that waits little.
    pub(crate) client: Client,
    pub(crate) services: Arc<Services>,
    pub(crate) controls: Option<Arc<dyn Controls>>,
    pub(crate) embedded: bool,
    pub(crate) can: Can,
    pub(crate) load: LoadHandle,
}

/// What a look found, for all who watch.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    /// When, in milliseconds since 1970.
    at: i64,
    /// Without its time.
    pub(crate) timeless: Arc<Snapshot>,
    /// As one line of JSON.
    pub(crate) line: Arc<str>,
}

type Latest = Option<Look>;

/// Where looks are to be had.
#[derive(Debug, Clone)]
pub(crate) struct Watching {
    latest: watch::Receiver<Latest>,
    history: Arc<Mutex<History>>,
    interest: Arc<Interest>,
}

/// Whether anybody wants to know.
#[derive(Debug)]
struct Interest {
    free: Arc<Semaphore>,
    asked: Mutex<Option<Instant>>,
    begun: Notify,
}

/// One who watches. The first look is there at once, or soon; each later one once it differs.
#[derive(Debug)]
pub(crate) struct Watcher {
    latest: watch::Receiver<Latest>,
    history: Arc<Mutex<History>>,
    interest: Arc<Interest>,
    has_first: bool,
    _place: OwnedSemaphorePermit,
}

/// What a watcher is told.
#[derive(Debug)]
pub(crate) enum Watched {
    /// The first look, and how far the groups were behind until then, as one line of JSON.
    First(Look, String),
    /// A look that differs from the one before.
    Changed(Look),
    /// For a second nothing was different; this is when that was, in milliseconds since 1970.
    Same(i64),
}

impl Interest {
    fn is_there(&self) -> bool {
        let asked = *self.asked.lock();
        self.free.available_permits() < MOST_WATCHERS
            || asked.is_some_and(|asked| asked.elapsed() < ASKED)
    }
}

impl Watching {
    /// One more who watches, or a 503 where there are as many as may be.
    pub(crate) fn watch(&self) -> Result<Watcher, Problem> {
        let place = Arc::clone(&self.interest.free).try_acquire_owned();
        let place = place.map_err(|_| {
            Problem::unavailable(format!("{MOST_WATCHERS} watch already, and no more may"))
        })?;
        self.interest.begun.notify_one();
        Ok(Watcher {
            latest: self.latest.clone(),
            history: Arc::clone(&self.history),
            interest: Arc::clone(&self.interest),
            has_first: false,
            _place: place,
        })
    }

    /// Whether somebody watches, or has asked within the last 5 s.
    pub(crate) fn is_watched(&self) -> bool {
        self.interest.is_there()
    }

    /// The last look; where nobody has been watching, the first one that is made now. A 503 when it is not made in 3 s.
    pub(crate) async fn once(&self) -> Result<Arc<str>, Problem> {
        *self.interest.asked.lock() = Some(Instant::now());
        self.interest.begun.notify_one();
        let mut latest = self.latest.clone();
        let first = tokio::time::timeout(FIRST_LOOK, latest.wait_for(Option::is_some)).await;
        let look = first.ok().and_then(|look| look.ok()?.clone());
        look.map(|look| look.line)
            .ok_or_else(|| Problem::unavailable("nothing was seen yet, try again"))
    }
}

impl Watcher {
    /// What there is to tell next; none when the dashboard stops. May be dropped: what was not told is told by the next call.
    pub(crate) async fn next(&mut self) -> Option<Watched> {
        loop {
            if self.has_first {
                match tokio::time::timeout(QUIET, self.latest.changed()).await {
                    Ok(changed) => changed.ok()?,
                    Err(_) => {
                        let seen = self.latest.borrow().as_ref().map(|look| look.at);
                        if let Some(seen) = seen {
                            return Some(Watched::Same(known_at(seen)));
                        }
                        continue;
                    }
                }
            }
            let look = self.latest.borrow_and_update().clone();
            match look {
                Some(look) if self.has_first => return Some(Watched::Changed(look)),
                Some(look) => {
                    self.has_first = true;
                    return Some(Watched::First(look, self.history.lock().line()));
                }
                None if self.has_first => {}
                None => self.latest.changed().await.ok()?,
            }
        }
    }
}

/// The time of which what was seen is known to be true: now, unless no look has come to an end for long.
fn known_at(seen: i64) -> i64 {
    let now = SystemClock.now().millis();
    if now - seen < STALE_MS { now } else { seen }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        *self.interest.asked.lock() = Some(Instant::now());
    }
}

/// The one task that looks.
#[derive(Debug)]
pub(crate) struct Observer {
    sources: Sources,
    admin: Admin,
    interest: Arc<Interest>,
    /// Ends with the observer, and with it everyone's watching.
    latest: watch::Sender<Latest>,
    history: Arc<Mutex<History>>,
    seen: Seen,
    rates: Rates,
    rebalances: Rebalances,
    tails: Tails,
    shop: Shop,
}

impl Observer {
    pub(crate) fn new(sources: Sources) -> (Self, Watching) {
        let (latest, watched) = watch::channel(None);
        let interest = Arc::new(Interest {
            free: Arc::new(Semaphore::new(MOST_WATCHERS)),
            asked: Mutex::default(),
            begun: Notify::new(),
        });
        let history: Arc<Mutex<History>> = Arc::default();
        let observer = Self {
            admin: sources.client.admin(),
            interest: Arc::clone(&interest),
            latest,
            history: Arc::clone(&history),
            seen: Seen::default(),
            rates: Rates::default(),
            rebalances: Rebalances::default(),
            tails: Tails::new(sources.client.clone()),
            shop: Shop::default(),
            sources,
        };
        let watching = Watching {
            latest: watched,
            history,
            interest,
        };
        (observer, watching)
    }

    /// Looks whenever somebody watches, until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        // In a box, since it is large.
        stop.run_until_cancelled(Box::pin(self.look_for_ever()))
            .await;
    }

    async fn look_for_ever(&mut self) {
        loop {
            while !self.interest.is_there() {
                self.interest.begun.notified().await;
            }
            let mut ticks = tokio::time::interval(TICK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while self.interest.is_there() {
                ticks.tick().await;
                let snapshot = self.look().await;
                self.tell(snapshot);
            }
            self.tails.rest();
            self.rebalances.rest();
            self.history.lock().rest();
            self.rates = Rates::default();
            // What was seen before the rest is old: whoever comes next waits for a look.
            self.latest.send_replace(None);
        }
    }

    fn tell(&self, mut snapshot: Snapshot) {
        let line = match serde_json::to_string(&snapshot) {
            Ok(line) => Arc::from(line),
            Err(error) => {
                tracing::error!(%error, "a snapshot cannot be written");
                return;
            }
        };
        // That time has gone by makes no difference.
        let at = std::mem::take(&mut snapshot.at);
        self.latest.send_if_modified(|latest| {
            let differs = latest.as_ref().is_none_or(|it| *it.timeless != snapshot);
            *latest = Some(Look {
                at,
                timeless: Arc::new(snapshot),
                line,
            });
            differs
        });
    }

    /// One look: the cluster and the services at the same time, each within [`PATIENCE`].
    async fn look(&mut self) -> Snapshot {
        let (cluster, ()) = tokio::join!(
            cluster::look(&self.admin, &self.seen),
            self.shop.look(&self.sources.services)
        );
        let at = SystemClock.now().millis();
        let trouble = self.seen.take(cluster);
        if self.seen.is_up {
            self.tails.follow(&self.seen.extents());
        }
        let members = self.shop.members();
        let groups = groups::told(&self.seen, &members);
        let services = self.shop.services();
        self.rebalances.see(at, &groups, &services);
        self.history.lock().see(at, &groups);
        self.rates.see(Instant::now(), &self.seen.topics);
        Snapshot {
            at,
            kafka: self.kafka(trouble),
            topics: topics::told(&self.seen.topics, &self.rates, &self.tails),
            dead_letters: topics::dead_letters(&self.seen.topics, &groups),
            groups,
            services,
            stock: self.shop.stock.clone(),
            orders: self.shop.orders.clone(),
            rebalances: self.rebalances.told(),
            load: self.sources.load.told(),
            can: self.sources.can,
        }
    }

    fn kafka(&self, trouble: Option<String>) -> Kafka {
        let config = self.sources.client.config();
        let running = self.sources.controls.as_ref().and_then(|c| c.broker());
        Kafka {
            state: if self.seen.is_up {
                KafkaState::Up
            } else {
                KafkaState::Away
            },
            error: trouble,
            embedded: self.sources.embedded,
            running,
            bootstrap_servers: config.bootstrap_servers.join(","),
            brokers: self.seen.brokers.clone(),
            controller: self.seen.controller,
        }
    }
}

/// Whether a topic is one of the pipeline's.
fn is_of_pipeline(topic: &str) -> bool {
    names::TOPICS.contains(&topic)
}
