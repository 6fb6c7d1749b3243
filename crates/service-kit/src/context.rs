//! What a service is built on, handed to it by whoever starts it.

use std::convert::Infallible;
use std::time::Duration;

use contracts::names;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use kafka_client::{Client, ClientError, Ensured, NewTopic, Producer, ProducerConfig};
use tokio_util::sync::CancellationToken;

use crate::application::{Application, BoxError};
use crate::clock::SharedClock;
use crate::dead_letters::{self, Desk};
use crate::http::{CheckError, Health, Routes, first_of, measured, routes};
use crate::store::{Store, StoreError};
use crate::worker::{Reactions, Worker, WorkerConfig};
use crate::{member, metric, offsets};

use tokio::net::TcpListener;
use tokio::time::MissedTickBehavior;

/// How long a stopping service waits for what it has produced.
const CLOSE: Duration = Duration::from_secs(1);
/// The templates of the paths that every service has.
const TEMPLATES: [&str; 9] = [
    "/health",
    "/offsets",
    "/metrics",
    "/member",
    "/partitions/{topic}/{partition}/pause",
    "/partitions/{topic}/{partition}/resume",
    "/dead-letters",
    "/dead-letters/{topic}/redrive",
    "/dead-letters/{topic}/drop",
];
/// How often it is looked whether the topics are still there.
const TOPICS_INTERVAL: Duration = Duration::from_secs(5);
/// The first and the longest wait before a start is tried again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// The Kafka, the store and the clock of a service.
#[derive(Debug, Clone)]
pub struct Context {
    /// The Kafka cluster.
    pub client: Client,
    /// The store.
    pub store: Store,
    /// The time.
    pub clock: SharedClock,
    /// How events are worked on.
    pub worker: WorkerConfig,
}

/// Why a service could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Its collections cannot be had.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its listener has no address.
    #[error("the listener has no address: {0}")]
    Listener(#[from] std::io::Error),
}

/// A service's parts, before they are put together.
pub struct ServiceParts {
    /// The name, which is also the consumer group.
    pub name: &'static str,
    /// Its own routes.
    pub api: Routes,
    /// The templates of their paths, by which requests are counted: `/orders/{id}`.
    pub templates: &'static [&'static str],
    /// What it reacts to.
    pub reactions: Reactions,
    /// What it publishes with.
    pub producer: Producer,
    /// What it says of itself beside the store.
    pub health: Health,
}

/// What has to be done before the worker begins.
type Start = Box<dyn Fn() -> BoxFuture<'static, Result<(), StoreError>> + Send + Sync>;

impl Context {
    /// A producer for a service's events.
    pub fn producer(&self) -> Producer {
        self.client.producer(ProducerConfig::default())
    }

    /// The application of a service: its routes with GET /health, GET /offsets, GET /member, GET /metrics, /partitions and /dead-letters,
    /// and its worker, which begins once `start` has succeeded. `start` is tried until it does.
    ///
    /// # Errors
    ///
    /// [`BuildError::Listener`].
    pub fn application<S, Fut>(
        &self,
        listener: TcpListener,
        parts: ServiceParts,
        start: S,
    ) -> Result<Application, BuildError>
    where
        S: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        // Boxed here, so that the worker and the Kafka client behind it are compiled once, and not with each service.
        self.assembled(listener, parts, Box::new(move || start().boxed()))
    }

    fn assembled(
        &self,
        listener: TcpListener,
        parts: ServiceParts,
        start: Start,
    ) -> Result<Application, BuildError> {
        let ServiceParts {
            name,
            api,
            templates,
            reactions,
            producer,
            health,
        } = parts;
        metric::install();
        let topics = reactions.topics();
        let worker = Worker::new(
            self.client.clone(),
            producer.clone(),
            name,
            reactions,
            self.worker.clone(),
        );
        let health = self.health(health);
        let offsets = offsets::route(self.client.admin(), name, topics, worker.membership());
        let letters = dead_letters::routes(Desk::new(self.client.clone()), name, producer.clone());
        let instance_id = self.worker.group_instance_id.clone();
        let member = member::routes(name, instance_id, worker.membership(), worker.lanes());
        let paths = first_of([
            health.route(),
            offsets,
            letters,
            metric::route(),
            member,
            api,
        ]);
        let templates = TEMPLATES.iter().chain(templates).copied().collect();
        let routes: Routes = measured(name, templates, routes(paths));
        let client = self.client.clone();
        let work = move |stop: CancellationToken| async move {
            let started = async {
                until_done("prepare the store", &start).await;
                until_done("make the topics", || ensure_topics(&client)).await;
            };
            if stop.run_until_cancelled(started).await.is_some() {
                tokio::select! {
                    worked = worker.run(stop) => worked?,
                    never = keep_topics(&client) => match never {},
                }
            }
            Ok::<(), BoxError>(())
        };
        // Other tasks publish with it too, so it is closed after all of them.
        let close = move || async move {
            // A service that is told to stop has acknowledged what it has committed; the rest is done again.
            if let Err(error) = producer.close(CLOSE).await {
                tracing::warn!(%error, "records were left unpublished");
            }
        };
        let application = Application::build(name, listener, routes)?;
        let application = application.with_task("metrics", |stop| async move {
            metric::upkeep(stop).await;
            Ok(())
        });
        Ok(application.with_task("worker", work).with_end(close))
    }

    fn health(&self, health: Health) -> Health {
        let (store, kafka) = (self.store.clone(), self.client.admin());
        health
            .needs("store", move || {
                let store = store.clone();
                async move { store.ping().await }
            })
            // Orders are taken while Kafka is away, so it does not take the service down.
            .tells("kafka", move || {
                let kafka = kafka.clone();
                async move { kafka.describe_cluster().await.map(drop) }
            })
    }
}

impl CheckError for ClientError {}

/// Makes those of the pipeline's topics that are not there.
///
/// # Errors
///
/// [`ClientError`].
pub async fn ensure_topics(client: &Client) -> Result<(), ClientError> {
    made_topics(client).await.map(drop)
}

/// Makes topics anew that have gone: somebody deleted one, or the broker keeps them in memory and was started again. Without
/// them everything would wait for ever for what nobody else makes.
async fn keep_topics(client: &Client) -> Infallible {
    let mut ticks = tokio::time::interval(TOPICS_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        match made_topics(client).await {
            Ok(outcomes) => {
                for (topic, _) in outcomes
                    .iter()
                    .filter(|(_, made)| *made == Ensured::Created)
                {
                    tracing::warn!(topic, "a topic had gone and was made anew, empty");
                }
            }
            // The producer and the group say so, too, and louder.
            Err(error) => tracing::debug!(%error, "cannot look for the topics"),
        }
    }
}

async fn made_topics(client: &Client) -> Result<Vec<(String, Ensured)>, ClientError> {
    let topics = names::TOPICS.map(|topic| NewTopic::new(topic, names::PARTITIONS, -1));
    client.admin().ensure_topics(&topics).await
}

async fn until_done<E, F>(what: &str, step: impl Fn() -> F)
where
    E: std::fmt::Display,
    F: Future<Output = Result<(), E>>,
{
    let mut backoff = BACKOFF.0;
    while let Err(error) = step().await {
        tracing::warn!(%error, "cannot {what}, trying again");
        tokio::time::sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF.1);
    }
}
