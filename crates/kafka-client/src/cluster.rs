//! What is known of the cluster, and the task that keeps it true.
//!
//! Everyone reads the same snapshot of [`Metadata`]; whoever finds it wrong asks for a refresh, and however many ask at
//! once, one request goes out. A refresh repeats until it succeeds, with at most a second between attempts, so a cluster
//! that comes back is found within about a second; how long to wait for that is each caller's own decision.

mod connections;
mod metadata;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use kafka_wire::messages::metadata_request::MetadataRequestTopic;
use kafka_wire::messages::{FindCoordinatorRequest, MetadataRequest, TopicName};
use kafka_wire::{ApiRequest, Connection, ResponseError, StrBytes};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use connections::Connections;
pub(crate) use connections::Purpose;
pub use metadata::{BrokerAddress, Metadata, PartitionMetadata, TopicMetadata};

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

#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// All refreshes asked for up to this count are done.
    done: u64,
    /// Those up to this count are over: the brokers and this client do not accept each other.
    refused: u64,
    /// Why, if that is how it ended last.
    pub(crate) refusal: Option<ClientError>,
    /// Why the one under way has not succeeded yet.
    last_error: Option<String>,
}

impl Progress {
    fn settled(&self) -> u64 {
        self.done.max(self.refused)
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

    /// Follows how refreshes end.
    pub(crate) fn watch_progress(&self) -> watch::Receiver<Progress> {
        self.shared.progress.subscribe()
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

    /// Asks for a refresh and does not wait for it.
    pub(crate) fn request_refresh(&self) {
        self.shared.wanted.fetch_add(1, Ordering::AcqRel);
        self.shared.wake.notify_one();
    }

    /// Asks for a refresh and waits until one that began afterwards has succeeded, at most until `deadline`. If brokers and
    /// client do not accept each other, that is the error, and it comes at once.
    pub(crate) async fn refresh(&self, deadline: Instant) -> Result<Arc<Metadata>, ClientError> {
        let mine = self.shared.wanted.fetch_add(1, Ordering::AcqRel) + 1;
        let mut progress = self.shared.progress.subscribe();
        self.shared.wake.notify_one();
        let bound = deadline.saturating_duration_since(Instant::now());
        let outcome = timeout_at(deadline, progress.wait_for(|p| p.settled() >= mine))
            .await
            .map(|settled| settled.map(|p| p.refusal.clone().filter(|_| p.done < mine)));
        match outcome {
            Ok(Ok(None)) => Ok(self.metadata()),
            Ok(Ok(Some(refusal))) => Err(refusal),
            Ok(Err(_)) => Err(ClientError::Closed),
            Err(_) => {
                let last = progress.borrow().last_error.clone();
                Err(ClientError::Unreachable {
                    bootstrap: self.shared.config.bootstrap_servers.join(","),
                    last: last.unwrap_or_else(|| format!("no answer within {bound:?}")),
                })
            }
        }
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

    /// The connection to a broker for one purpose, opened if it is not open.
    pub(crate) async fn connection(
        &self,
        node: i32,
        purpose: Purpose,
    ) -> Result<Arc<Connection>, ClientError> {
        let address = self
            .metadata()
            .brokers
            .get(&node)
            .map(BrokerAddress::host_port);
        let address = address.ok_or(ClientError::UnknownBroker(node))?;
        Ok(self
            .shared
            .connections
            .to_broker(node, purpose, &address)
            .await?)
    }

    /// A new connection to a broker, the caller's own: nobody else's requests are on it.
    pub(crate) async fn dedicated(&self, node: i32) -> Result<Connection, ClientError> {
        let address = self
            .metadata()
            .brokers
            .get(&node)
            .map(BrokerAddress::host_port);
        let address = address.ok_or(ClientError::UnknownBroker(node))?;
        Ok(Connection::open(&address, &self.shared.config.connect_options()).await?)
    }

    /// Sends to one broker. The answer has to come within the request timeout.
    pub(crate) async fn request_to<R: ApiRequest>(
        &self,
        node: i32,
        purpose: Purpose,
        request: R,
    ) -> Result<R::Response, ClientError> {
        let within = self.shared.config.request_timeout;
        self.request_to_within(node, purpose, request, within).await
    }

    pub(crate) async fn request_to_within<R: ApiRequest>(
        &self,
        node: i32,
        purpose: Purpose,
        request: R,
        within: Duration,
    ) -> Result<R::Response, ClientError> {
        let connection = self.connection(node, purpose).await?;
        Ok(connection.request_within(request, within).await?)
    }

    /// Sends to whichever broker answers. The answer has to come within the request timeout.
    pub(crate) async fn request_any<R: ApiRequest>(
        &self,
        request: R,
    ) -> Result<R::Response, ClientError> {
        let within = self.shared.config.request_timeout;
        self.request_any_within(request, within).await
    }

    pub(crate) async fn request_any_within<R: ApiRequest>(
        &self,
        request: R,
        within: Duration,
    ) -> Result<R::Response, ClientError> {
        let connection = self.shared.any().await?;
        Ok(connection.request_within(request, within).await?)
    }

    /// The broker that coordinates the group. The answer is not kept: the group's own loop remembers it.
    ///
    /// # Errors
    ///
    /// Those of the broker, most of which call for another attempt: see [`ClientError::remedy`].
    pub(crate) async fn find_coordinator(
        &self,
        group: &str,
        within: Duration,
    ) -> Result<i32, ClientError> {
        let request = FindCoordinatorRequest::default()
            .with_key(StrBytes::from_string(group.to_owned()))
            .with_key_type(0);
        let found = self.request_any_within(request, within).await?;
        if let Some(code) = ResponseError::try_from_code(found.error_code) {
            return Err(ClientError::broker(
                "FindCoordinator",
                format!("group {group}"),
                code,
            ));
        }
        let node = found.node_id.0;
        let address = BrokerAddress {
            id: node,
            host: found.host.to_string(),
            port: u16::try_from(found.port).unwrap_or_default(),
            rack: None,
        };
        // A broker that joined since the last refresh is known by this answer alone.
        self.shared.metadata.send_if_modified(|metadata| {
            if metadata.brokers.contains_key(&node) {
                return false;
            }
            Arc::make_mut(metadata).brokers.insert(node, address);
            true
        });
        Ok(node)
    }
}

impl Shared {
    async fn keep_current(&self) {
        let mut backoff = Backoff::default();
        let mut refreshed = false;
        loop {
            let asked = self.wanted.load(Ordering::Acquire);
            if self.progress.borrow().settled() >= asked {
                // Nobody has used the client yet: there is nothing to keep current.
                let age = if refreshed {
                    self.config.metadata_max_age
                } else {
                    Duration::MAX
                };
                if tokio::time::timeout(age, self.wake.notified())
                    .await
                    .is_err()
                {
                    self.wanted.fetch_add(1, Ordering::AcqRel);
                }
                continue;
            }
            match self.refresh_once().await {
                Ok(metadata) => {
                    backoff.reset();
                    refreshed = true;
                    self.metadata.send_if_modified(|current| {
                        let changed = **current != metadata;
                        if changed {
                            *current = Arc::new(metadata);
                        }
                        changed
                    });
                    self.progress.send_modify(|p| {
                        *p = Progress {
                            done: asked,
                            ..Progress::default()
                        }
                    });
                }
                // Another attempt would end the same: there is one when somebody asks again.
                Err(error) if error.is_authentication() => {
                    tracing::error!(%error, "brokers and client do not accept each other");
                    self.progress.send_modify(|p| {
                        p.refused = asked;
                        p.refusal = Some(error);
                    });
                    tokio::time::sleep(backoff.next()).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot refresh the metadata");
                    self.progress
                        .send_modify(|p| p.last_error = Some(error.to_string()));
                    tokio::time::sleep(backoff.next()).await;
                }
            }
        }
    }

    async fn refresh_once(&self) -> Result<Metadata, ClientError> {
        let topics: Vec<_> = self.topics.lock().iter().cloned().collect();
        // With all of them, those that are missing are not made, even if brokers may.
        let all = self.all_topics.load(Ordering::Acquire) > 0;
        let request = MetadataRequest::default()
            .with_topics((!all).then(|| {
                let names = topics.iter().map(|t| StrBytes::from_string(t.to_string()));
                names
                    .map(|name| MetadataRequestTopic::default().with_name(Some(TopicName(name))))
                    .collect()
            }))
            .with_allow_auto_topic_creation(self.config.allow_auto_create_topics);
        let connection = self.any().await?;
        // Bounded more tightly than other requests: a silent broker must not hide that the others answer.
        let deadline = self.config.request_timeout.min(Duration::from_secs(5));
        let response = connection.request_within(request, deadline).await?;
        let listed = response.topics.iter().filter_map(|t| t.name.as_deref());
        let listed: BTreeSet<Arc<str>> = listed.map(|name| Arc::from(&**name)).collect();
        let mut merged = Metadata::merged(&self.metadata.borrow(), response);
        if all {
            merged.forget_all_but(&listed, &topics);
        }
        Ok(merged)
    }

    async fn any(&self) -> Result<Arc<Connection>, ClientError> {
        let known: Vec<_> = self
            .metadata
            .borrow()
            .brokers
            .values()
            .map(BrokerAddress::host_port)
            .collect();
        self.connections
            .to_any(&known, &self.config.bootstrap_servers)
            .await
    }
}
