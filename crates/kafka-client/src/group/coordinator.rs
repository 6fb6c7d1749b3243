//! The way to the group's coordinator.
//!
//! Two connections of the group's own: a broker serves each of them serially, and holds a JoinGroup back until all members
//! have joined, so heartbeats and commits must not be behind it.

use std::sync::Arc;
use std::time::Duration;

use kafka_wire::{ApiRequest, Connection, ResponseError};
use parking_lot::Mutex;

use crate::cluster::Cluster;
use crate::error::{ClientError, Remedy};

/// Which connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// JoinGroup and SyncGroup, which the broker may hold back for the rebalance timeout.
    Join = 0,
    /// Heartbeats, commits, offsets, leaving.
    Member = 1,
}

#[derive(Debug)]
pub(super) struct Coordinator {
    cluster: Cluster,
    group: Arc<str>,
    node: Mutex<Option<i32>>,
    /// Held while looking, so that one search serves all who wait.
    search: tokio::sync::Mutex<()>,
    lanes: [tokio::sync::Mutex<Option<Arc<Connection>>>; 2],
}

impl Coordinator {
    pub(super) fn new(cluster: Cluster, group: Arc<str>) -> Self {
        Self {
            cluster,
            group,
            node: Mutex::new(None),
            search: tokio::sync::Mutex::default(),
            lanes: Default::default(),
        }
    }

    pub(super) fn group(&self) -> &Arc<str> {
        &self.group
    }

    /// Sends to the coordinator, which is looked for if it is not known. One attempt: waiting and trying again is the
    /// caller's. After an error of the connection the coordinator is not known any more, and where it is now is asked at another
    /// node if there is one: the silent one may be the one that any question goes to.
    pub(super) async fn request<R: ApiRequest>(
        &self,
        lane: Lane,
        request: R,
        deadline: Duration,
    ) -> Result<R::Response, ClientError> {
        let node = self.find(deadline).await?;
        let connection = self
            .connection(node, lane)
            .await
            .inspect_err(|_| self.give_up(node))?;
        let answer = connection.request_within(request, deadline).await;
        Ok(answer.inspect_err(|e| {
            // One that is to be spared for a while is still the coordinator.
            if !matches!(Remedy::of_wire(e), Remedy::Fatal | Remedy::Retry) {
                self.give_up(node);
            }
        })?)
    }

    /// Has the coordinator looked for again when this answer says that it is elsewhere.
    pub(super) fn heed(&self, code: ResponseError) {
        if Remedy::of(code) == Remedy::FindCoordinator {
            *self.node.lock() = None;
        }
    }

    fn give_up(&self, node: i32) {
        let mut known = self.node.lock();
        if *known == Some(node) {
            *known = None;
        }
        drop(known);
        self.cluster.avoid(node);
    }

    /// The search has no more time than the request that it is for: a heartbeat's is a part of the session.
    async fn find(&self, patience: Duration) -> Result<i32, ClientError> {
        let _only_one = self.search.lock().await;
        if let Some(node) = *self.node.lock() {
            return Ok(node);
        }
        let within = self.cluster.config().any_timeout().min(patience);
        let node = self.cluster.find_coordinator(&self.group, within).await?;
        tracing::debug!(group = %self.group, node, "found the coordinator");
        *self.node.lock() = Some(node);
        Ok(node)
    }

    async fn connection(&self, node: i32, lane: Lane) -> Result<Arc<Connection>, ClientError> {
        let address = self
            .cluster
            .metadata()
            .brokers
            .get(&node)
            .map(|b| b.host_port());
        let mut slot = self.lanes[lane as usize].lock().await;
        if let Some(open) = slot
            .as_ref()
            .filter(|c| !c.is_closed() && Some(&**c.address()) == address.as_deref())
        {
            return Ok(Arc::clone(open));
        }
        *slot = None;
        let connection = Arc::new(self.cluster.dedicated(node).await?);
        *slot = Some(Arc::clone(&connection));
        Ok(connection)
    }

    /// Ends the connection of joins: the answer to one that was given up shall not hold up the next.
    pub(super) async fn drop_join(&self) {
        if let Some(connection) = self.lanes[Lane::Join as usize].lock().await.take() {
            connection.close("the join was given up");
        }
    }
}
