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
        let address = self.address(node)?;
        Ok(self
            .shared
            .connections
            .to_broker(node, purpose, &address)
            .await?)
    }

    /// A new connection to a broker, the caller's own: nobody else's requests are on it.
    pub(crate) async fn dedicated(&self, node: i32) -> Result<Connection, ClientError> {
        let address = self.address(node)?;
        Ok(Connection::open(&address, &self.shared.config.connect_options()).await?)
    }

    fn address(&self, node: i32) -> Result<String, ClientError> {
        let metadata = self.metadata();
        let broker = metadata.brokers.get(&node);
        broker
            .map(BrokerAddress::host_port)
            .ok_or(ClientError::UnknownBroker(node))
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
        self.shared.request_any(request, within).await
    }

    /// What any broker can tell is for a while asked elsewhere than at this one, which did not answer, if that can be.
    pub(crate) fn avoid(&self, node: i32) {
        if let Some(broker) = self.metadata().brokers.get(&node) {
            self.shared.connections.avoid(&broker.host_port());
        }
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
        let port = u16::try_from(found.port).unwrap_or_default();
        let mut moved = false;
        // A broker that joined since the last refresh, or came back elsewhere, is known by this answer alone.
        self.shared.metadata.send_if_modified(|metadata| {
            let known = metadata.brokers.get(&node);
            if known.is_some_and(|b| b.host == *found.host && b.port == port) {
                return false;
            }
            moved = known.is_some();
            Arc::make_mut(metadata).learn(node, &found.host, port);
            true
        });
        if moved {
            tracing::debug!(broker = node, host = %found.host, port, "a broker is at another address");
            // Perhaps it is not the only one; and the metadata has the last word.
            self.request_refresh();
        }
        Ok(node)
    }
}

impl Shared {
    /// Sends to whichever broker answers.
    pub(super) async fn request_any<R: ApiRequest>(
        &self,
        request: R,
        within: Duration,
    ) -> Result<R::Response, ClientError> {
        let known: Vec<_> = self
            .metadata
            .borrow()
            .brokers
            .values()
            .map(BrokerAddress::host_port)
            .collect();
        let bootstrap = &self.config.bootstrap_servers;
        self.connections
            .request_any(&known, bootstrap, request, within)
            .await
    }
}

#[cfg(test)]
mod tests {
    use kafka_broker::{ApiKey, Broker, BrokerConfig, Fault, FaultAction};
    use tokio::time::Instant;

    use super::super::Metadata;
    use super::*;
    use crate::config::ClientConfig;

    const HOUR: Duration = Duration::from_secs(3_600);
    const PATIENCE: Duration = Duration::from_secs(20);

    async fn cluster(nodes: usize) -> (Broker, Cluster) {
        let broker = Broker::start(BrokerConfig::with_nodes(nodes));
        let broker = broker.await.unwrap();
        let cluster = Cluster::start(ClientConfig::new(&broker.bootstrap_servers()));
        let cluster = cluster.unwrap();
        cluster.refresh(Instant::now() + PATIENCE).await.unwrap();
        (broker, cluster)
    }

    #[tokio::test]
    async fn a_coordinator_that_came_back_at_another_address_is_found_there() {
        let (broker, cluster) = cluster(1).await;
        let now_at = broker.addr(1).unwrap();
        let formerly = |port| {
            let change = |metadata: &mut Arc<_>| {
                Metadata::learn(Arc::make_mut(metadata), 1, "127.0.0.1", port)
            };
            cluster.shared.metadata.send_modify(change);
        };
        // Nothing listens there.
        formerly(9);
        cluster.dedicated(1).await.unwrap_err();
        assert_eq!(cluster.find_coordinator("g", PATIENCE).await.unwrap(), 1);
        let connection = cluster.dedicated(1).await.unwrap();
        assert_eq!(**connection.address(), now_at.to_string());

        // A connection to the old address is not used any more.
        let general = || cluster.connection(1, Purpose::General);
        let old = general().await.unwrap();
        let other = Broker::start(BrokerConfig::default()).await.unwrap();
        formerly(other.addr(1).unwrap().port());
        let elsewhere = general().await.unwrap();
        assert_ne!(elsewhere.address(), old.address());
        cluster.find_coordinator("g", PATIENCE).await.unwrap();
        assert_eq!(general().await.unwrap().address(), old.address());
    }

    #[tokio::test]
    async fn another_broker_tells_what_one_that_asked_to_be_spared_would() {
        let (broker, cluster) = cluster(2).await;
        let throttle = Fault::new(FaultAction::Throttle(HOUR)).on(ApiKey::FindCoordinator);
        broker.faults().inject(throttle);
        let find = |within| cluster.find_coordinator("g", within);
        find(PATIENCE).await.unwrap();
        find(PATIENCE).await.unwrap();
        // Now both did, and a new connection would not spare either.
        let error = find(Duration::from_millis(50)).await.unwrap_err();
        assert!(
            matches!(
                error,
                ClientError::Wire(kafka_wire::WireError::Throttled { .. })
            ),
            "{error}"
        );
        assert_eq!(broker.inspect().requests(ApiKey::FindCoordinator), 2);
    }

    #[tokio::test]
    async fn a_broker_that_was_silent_is_asked_last() {
        let (broker, cluster) = cluster(2).await;
        let silence = Fault::new(FaultAction::NeverAnswer).on(ApiKey::FindCoordinator);
        let silence = broker.faults().inject(silence.node(1));
        let find = |within| cluster.find_coordinator("g", within);
        find(Duration::from_millis(50)).await.unwrap_err();
        find(PATIENCE).await.unwrap();
        assert_eq!(silence.hits(), 1);
        // The one that answers is the only one that does, and so it stays although it was silent to somebody else.
        cluster.avoid(2);
        broker.stop_node(1).await.unwrap();
        find(PATIENCE).await.unwrap();
    }
}
