//! A client that authenticates and encrypts: how it is refused, and, on a real Kafka, how it works.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod mixups;
mod real;
mod stranger;
mod ways_in;

use std::sync::Arc;
use std::time::Duration;

use kafka_client::rustls::{ClientConfig as TlsConfig, RootCertStore};
use kafka_client::{Client, ClientConfig, Security};

/// How long a call may go on; much longer than any of these tests is to take.
const PATIENCE: Duration = Duration::from_secs(120);

fn client(servers: &str, security: Security) -> Client {
    let mut config = ClientConfig::new(servers);
    config.security = security;
    config.request_timeout = PATIENCE;
    Client::new(config).unwrap()
}

/// TLS that trusts these authorities.
fn tls_trusting(roots: RootCertStore) -> Security {
    let config = TlsConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Security::default().with_tls(Arc::new(config))
}

/// Ends a test that would otherwise wait for as long as the client does.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    let bound = PATIENCE / 2;
    let soon = tokio::time::timeout(bound, what).await;
    soon.expect("an error that is final is told without waiting")
}
