//! What can go wrong with the broker itself. What goes wrong with a request is answered to its client.

use std::net::SocketAddr;

/// An error of [`Broker`](crate::Broker)'s own operations.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// A setting that cannot be.
    #[error("broker setting `{setting}` is invalid: {reason}")]
    InvalidConfig {
        /// The field of [`BrokerConfig`](crate::BrokerConfig).
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// An address could not be listened on.
    #[error("node {node} cannot listen on {address}: {source}")]
    Listen {
        /// Which node.
        node: i32,
        /// Where.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// No node has this id.
    #[error("there is no node {0}")]
    UnknownNode(i32),
    /// A leader or a coordinator cannot be moved to a node that is down.
    #[error("node {0} is not running")]
    NodeDown(i32),
    /// No such partition.
    #[error("there is no partition {topic}-{partition}")]
    UnknownPartition {
        /// The topic's name.
        topic: String,
        /// The partition's index.
        partition: i32,
    },
    /// A topic could not be created.
    #[error("topic {topic} cannot be created: {reason}")]
    CreateTopic {
        /// The topic's name.
        topic: String,
        /// Why, in the words that a client would get.
        reason: String,
    },
}
