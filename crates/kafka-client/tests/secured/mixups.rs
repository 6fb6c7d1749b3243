//! Clients and listeners that are configured for different things: each way in says which, at once, and tries no further.

use kafka_broker::{Broker, BrokerConfig};
use kafka_client::rustls::RootCertStore;
use kafka_client::{ClientError, Sasl, Security, TlsProblem, WireError};

use crate::stranger::Stranger;
use crate::{client, soon, tls_trusting, ways_in};

fn tls() -> Security {
    tls_trusting(RootCertStore::empty())
}

fn alice() -> Sasl {
    Sasl::plain("alice", "an old secret")
}

/// Has every way in tell what is wrong: of the broker by its address, and in words that have `told` in them.
async fn each_says(
    address: &str,
    security: Security,
    told: &str,
    is_it: impl Fn(&WireError) -> bool,
) {
    let protocol = security.protocol();
    for (way, error) in ways_in::errors(address, &security).await {
        let text = error.to_string();
        let context = format!("{way} by {protocol}: {text}");
        assert!(text.contains(address), "{context}");
        assert!(text.contains(told), "{context}");
        assert!(!text.contains("secret"), "{context}");
        assert!(error.is_authentication(), "{context}");
        assert!(!error.is_retriable(), "{context}");
        assert!(
            matches!(&error, ClientError::Wire(e) if is_it(e)),
            "{context}"
        );
    }
}

#[tokio::test]
async fn a_password_that_is_refused() {
    let stranger = Stranger::for_sasl().await;
    let security = Security::default().with_sasl(alice());
    each_says(&stranger.address, security, "never heard of you", |e| {
        matches!(e, WireError::Authentication { .. })
    })
    .await;
}

#[tokio::test]
async fn a_listener_for_sasl_and_a_client_without() {
    let stranger = Stranger::for_sasl().await;
    let told = "wants SASL (PLAIN), and the client is configured without it";
    each_says(&stranger.address, Security::default(), told, |e| {
        matches!(e, WireError::SaslExpected { .. })
    })
    .await;
}

#[tokio::test]
async fn a_client_with_sasl_and_a_listener_without() {
    let broker = Broker::start(BrokerConfig::default()).await.unwrap();
    let security = Security::default().with_sasl(alice());
    let told = "the listener does not use SASL";
    each_says(&broker.bootstrap_servers(), security, told, |e| {
        matches!(e, WireError::Sasl { .. })
    })
    .await;
}

#[tokio::test]
async fn a_port_for_plaintext_and_a_client_with_tls() {
    let broker = Broker::start(BrokerConfig::default()).await.unwrap();
    for security in [tls(), tls().with_sasl(alice())] {
        let told = "the port is likely for plaintext";
        each_says(
            &broker.bootstrap_servers(),
            security,
            told,
            |e| matches!(e, WireError::Tls { problem, .. } if *problem == TlsProblem::NotTls),
        )
        .await;
    }
}

#[tokio::test]
async fn a_port_for_tls_and_a_client_without() {
    let stranger = Stranger::for_tls().await;
    for security in [Security::default(), Security::default().with_sasl(alice())] {
        let told = "the port is for TLS";
        each_says(
            &stranger.address,
            security,
            told,
            |e| matches!(e, WireError::Tls { problem, .. } if *problem == TlsProblem::TlsExpected),
        )
        .await;
    }
}

#[tokio::test]
async fn nothing_is_tried_again_until_somebody_asks_again() {
    let stranger = Stranger::for_sasl().await;
    let security = Security::default().with_sasl(alice());
    let admin = client(&stranger.address, security).admin();
    for attempts in 1..=2 {
        soon(admin.describe_cluster()).await.unwrap_err();
        assert_eq!(stranger.refused(), attempts);
    }
}
