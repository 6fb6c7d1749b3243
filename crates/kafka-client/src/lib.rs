//! A Kafka client: producer, consumer group, offsets and admin, in pure Rust.
//!
//! # Layout
//!
//! - [`Client`] knows the cluster: brokers, topics, leaders, and the connections to them. Everything else is made from it.

mod backoff;
mod client;
mod cluster;
mod config;
mod error;

pub use client::Client;
pub use cluster::{BrokerAddress, Metadata, PartitionMetadata, TopicMetadata};
pub use config::ClientConfig;
pub use error::{ClientError, Remedy};
pub use kafka_wire::ResponseError;
