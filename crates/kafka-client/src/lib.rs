//! A Kafka client: producer, consumer group, offsets and admin, in pure Rust.
//!
//! # Layout
//!
//! - [`Client`] knows the cluster: brokers, topics, leaders, and the connections to them. Everything else is made from it.
//! - [`Producer`] sends records, idempotently and in order.

mod backoff;
mod client;
mod cluster;
mod config;
mod error;
mod partitioner;
mod producer;

pub use client::Client;
pub use cluster::{BrokerAddress, Metadata, PartitionMetadata, TopicMetadata};
pub use config::ClientConfig;
pub use error::{ClientError, Remedy};
pub use kafka_wire::ResponseError;
pub use partitioner::{murmur2, partition_for_key};
pub use producer::{
    Compression, Delivery, ProduceError, Producer, ProducerConfig, ProducerRecord, RecordMetadata,
    TopicProducer, TopicRecord,
};
