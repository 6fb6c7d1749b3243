//! Requests to the brokers, each over the connection that is right for it.

use std::sync::Arc;
use std::time::Duration;

use kafka_wire::messages::FindCoordinatorRequest;
use kafka_wire::{ApiRequest, Connection, ResponseError, StrBytes};

use super::{BrokerAddress, Cluster, Purpose, Shared};
use crate::error::ClientError;

impl Cluster {
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
    /// The connection to whichever broker answers.
    pub(super) async fn any(&self) -> Result<Arc<Connection>, ClientError> {
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
