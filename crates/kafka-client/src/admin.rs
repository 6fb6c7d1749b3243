//! The administrator: topics, groups, offsets, configurations.
//!
//! Every call is bounded by [`ClientConfig::request_timeout`](crate::ClientConfig::request_timeout) as a whole (and each of its requests by two thirds of it), finds the broker that is responsible (controller,
//! group coordinator, partition leader) and tries again what [`Remedy`](crate::Remedy) says may succeed. A call returns an error if it came
//! to nothing; where it is about several things, each of them has a result of its own.

mod answers;
mod attempts;
mod cluster;
mod configs;
mod group_offsets;
mod groups;
mod lag;
mod offsets;
mod records;
mod resets;
mod topics;

use std::time::Duration;

use kafka_wire::{ApiRequest, ResponseError, StrBytes};

pub use cluster::ClusterDescription;
pub use configs::{ConfigEntry, ConfigOp, ConfigResource};
pub use group_offsets::CommittedOffset;
pub use groups::{GroupDescription, GroupListing, GroupMember};
pub use lag::LagRow;
pub use offsets::{ListedOffset, OffsetAt};
pub use resets::{OffsetsReset, PlannedOffset, ResetError, ResetTo};
pub use topics::{Ensured, NewTopic, TopicListing};

use crate::client::Client;
use crate::cluster::{Cluster, Purpose};
use crate::error::ClientError;

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
    /// The bound on one request: less than on the call, so that a connection that fell silent is noticed, closed, and another tried.
    fn request_bound(&self) -> Duration {
        self.cluster.config().request_timeout * 2 / 3
    }

    /// The broker's share of a request's time: it gives up before we do.
    fn timeout_ms(&self) -> i32 {
        i32::try_from((self.request_bound() * 9 / 10).as_millis()).unwrap_or(i32::MAX)
    }

    /// Asks whichever broker answers.
    async fn ask_any<R: ApiRequest>(&self, request: R) -> Result<R::Response, ClientError> {
        self.cluster
            .request_any_within(request, self.request_bound())
            .await
    }

    /// Asks a broker, which is looked for in new metadata if the present does not name it.
    async fn ask_broker<R: ApiRequest>(
        &self,
        node: i32,
        request: R,
    ) -> Result<R::Response, ClientError> {
        if !self.cluster.metadata().brokers.contains_key(&node) {
            self.cluster.refresh(self.patience().deadline).await?;
        }
        self.cluster
            .request_to_within(node, Purpose::General, request, self.request_bound())
            .await
    }

    /// Asks the controller, as far as one is known; others pass on to it what they may (KIP-590).
    async fn ask_controller<R: ApiRequest>(&self, request: R) -> Result<R::Response, ClientError> {
        let mut metadata = self.cluster.metadata();
        if metadata.controller.is_none() {
            metadata = self.cluster.refresh(self.patience().deadline).await?;
        }
        match metadata.controller {
            Some(node) => self.ask_broker(node, request).await,
            None => self.ask_any(request).await,
        }
    }

    /// Asks the group's coordinator, which is looked for anew each time: it may have moved since the last.
    async fn ask_coordinator<R: ApiRequest>(
        &self,
        group: &str,
        request: R,
    ) -> Result<R::Response, ClientError> {
        let node = self
            .cluster
            .find_coordinator(group, self.request_bound())
            .await?;
        self.ask_broker(node, request).await
    }

    /// The ids of all brokers.
    async fn brokers(&self) -> Result<Vec<i32>, ClientError> {
        let metadata = self.cluster.refresh(self.patience().deadline).await?;
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

fn text(s: &str) -> StrBytes {
    StrBytes::from_string(s.to_owned())
}
