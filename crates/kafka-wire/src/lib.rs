//! One connection to one Kafka broker, the table of APIs and versions, and the record batch codec.
//!
//! # Layout
//!
//! - [`Connection`] is a TCP connection on which requests are pipelined and every request has a deadline. It stands on
//!   rskafka's `Messenger`, which does framing and correlation.
//! - [`Security`] says whether it is encrypted (TLS) and who the client is (SASL).
//! - [`api`] is the table of the APIs this crate speaks: key, versions, first flexible version, one line each.
//! - [`shape`] keeps a message that claims more than it has from filling the memory.
//! - [`batch`] reads and writes record batches of magic 2, the only format that Kafka 4 stores.
//! - [`compression`] is the four codecs of a batch, without a line of C.
//!
//! Nothing here knows what a cluster, a group or a partition leader is: that is `kafka-client`'s part.

pub mod api;
pub mod batch;
mod closing;
pub mod compression;
mod connection;
mod diagnosis;
mod dial;
mod error;
pub mod metric;
mod sasl;
mod security;
mod session;
pub mod shape;
mod stream;
mod throttle;
mod tls;
mod varint;
mod versions;

pub use api::ApiRequest;
pub use connection::{ConnectOptions, Connection};
pub use error::WireError;
pub use security::{Sasl, SaslMechanism, Security};
pub use throttle::Throttled;
pub use tls::TlsProblem;

/// TLS: the configuration and the provider of cryptography are the caller's.
pub use rustls;

/// Kafka's error codes, by name.
pub use kafka_protocol::error::ResponseError;
/// The generated protocol messages, under the names that Kafka's own schema files give them.
pub use kafka_protocol::messages;
/// Strings and the coding traits of the generated messages.
pub use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
