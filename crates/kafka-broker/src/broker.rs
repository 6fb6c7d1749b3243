//! The broker: starts, stops and moves things.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cluster::Cluster;
use crate::config::BrokerConfig;
use crate::create::NewTopic;
use crate::error::BrokerError;
use crate::faults::Faults;
use crate::inspect::Inspect;
use crate::node::{ReservedPort, RunningNode};

/// An embedded Kafka-wire broker of one or more nodes. Everything is in memory and goes with it.
///
/// Dropping it stops it without waiting; [`stop`](Self::stop) also waits for its tasks.
#[derive(Debug)]
pub struct Broker {
    cluster: Arc<Cluster>,
    nodes: Mutex<BTreeMap<i32, NodeState>>,
    /// Held while a node starts or stops.
    switching: tokio::sync::Mutex<()>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Debug)]
enum NodeState {
    Running(Arc<RunningNode>),
    /// Its port is kept for it.
    Down(ReservedPort),
    /// Starting or stopping, or down without its port.
    Between,
}

impl Broker {
    /// Starts all nodes. When this returns, they accept connections.
    ///
    /// # Errors
    ///
    /// [`BrokerError::InvalidConfig`], [`BrokerError::Listen`].
    pub async fn start(config: BrokerConfig) -> Result<Self, BrokerError> {
        config.check()?;
        let mut ports = Vec::new();
        for (node, address) in (1..).zip(&config.listen) {
            ports.push(ReservedPort::new(node, *address)?);
        }
        let addresses: Vec<SocketAddr> = ports.iter().map(ReservedPort::address).collect();
        let cluster = Arc::new(Cluster::new(config, &addresses));
        let nodes = (1..)
            .zip(ports)
            .map(|(id, port)| (id, NodeState::Down(port)))
            .collect();
        let broker = Self {
            cluster,
            nodes: Mutex::new(nodes),
            switching: tokio::sync::Mutex::new(()),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        for id in broker.node_ids() {
            broker.start_node(id).await?;
        }
        let (groups, stopped) = (Arc::clone(&broker.cluster), broker.stop.clone());
        broker.tasks.spawn(async move {
            stopped
                .run_until_cancelled(groups.groups.run_timers())
                .await;
        });
        tracing::info!(addresses = broker.bootstrap_servers(), "broker started");
        Ok(broker)
    }

    /// `host:port` of every node, up or down, separated by commas: what a client is configured with.
    pub fn bootstrap_servers(&self) -> String {
        let nodes = self.cluster.nodes.all().iter();
        let addresses: Vec<String> = nodes
            .map(|node| format!("{}:{}", node.host, node.address.port()))
            .collect();
        addresses.join(",")
    }

    /// Where a node listens, or will again.
    ///
    /// # Errors
    ///
    /// [`BrokerError::UnknownNode`].
    pub fn addr(&self, node: i32) -> Result<SocketAddr, BrokerError> {
        self.cluster
            .nodes
            .get(node)
            .map(|node| node.address)
            .ok_or(BrokerError::UnknownNode(node))
    }

    /// The ids of all nodes, up or down.
    pub fn node_ids(&self) -> Vec<i32> {
        self.cluster
            .nodes
            .all()
            .iter()
            .map(|node| node.id)
            .collect()
    }

    /// The faults in force, to be added to.
    pub fn faults(&self) -> &Faults {
        &self.cluster.faults
    }

    /// What is in the broker, without asking over the wire.
    pub fn inspect(&self) -> Inspect<'_> {
        Inspect::new(&self.cluster)
    }

