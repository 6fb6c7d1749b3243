//! A Kafka client: producer, consumer group, offsets and admin, in pure Rust.
//!
//! Partitions and offsets are in plain sight: a record is acknowledged with its partition and offset, each partition that is
//! read has a handle of its own, and what is committed is an offset that the caller names, when he says so. Nothing is
//! committed by itself.
//!
//! ```text
//!             send ┌──────────┐ batches, ≤ 5 in flight    ┌────────┐  fetched ahead  ┌───────────────────┐ poll
//! records ────────▶│ Producer │──────────────────────────▶│ broker │────────────────▶│ PartitionConsumer │──────▶ Records
//!         ◀────────│          │◀──────────────────────────│        │                 │  (a partition)    │
//!         Delivery └──────────┘ partition and offset      └────────┘                 └───────────────────┘
//!                                                              ▲  commit(next offset)          │ ▲ assigned
//!                                                              └───────────────────────────────┘ │ revoked, lost
//!                                                         coordinator ◀─ join, sync, ─▶ ┌───────────────┐
//!                                                                        heartbeat      │ ConsumerGroup │
//!                                                                                       └───────────────┘
//! ```
//!
//! ```no_run
//! use kafka_client::{Client, ClientConfig, GroupConfig, GroupEvent, ProducerConfig, ProducerRecord};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new(ClientConfig::new("localhost:9092"))?;
//!
//! let producer = client.producer(ProducerConfig::default());
//! let record = ProducerRecord::new("order_placed").key(b"order-1").value(b"{}");
//! let written = producer.send(&record).await?.await?;
//! println!("partition {} offset {}", written.partition, written.offset);
//!
//! let mut group = client.consumer_group(GroupConfig::new("payment-service", ["order_placed"]))?;
//! while let Some(GroupEvent::Assigned(mut partition)) = group.next().await {
//!     tokio::spawn(async move {
//!         while let Ok(Some(records)) = partition.poll(500).await {
//!             for record in &records {
//!                 println!("{} {:?}", record.offset, record.value);
//!             }
//!             // Done with all of these.
//!             if partition.commit(records.next_offset()).await.is_err() {
//!                 break;
//!             }
//!         }
//!     });
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Whole programs are in `examples/`: `produce`, `consume_and_commit`, `many_workers` (parallel work within a partition) and
//! `admin`. Each runs as it is, on an embedded broker.
//!
//! # Layout
//!
//! - [`Client`] knows the cluster: brokers, topics, leaders, and the connections to them. Everything else is made from it.
//! - [`Producer`] sends records, idempotently and in order (KIP-98, KIP-360, KIP-480).
//! - [`ConsumerGroup`] shares partitions with the other members of a group (the classic protocol) and hands out a
//!   [`PartitionConsumer`] each, through which [`Records`] are polled and committed. [`Client::consume`] gives the same
//!   without a group. [`OffsetTracker`] says what may be committed when records are worked on in parallel.
//! - [`Admin`] manages topics, groups, offsets and configurations.
//!
//! One task does all that concerns a membership; what it does next is a pure function (`group/membership.rs`), and so is how
//! partitions are shared out (`group/assignor/`). Whether an error may be tried again is decided in one place (`error.rs`).
//! Below lies `kafka-wire`: a connection, the table of APIs, the codec of record batches.
//!
//! # Seen from outside
//!
//! - A request has a span of the crate `tracing`: `kafka_request`, at the level DEBUG, of the target
//!   `kafka_wire::connection`, with the fields `api` (its name in the protocol, `Produce`) and `broker` (the `host:port`). It
//!   lasts from the call to the answer or the failure, the wait for a throttle (KIP-219) before the sending included, and a failure
//!   is logged within it. Where no subscriber wants it, none is made.
//! - What is measured, in the [`metrics`] facade, is listed in [`metric`].
//! - Records carry the trace to which they belong in the header `traceparent`: [`trace`].
//!
//! # What every call keeps to
//!
//! - Each wait has a bound, which its documentation names, and each buffer a cap.
//! - Futures may be dropped: where that loses something it says so.
//! - Errors name the broker, the partition and the offset that they are about.
//! - Tasks end with the value that started them: dropping the last [`Client`], [`Producer`] or [`ConsumerGroup`] stops its own.

mod admin;
mod backoff;
mod client;
mod cluster;
mod config;
mod consumer;
mod error;
mod group;
pub mod metric;
mod partitioner;
mod producer;
mod records;
mod topic_partition;
pub mod trace;

pub use admin::{
    Admin, ClusterDescription, CommittedOffset, ConfigEntry, ConfigOp, ConfigResource, Ensured,
    GroupDescription, GroupListing, GroupMember, LagRow, ListedOffset, NewTopic, OffsetAt,
    OffsetsReset, PerItem, PlannedOffset, ResetError, ResetTo, TopicListing,
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
    Assignor, CommitError, ConsumerGroup, GroupConfig, GroupEvent, GroupHandle,
    GroupMembershipOperation, GroupPhase, GroupState, GroupStatus, PartitionState, PendingCommit,
    PendingCommits, TopicPattern,
};
pub use kafka_wire::batch::{HeaderView as RecordHeader, Headers as RecordHeaders, RecordView};
pub use kafka_wire::{ResponseError, Sasl, SaslMechanism, Security, TlsProblem, WireError, rustls};
pub use partitioner::{Partitioner, Placement, murmur2, partition_for_key};
pub use producer::{
    AddedHeaders, Compression, Delivery, ProduceError, Producer, ProducerConfig,
    ProducerInterceptor, ProducerRecord, RecordMetadata, TopicProducer, TopicRecord,
};
pub use records::{Records, RecordsIter};
pub use topic_partition::TopicPartition;
