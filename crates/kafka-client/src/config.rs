//! What a client is told.

use std::sync::Arc;
use std::time::Duration;

use kafka_wire::{ConnectOptions, Security};

/// How to reach the cluster, and how long to wait for what.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Addresses (`host:port`) to learn the cluster from. They are tried again whenever no known broker answers.
    pub bootstrap_servers: Vec<String>,
    /// The name in the brokers' request logs. Default: `kafka-client`.
    pub client_id: Arc<str>,
    /// Bound on connecting to one broker, the TLS handshake and SASL included. Default: 10 s.
    pub connect_timeout: Duration,
    /// Bound on the answer to each request, from its sending, and on each call of [`Admin`](crate::Admin). Where the broker asks to be
    /// spared (KIP-219), a request waits for as long at most before it is sent. Default: 30 s.
    pub request_timeout: Duration,
    /// How old metadata may get before it is fetched again without a cause. Default: 5 min.
    pub metadata_max_age: Duration,
    /// Whether asking for a topic that does not exist makes it, where the broker allows that. Default: false, since then
    /// a misspelt name is an error and not a topic.
    pub allow_auto_create_topics: bool,
    /// The most memory that one response takes. One over this size is read to its end, thrown away, and its connection closed, if it does
    /// not miss its deadline before. Default: 128 MiB.
    pub max_response_bytes: usize,
    /// Whether connections are encrypted (TLS), and who the client is (SASL); the same for every broker. Default: neither.
    ///
    /// If client and brokers do not accept each other ([`ClientError::is_authentication`](crate::ClientError::is_authentication)),
    /// the calls that need the broker fail at once, and nothing is tried again until the next call.
    pub security: Security,
}

impl ClientConfig {
    /// The defaults, for these bootstrap servers (`host:port`, one or several separated by commas).
    pub fn new(bootstrap_servers: &str) -> Self {
        Self {
            bootstrap_servers: bootstrap_servers
                .split(',')
                .map(str::trim)
                .filter(|s| !s.is_empty())
                .map(str::to_owned)
                .collect(),
            client_id: Arc::from("kafka-client"),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            metadata_max_age: Duration::from_secs(300),
            allow_auto_create_topics: false,
            max_response_bytes: 128 * 1024 * 1024,
            security: Security::default(),
        }
    }

    /// Bound on asking any broker for what all of them know: tighter than that of other requests, for a silent one must not
    /// hide that the others answer.
    pub(crate) fn any_timeout(&self) -> Duration {
        self.request_timeout.min(Duration::from_secs(5))
    }

    pub(crate) fn connect_options(&self) -> ConnectOptions {
        ConnectOptions {
            client_id: Arc::clone(&self.client_id),
            connect_timeout: self.connect_timeout,
            request_timeout: self.request_timeout,
            max_response_bytes: self.max_response_bytes,
            security: self.security.clone(),
        }
    }
}
