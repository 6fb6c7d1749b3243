//! The task that keeps the metadata true, and those who wait for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kafka_wire::StrBytes;
use kafka_wire::messages::metadata_request::MetadataRequestTopic;
use kafka_wire::messages::{MetadataRequest, TopicName};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::{Cluster, Metadata, Shared};
use crate::backoff::Backoff;
use crate::error::ClientError;

/// How far refreshes are.
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
    /// Follows how refreshes end.
    pub(crate) fn watch_progress(&self) -> watch::Receiver<Progress> {
        self.shared.progress.subscribe()
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
}

impl Shared {
    pub(super) async fn keep_current(&self) {
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
        let response = self.request_any(request, self.config.any_timeout()).await?;
        let listed = response.topics.iter().filter_map(|t| t.name.as_deref());
        let listed: BTreeSet<Arc<str>> = listed.map(|name| Arc::from(&**name)).collect();
        let mut merged = Metadata::merged(&self.metadata.borrow(), response);
        if all {
            merged.forget_all_but(&listed, &topics);
        }
        Ok(merged)
    }
}