    /// Creates a topic with the broker's default number of replicas. −1 partitions are the broker's default number.
    ///
    /// # Errors
    ///
    /// [`BrokerError::CreateTopic`] when the name is taken or not a name, or the number cannot be.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<(), BrokerError> {
        let new = NewTopic {
            partitions,
            ..NewTopic::named(name)
        };
        match self.cluster.create_topic(&new) {
            Ok(_) => Ok(()),
            Err(refusal) => Err(BrokerError::CreateTopic {
                topic: name.to_owned(),
                reason: refusal.message,
            }),
        }
    }

    /// Deletes a topic under its readers and writers; `false` when there is none of this name.
    pub fn delete_topic(&self, name: &str) -> bool {
        self.cluster.delete_topic(name)
    }

    /// Deletes a group although it may have members, who then learn that they are unknown; `false` when there is none of
    /// this name.
    pub fn delete_group(&self, name: &str) -> bool {
        self.cluster.groups.delete(name, |_| Ok(())).is_ok()
    }

    /// Makes `node` the leader of a partition, in a new leader epoch. A node that had no replica gets one.
    ///
    /// # Errors
    ///
    /// [`BrokerError::UnknownPartition`], [`BrokerError::UnknownNode`], [`BrokerError::NodeDown`].
    pub fn move_leader(&self, topic: &str, partition: i32, node: i32) -> Result<(), BrokerError> {
        self.cluster.move_leader(topic, partition, node)
    }

    /// Makes `node` the leader of a partition, in a new leader epoch, as an unclean election does: the node has none of the
    /// batches that reach to offset `end` or past it, so they are gone. Returns the log's new end, which is `end` where a
    /// batch ends just before it.
    ///
    /// # Errors
    ///
    /// [`BrokerError::UnknownPartition`], [`BrokerError::UnknownNode`], [`BrokerError::NodeDown`].
    pub fn move_leader_uncleanly(
        &self,
        topic: &str,
        partition: i32,
        node: i32,
        end: i64,
    ) -> Result<i64, BrokerError> {
        self.cluster
            .move_leader_uncleanly(topic, partition, node, end)
    }

    /// Makes `node` the coordinator of a group. As in Kafka, groups fall into 50 slots by their names' hash, and the group's
    /// whole slot moves; rebalances that were under way start anew.
    ///
    /// # Errors
    ///
    /// [`BrokerError::UnknownNode`], [`BrokerError::NodeDown`].
    pub fn move_coordinator(&self, group: &str, node: i32) -> Result<(), BrokerError> {
        self.cluster.move_coordinator(group, node)
    }

    /// Closes all connections of a node, which stays up and accepts new ones.
    ///
    /// # Errors
    ///
    /// [`BrokerError::UnknownNode`], [`BrokerError::NodeDown`].
    pub fn cut_connections(&self, node: i32) -> Result<(), BrokerError> {
        match self.nodes.lock().get(&node) {
            None => Err(BrokerError::UnknownNode(node)),
            Some(NodeState::Running(running)) => {
                running.cut_connections();
                Ok(())
            }
            Some(_) => Err(BrokerError::NodeDown(node)),
        }
    }

    /// Stops a node in order: what it leads and coordinates moves to other nodes first, then its connections are closed and
    /// connecting to it is refused. Returns when its tasks are gone. What is stopped already stays so.
    ///
    /// # Errors
    ///
    /// [`BrokerError::UnknownNode`].
    pub async fn stop_node(&self, node: i32) -> Result<(), BrokerError> {
        let _switching = self.switching.lock().await;
        let running = self.take_running(node)?;
        self.cluster.node_down(node);
        self.end(node, running).await;
        tracing::info!(node, "stopped a node");
        Ok(())
    }

    /// Crashes a node: its connections are cut in the middle of what they do, and only then the others take over. What was
    /// appended is kept, as if on a disk that outlives the crash.
    ///
    /// # Errors
    ///
    /// [`BrokerError::UnknownNode`].
    pub async fn crash_node(&self, node: i32) -> Result<(), BrokerError> {
        let _switching = self.switching.lock().await;
        let running = self.take_running(node)?;
        self.end(node, running).await;
        self.cluster.node_down(node);
        tracing::info!(node, "crashed a node");
        Ok(())
    }

    /// Starts a node that was stopped or crashed, on the port it had. What runs already goes on.
    ///
    /// # Errors
    ///
    /// [`BrokerError::UnknownNode`], [`BrokerError::Listen`].
    pub async fn start_node(&self, node: i32) -> Result<(), BrokerError> {
        let _switching = self.switching.lock().await;
        let address = self.addr(node)?;
        let listener = {
            let mut nodes = self.nodes.lock();
            let Some(state) = nodes.get_mut(&node) else {
                return Err(BrokerError::UnknownNode(node));
            };
            match std::mem::replace(state, NodeState::Between) {
                running @ NodeState::Running(_) => {
                    *state = running;
                    return Ok(());
                }
                NodeState::Down(port) => port.listen(node)?,
                NodeState::Between => ReservedPort::new(node, address)?.listen(node)?,
            }
        };
        self.cluster.node_up(node);
        let running = RunningNode::start(node, listener, Arc::clone(&self.cluster));
        self.nodes.lock().insert(node, NodeState::Running(running));
        tracing::debug!(node, %address, "started a node");
        Ok(())
    }

    fn take_running(&self, node: i32) -> Result<Option<Arc<RunningNode>>, BrokerError> {
        let mut nodes = self.nodes.lock();
        let Some(state) = nodes.get_mut(&node) else {
            return Err(BrokerError::UnknownNode(node));
        };
        match std::mem::replace(state, NodeState::Between) {
            NodeState::Running(running) => Ok(Some(running)),
            other => {
                *state = other;
                Ok(None)
            }
        }
    }

    /// Ends a node's tasks and keeps its port for it.
    async fn end(&self, node: i32, running: Option<Arc<RunningNode>>) {
        let Some(running) = running else {
            return;
        };
        running.stop().await;
        let reserved = self
            .addr(node)
            .and_then(|address| ReservedPort::new(node, address));
        match reserved {
            Ok(port) => {
                self.nodes.lock().insert(node, NodeState::Down(port));
            }
            // It will be asked for again when the node starts.
            Err(error) => tracing::debug!(node, %error, "cannot keep a stopped node's port"),
        }
    }

    /// Stops all nodes and returns when every task is gone. Nothing is waited for that a client does: it takes no longer
    /// than the tasks need to be dropped.
    pub async fn stop(&self) {
        let _switching = self.switching.lock().await;
        for id in self.node_ids() {
            if let Ok(Some(running)) = self.take_running(id) {
                running.stop().await;
                self.cluster.nodes.set_up(id, false);
            }
        }
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        tracing::info!("broker stopped");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop.cancel();
        for state in self.nodes.lock().values() {
            if let NodeState::Running(running) = state {
                running.cancel();
            }
        }
    }
}
