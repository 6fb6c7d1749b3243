//! What is known of the cluster, and the task that keeps it true.
//!
//! Everyone reads the same snapshot of [`Metadata`]; whoever finds it wrong asks for a refresh, and however many ask at
//! once, one request goes out. A refresh repeats until it succeeds, with at most a second between attempts, so a cluster
//! that comes back is found within about a second; how long to wait for that is each caller's own decision.

mod connections;
mod metadata;
mod refresh;
mod requests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use kafka_wire::ResponseError;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use connections::Connections;
pub(crate) use connections::Purpose;
pub use metadata::{BrokerAddress, Metadata, PartitionMetadata, TopicMetadata};
use refresh::Progress;

use crate::backoff::Backoff;
use crate::config::ClientConfig;
use crate::error::{ClientError, Remedy};

/// A partition's leader, as far as known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leader {
    pub(crate) node: i32,
    pub(crate) epoch: i32,
}

/// Handle on the shared view; the last one to go stops the refreshing task.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    shared: Arc<Shared>,
    _stop: Arc<DropGuard>,
}

#[derive(Debug)]
struct Shared {
    config: ClientConfig,
    connections: Connections,
    metadata: watch::Sender<Arc<Metadata>>,
    /// Topics that somebody uses: what a refresh asks for.
    topics: Mutex<BTreeSet<Arc<str>>>,
    /// How many want to know of all topics.
    all_topics: AtomicUsize,
    /// Refreshes asked for, and how far they are done.
    wanted: AtomicU64,
    wake: Notify,
    progress: watch::Sender<Progress>,
}

/// Somebody wants to know of all topics.
#[derive(Debug)]
pub(crate) struct AllTopics(Arc<Shared>);

impl Drop for AllTopics {
    fn drop(&mut self) {
        self.0.all_topics.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Cluster {
    pub(crate) fn start(config: ClientConfig) -> Result<Self, ClientError> {
        if config.bootstrap_servers.is_empty() {
            return Err(ClientError::Config(
                "no bootstrap server is given".to_owned(),
            ));
        }
        for server in &config.bootstrap_servers {
            if server
                .rsplit_once(':')
                .is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err())
            {
                return Err(ClientError::Config(format!(
                    "bootstrap server {server:?} is not host:port"
                )));
            }
        }
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            connections: Connections::new(config.connect_options()),
            metadata: watch::Sender::new(Arc::new(Metadata::default())),
            topics: Mutex::default(),
            all_topics: AtomicUsize::new(0),
            wanted: AtomicU64::new(0),
            wake: Notify::new(),
            progress: watch::Sender::default(),
            config,
        });
        let task = Arc::clone(&shared);
        let stopped = stop.clone();
        tokio::spawn(async move { stopped.run_until_cancelled(task.keep_current()).await });
        Ok(Self {
            shared,
            _stop: Arc::new(stop.drop_guard()),
        })
    }

    pub(crate) fn config(&self) -> &ClientConfig {
        &self.shared.config
    }

    /// The snapshot as it is.
    pub(crate) fn metadata(&self) -> Arc<Metadata> {
        Arc::clone(&self.shared.metadata.borrow())
    }

    /// Follows the snapshots as they change.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Metadata>> {
        self.shared.metadata.subscribe()
    }

    /// Adds a topic to those that refreshes ask for. Returns whether it is new.
    pub(crate) fn track(&self, topic: &str) -> bool {
        self.shared.topics.lock().insert(Arc::from(topic))
    }

    /// Has refreshes ask for all topics, for as long as this is kept.
    pub(crate) fn track_all(&self) -> AllTopics {
        self.shared.all_topics.fetch_add(1, Ordering::AcqRel);
        AllTopics(Arc::clone(&self.shared))
    }

    /// The topic's metadata, from the snapshot or, where it is not in there, from the brokers.
    ///
    /// A topic that does not exist may be in the making: it is asked for again until `deadline`.
    pub(crate) async fn topic(
        &self,
        topic: &str,
        deadline: Instant,
    ) -> Result<Arc<TopicMetadata>, ClientError> {
        self.track(topic);
        let mut backoff = Backoff::default();
        let mut metadata = self.metadata();
        loop {
            match metadata.topics.get(topic) {
                Some(found) if found.error.is_none() => return Ok(Arc::clone(found)),
                Some(found) => {
                    let code = found
                        .error
                        .unwrap_or(ResponseError::UnknownTopicOrPartition);
                    if Remedy::of(code) == Remedy::Fatal || Instant::now() >= deadline {
                        return Err(ClientError::broker("Metadata", topic, code));
                    }
                    tokio::time::sleep_until(deadline.min(Instant::now() + backoff.next())).await;
                }
                None if Instant::now() >= deadline => {
                    return Err(ClientError::broker(
                        "Metadata",
                        topic,
                        ResponseError::UnknownTopicOrPartition,
                    ));
                }
                None => {}
            }
            metadata = self.refresh(deadline).await?;
        }
    }

    /// The partition's leader in the snapshot.
    pub(crate) fn leader(&self, topic: &str, partition: i32) -> Option<Leader> {
        let metadata = self.shared.metadata.borrow();
        let found = metadata
            .topics
            .get(topic)?
            .partitions
            .get(usize::try_from(partition).ok()?)?;
        Some(Leader {
            node: found.leader?,
            epoch: found.leader_epoch,
        })
    }
}
