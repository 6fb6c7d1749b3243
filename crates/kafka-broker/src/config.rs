//! How a broker is set up.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::error::BrokerError;

/// The settings of a [`Broker`](crate::Broker). The names in backquotes are the like settings of Kafka's `server.properties`.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// One node for each address; the nodes' ids are 1, 2, 3 … in this order. Port 0 takes a free port, which the node
    /// keeps over restarts. Default: one node on a free port of 127.0.0.1.
    pub listen: Vec<SocketAddr>,
    /// The host that clients are told to connect to. Default: the listening address, or `localhost` where that is the
    /// unspecified address.
    pub advertised_host: Option<String>,
    /// `broker.rack` of the nodes, in their order; nodes beyond its end have none. Where there are any, the leader sends a
    /// consumer that names its rack to a replica of the same rack that is up, and replicas let themselves be read from, as
    /// with Kafka's `RackAwareReplicaSelector` (KIP-392). Default: none.
    pub racks: Vec<String>,
    /// The cluster's id. Default: `embedded-kafka-cluster`.
    pub cluster_id: String,
    /// `auto.create.topics.enable`: whether metadata requests create topics where the client allows it. Default: true.
    pub auto_create_topics: bool,
    /// `num.partitions` of topics whose creator does not say. Default: 3.
    pub default_partitions: i32,
    /// `default.replication.factor` of topics whose creator does not say. It bounds which nodes a partition fails over
    /// to; the records themselves are in the process and outlive every node. Default: 3, or all nodes if fewer.
    pub default_replication_factor: i16,
    /// Most partitions of all topics together. Default: 20,000.
    pub max_partitions: usize,
    /// `retention.bytes` of topics that do not set it: over it, a partition drops its oldest whole batches. Default:
    /// 256 MiB a partition. The newest batch always stays.
    pub retention_bytes: u64,
    /// `max.message.bytes`: the largest batch. Default: 1,048,588, as in Kafka.
    pub max_message_bytes: usize,
    /// `socket.request.max.bytes`: a larger request closes its connection. Default: 100 MiB, as in Kafka.
    pub max_request_bytes: usize,
    /// `max.connections` of a node; more are closed as they come. Default: 1,024.
    pub max_connections: usize,
    /// `connections.max.idle.ms`: a connection that sends nothing for so long is closed. Default: 10 minutes, as in Kafka.
    pub max_idle: Duration,
    /// `fetch.max.bytes`: bounds what one fetch is answered. Default: 55 MiB, as in Kafka.
    pub max_fetch_bytes: usize,
    /// `group.min.session.timeout.ms`. Default: 6 s, as in Kafka.
    pub min_session_timeout: Duration,
    /// `group.max.session.timeout.ms`. Default: 30 minutes, as in Kafka.
    pub max_session_timeout: Duration,
    /// `group.initial.rebalance.delay.ms`: how long an empty group waits for more members after its first. Default: 0.
    pub initial_rebalance_delay: Duration,
    /// `group.max.size`: most members of a group. Default: 10,000.
    pub max_group_size: usize,
    /// Most groups, so that made-up names cannot fill the memory. Default: 10,000.
    pub max_groups: usize,
    /// Where the random decisions of [`Faults`](crate::Faults) start from: the same seed and the same requests give the
    /// same faults. Default: 0.
    pub fault_seed: u64,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))],
            advertised_host: None,
            racks: Vec::new(),
            cluster_id: "embedded-kafka-cluster".to_owned(),
            auto_create_topics: true,
            default_partitions: 3,
            default_replication_factor: 3,
            max_partitions: 20_000,
            retention_bytes: 256 * 1024 * 1024,
            max_message_bytes: 1_048_588,
            max_request_bytes: 100 * 1024 * 1024,
            max_connections: 1024,
            max_idle: Duration::from_secs(600),
            max_fetch_bytes: 55 * 1024 * 1024,
            min_session_timeout: Duration::from_secs(6),
            max_session_timeout: Duration::from_secs(30 * 60),
            initial_rebalance_delay: Duration::ZERO,
            max_group_size: 10_000,
            max_groups: 10_000,
            fault_seed: 0,
        }
    }
}

impl BrokerConfig {
    /// The defaults with `nodes` nodes, each on a free port of 127.0.0.1.
    pub fn with_nodes(nodes: usize) -> Self {
        Self {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); nodes],
            ..Self::default()
        }
    }

    /// The defaults with one node on `address`.
    pub fn listening_on(address: SocketAddr) -> Self {
        Self {
            listen: vec![address],
            ..Self::default()
        }
    }

    pub(crate) fn check(&self) -> Result<(), BrokerError> {
        let invalid = |setting, reason: &str| {
            Err(BrokerError::InvalidConfig {
                setting,
                reason: reason.to_owned(),
            })
        };
        if self.listen.is_empty() {
            return invalid("listen", "a broker needs at least one node");
        }
        if self.default_partitions < 1 {
            return invalid("default_partitions", "it must be at least 1");
        }
        if self.default_replication_factor < 1 {
            return invalid("default_replication_factor", "it must be at least 1");
        }
        if i32::try_from(self.max_request_bytes).is_err() {
            return invalid("max_request_bytes", "a frame's length is an int32");
        }
        if i32::try_from(self.max_fetch_bytes).is_err() {
            return invalid("max_fetch_bytes", "a frame's length is an int32");
        }
        if self.min_session_timeout > self.max_session_timeout {
            return invalid("min_session_timeout", "it is above max_session_timeout");
        }
        Ok(())
    }
}
