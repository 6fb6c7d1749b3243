//! The client: what a program makes once and everything else from.

use std::sync::Arc;

use crate::cluster::{Cluster, Metadata};
use crate::config::ClientConfig;
use crate::error::ClientError;

/// A view of one Kafka cluster. Cheap to clone; the last clone to go closes the connections.
///
/// Making one does no I/O: connections are opened when something asks for them, and a bootstrap server that answers late
/// is waited for by the first operation that needs it, within that operation's own bound.
#[derive(Debug, Clone)]
pub struct Client {
    cluster: Cluster,
}

impl Client {
    /// A client of the cluster that these bootstrap servers belong to.
    ///
    /// Starts the task that keeps the metadata current, so it must be called within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`ClientError::Config`] when no bootstrap server is given or one is not `host:port`.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        Ok(Self {
            cluster: Cluster::start(config)?,
        })
    }

    /// The configuration that the client was made with.
    pub fn config(&self) -> &ClientConfig {
        self.cluster.config()
    }

    /// What is known of the cluster now, without asking.
    pub fn metadata(&self) -> Arc<Metadata> {
        self.cluster.metadata()
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }
}
