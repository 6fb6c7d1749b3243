//! The administrator: topics, groups, offsets, configurations.
//!
//! Every call is bounded by [`ClientConfig::request_timeout`](crate::ClientConfig::request_timeout) as a whole, finds the broker that is responsible (controller,
//! group coordinator, partition leader) and tries again what [`Remedy`](crate::Remedy) says may succeed. A call returns an error if it came
//! to nothing; where it is about several things, each of them has a result of its own.

mod cluster;
mod configs;
mod groups;
mod lag;
mod offsets;
mod records;
mod topics;

use std::future::Future;

use kafka_wire::{ApiRequest, ResponseError, StrBytes};
use tokio::time::{Instant, timeout_at};

pub use cluster::ClusterDescription;
pub use configs::{ConfigEntry, ConfigOp, ConfigResource};
pub use groups::{GroupDescription, GroupListing, GroupMember};
pub use lag::LagRow;
pub use offsets::{CommittedOffset, ListedOffset, OffsetAt};
pub use topics::{Ensured, NewTopic, TopicListing};

use crate::backoff::Backoff;
use crate::client::Client;
use crate::cluster::{Cluster, Purpose};
use crate::error::{ClientError, Remedy};

/// One result for each thing that a call was about, in the order in which they were named.
pub type PerItem<K, T> = Vec<(K, Result<T, ClientError>)>;

impl Client {
    /// The administrator's view of the cluster.
    pub fn admin(&self) -> Admin {
        Admin {
            cluster: self.cluster().clone(),
        }
    }
}

/// Administers a cluster. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Admin {
    cluster: Cluster,
}

impl Admin {
    /// When a call that begins now has to be over.
    fn deadline(&self) -> Instant {
        Instant::now() + self.cluster.config().request_timeout
    }

    /// The broker's share of a call's time: it gives up before we do.
    fn timeout_ms(&self) -> i32 {
        i32::try_from((self.cluster.config().request_timeout * 9 / 10).as_millis())
            .unwrap_or(i32::MAX)
    }

    /// Makes attempts until one succeeds, fails for good, or the time is up.
    async fn attempts<T, F>(
        &self,
        what: &str,
        deadline: Instant,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let mut backoff = Backoff::default();
        let mut last = None;
        loop {
            let outcome = timeout_at(deadline, attempt()).await;
            let error = match outcome {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(error)) => error,
                Err(_) => return Err(self.too_late(what, last)),
            };
            if error.remedy() == Remedy::Fatal {
                return Err(error);
            }
            tracing::debug!(what, %error, "trying again");
            if error.remedy() == Remedy::RefreshMetadata {
                self.cluster.request_refresh();
            }
            last = Some(error.to_string());
            let next = Instant::now() + backoff.next();
            if next >= deadline {
                return Err(self.too_late(what, last));
            }
            tokio::time::sleep_until(next).await;
        }
    }

    fn too_late(&self, what: &str, last: Option<String>) -> ClientError {
        ClientError::Timeout {
            what: what.to_owned(),
            after: self.cluster.config().request_timeout,
            last,
        }
    }

    /// Asks the controller, as far as one is known; others pass on to it what they may (KIP-590).
    async fn ask_controller<R: ApiRequest>(
        &self,
        deadline: Instant,
        request: R,
    ) -> Result<R::Response, ClientError> {
        let mut metadata = self.cluster.metadata();
        if metadata.controller.is_none() {
            metadata = self.cluster.refresh(deadline).await?;
        }
        match metadata.controller {
            Some(node) => {
                self.cluster
                    .request_to(node, Purpose::General, request)
                    .await
            }
            None => self.cluster.request_any(request).await,
        }
    }

    /// Asks the group's coordinator.
    async fn ask_coordinator<R: ApiRequest>(
        &self,
        group: &str,
        request: R,
    ) -> Result<R::Response, ClientError> {
        let node = self.cluster.find_coordinator(group).await?;
        self.cluster
            .request_to(node, Purpose::General, request)
            .await
    }

    /// The ids of all brokers.
    async fn brokers(&self, deadline: Instant) -> Result<Vec<i32>, ClientError> {
        let metadata = self.cluster.refresh(deadline).await?;
        Ok(metadata.brokers.keys().copied().collect())
    }
}

/// `Err` if the code is one of an error.
fn check(
    api: &'static str,
    subject: impl Into<String>,
    code: i16,
    message: Option<&StrBytes>,
) -> Result<(), ClientError> {
    match ResponseError::try_from_code(code) {
        None => Ok(()),
        Some(code) => Err(ClientError::Broker {
            api,
            subject: subject.into(),
            code,
            message: message.filter(|m| !m.is_empty()).map(ToString::to_string),
        }),
    }
}

/// The error of something that the broker's answer does not mention.
fn unanswered(api: &'static str, subject: impl Into<String>) -> ClientError {
    ClientError::Broker {
        api,
        subject: subject.into(),
        code: ResponseError::UnknownServerError,
        message: Some("the broker's answer does not mention it".to_owned()),
    }
}

/// Whether any result calls for another attempt at the whole; returns that error.
fn first_retriable<K, T>(results: &PerItem<K, T>) -> Option<&ClientError> {
    results
        .iter()
        .filter_map(|(_, result)| result.as_ref().err())
        .find(|error| {
            // That a partition does not exist is an answer, and no reason to ask until the time is up.
            error.is_retriable() && !matches!(error, ClientError::UnknownPartition { .. })
        })
}

fn text(s: &str) -> StrBytes {
    StrBytes::from_string(s.to_owned())
}
