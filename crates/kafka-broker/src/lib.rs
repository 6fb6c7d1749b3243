//! An embedded, in-memory broker that speaks the Kafka wire protocol over TCP.
//!
//! It is there for tests and demos that should need no server, and for faults that a real server does not make on demand:
//! any Kafka client can connect to it, and [`Faults`] intercepts any of its requests.
//!
//! ```no_run
//! # async fn example() -> Result<(), kafka_broker::BrokerError> {
//! use kafka_broker::{Broker, BrokerConfig};
//!
//! let broker = Broker::start(BrokerConfig::default()).await?;
//! println!("bootstrap.servers={}", broker.bootstrap_servers());
//! broker.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! # What it is not
//!
//! Nothing is written to disk. Its nodes share their memory: replication is a matter of who may lead, and the high
//! watermark is always the log's end. There are no transactions, no compaction, no retention by time, no security, no
//! fetch sessions, and committed offsets do not expire.
//!
//! # Layout
//!
//! - `handlers.rs` has the table of the APIs; `handlers/` has one file for each.
//! - `connection.rs` reads requests and writes answers.
//! - `cluster.rs` is what the nodes share: topics, groups, leaders, coordinators. `node.rs` is a listener and its tasks.
//! - `log/` is a partition: `store.rs` its batches, `producers.rs` the sequences of idempotent producers, `check.rs` what a
//!   batch must be to be appended, `partition.rs` the lock around them and who waits.
//! - `group/` is a consumer group as a pure state machine; `coordinator.rs` gives it clock, lock and answers.
//! - `faults/` is the fault injection; `inspect.rs` the view for tests.

mod broker;
mod cluster;
mod config;
mod connection;
mod coordinator;
mod counters;
mod create;
mod error;
mod faults;
mod group;
mod handlers;
mod inspect;
mod log;
mod node;
mod nodes;
mod topic_config;
mod topics;

pub use broker::Broker;
pub use config::BrokerConfig;
pub use error::BrokerError;
pub use faults::{Fault, FaultAction, FaultHandle, Faults};
pub use inspect::{GroupInfo, Inspect, MemberInfo, PartitionInfo};
/// Kafka's error codes, by name.
pub use kafka_wire::ResponseError;
/// The names of Kafka's APIs.
pub use kafka_wire::messages::ApiKey;

use kafka_wire::shape;
