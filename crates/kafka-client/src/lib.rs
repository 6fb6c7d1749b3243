//! A Kafka client: producer, consumer group, offsets and admin, in pure Rust.
//!
//! # Layout
//!
//! - [`Client`] knows the cluster: brokers, topics, leaders, and the connections to them. Everything else is made from it.
//! - [`Producer`] sends records, idempotently and in order.
//! - [`ConsumerGroup`] shares partitions with the other members of a group and hands out a [`PartitionConsumer`] each, through
//!   which [`Records`] are polled and committed. [`Client::consume`] gives the same without a group.
//! - [`Admin`] manages topics, groups, offsets and configurations.

mod admin;
mod backoff;
mod client;
mod cluster;
mod config;
mod consumer;
mod error;
mod group;
mod partitioner;
mod producer;
mod records;
mod topic_partition;

pub use admin::{
    Admin, ClusterDescription, CommittedOffset, ConfigEntry, ConfigOp, ConfigResource, Ensured,
    GroupDescription, GroupListing, GroupMember, LagRow, ListedOffset, NewTopic, OffsetAt, PerItem,
    TopicListing,
};
pub use client::Client;
pub use cluster::{BrokerAddress, Metadata, PartitionMetadata, TopicMetadata};
pub use config::ClientConfig;
pub use consumer::{
    ConsumerConfig, ConsumerError, IsolationLevel, LostReason, OffsetReset, OffsetTracker,
    PartitionConsumer, StartAt,
};
pub use error::{ClientError, Remedy};
pub use group::{
    Assignor, CommitError, ConsumerGroup, GroupConfig, GroupEvent, GroupHandle, GroupPhase,
    GroupState, GroupStatus, PartitionState,
};
pub use kafka_wire::ResponseError;
pub use kafka_wire::batch::{HeaderView as RecordHeader, Headers as RecordHeaders, RecordView};
pub use partitioner::{murmur2, partition_for_key};
pub use producer::{
    Compression, Delivery, ProduceError, Producer, ProducerConfig, ProducerRecord, RecordMetadata,
    TopicProducer, TopicRecord,
};
pub use records::{Records, RecordsIter};
pub use topic_partition::TopicPartition;
