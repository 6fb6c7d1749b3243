//! TLS and SASL of a connection, against listeners that are as they should be and listeners that are not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod broker;

use std::sync::Arc;
use std::time::Duration;

use broker::{AUTHENTICATED, Surface, client, start};
use kafka_wire::messages::HeartbeatRequest;
use kafka_wire::{ConnectOptions, Connection, Sasl, Security, TlsProblem, WireError};

fn options(security: Security) -> ConnectOptions {
    ConnectOptions {
        connect_timeout: Duration::from_secs(20),
        security,
        ..ConnectOptions::default()
    }
}

fn tls() -> Security {
    Security::default().with_tls(client(true))
}

fn alice() -> Sasl {
    Sasl::plain("alice", "secret")
}

async fn open(host: &str, port: u16, security: Security) -> Result<Connection, WireError> {
    Connection::open(&format!("{host}:{port}"), &options(security)).await
}

async fn opens_and_carries_requests(port: u16, security: Security) {
    let connection = open("localhost", port, security).await.unwrap();
    for generation in 1..=3 {
        let request = HeartbeatRequest::default().with_generation_id(generation);
        let answer = connection.request(request).await.unwrap();
        let told = i32::from(answer.error_code % AUTHENTICATED);
        assert_eq!(told, generation);
    }
}

/// The error of opening, which has to name the broker.
async fn refusal(host: &str, port: u16, security: Security) -> WireError {
    let error = open(host, port, security).await.unwrap_err();
    let address = format!("{host}:{port}");
    assert!(error.to_string().contains(&address), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
    error
}

async fn tls_problem(host: &str, port: u16, security: Security) -> TlsProblem {
    match refusal(host, port, security).await {
        WireError::Tls { problem, .. } => problem,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn requests_are_carried_with_each_security() {
    for (surface, security) in [
        (Surface::Plaintext, Security::default()),
        (Surface::Tls, tls()),
    ] {
        let port = start(surface, broker::Sasl::None).await;
        opens_and_carries_requests(port, security.clone()).await;
        let port = start(surface, broker::Sasl::Plain).await;
        opens_and_carries_requests(port, security.with_sasl(alice())).await;
    }
}

#[tokio::test]
async fn a_certificate_has_to_be_trusted_and_for_the_host() {
    let port = start(Surface::Tls, broker::Sasl::None).await;
    let distrustful = Security::default().with_tls(client(false));
    assert_eq!(
        tls_problem("localhost", port, distrustful).await,
        TlsProblem::UntrustedCertificate
    );
    // The certificate is for localhost, and 127.0.0.1 is another name.
    assert_eq!(
        tls_problem("127.0.0.1", port, tls()).await,
        TlsProblem::WrongHostName
    );
}

#[tokio::test]
async fn plaintext_on_a_port_for_tls_is_told_from_a_broken_connection() {
    let port = start(Surface::Tls, broker::Sasl::None).await;
    assert_eq!(
        tls_problem("localhost", port, Security::default()).await,
        TlsProblem::TlsExpected
    );
}

#[tokio::test]
async fn tls_on_a_port_for_plaintext_is_told_from_a_broken_connection() {
    let port = start(Surface::HangsUp, broker::Sasl::None).await;
    assert_eq!(
        tls_problem("localhost", port, tls()).await,
        TlsProblem::HungUp
    );
    for (surface, sasl) in [
        (Surface::Talks, broker::Sasl::None),
        (Surface::Plaintext, broker::Sasl::None),
        (Surface::Plaintext, broker::Sasl::Plain),
    ] {
        let port = start(surface, sasl).await;
        for security in [tls(), tls().with_sasl(alice())] {
            let problem = tls_problem("localhost", port, security).await;
            assert_eq!(problem, TlsProblem::NotTls);
        }
    }
}

#[tokio::test]
async fn a_broker_that_wants_to_know_its_clients_refuses_one_without_a_certificate() {
    let port = start(Surface::TlsForKnownClients, broker::Sasl::None).await;
    assert_eq!(
        tls_problem("localhost", port, tls()).await,
        TlsProblem::Refused
    );
}

#[tokio::test]
async fn silence_in_the_handshake_or_the_exchange_is_bounded_by_the_connect_timeout() {
    for (surface, sasl, security) in [
        (Surface::Silent, broker::Sasl::None, tls()),
        (
            Surface::Plaintext,
            broker::Sasl::PlainSilent,
            Security::default().with_sasl(alice()),
        ),
    ] {
        let port = start(surface, sasl).await;
        let quick = ConnectOptions {
            connect_timeout: Duration::from_millis(200),
            ..options(security)
        };
        let error = Connection::open(&format!("localhost:{port}"), &quick)
            .await
            .unwrap_err();
        assert!(matches!(error, WireError::ConnectTimeout { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_broker_that_hangs_up_is_asked_why_for_as_long_as_there_is_time_to_connect() {
    let port = start(Surface::HangsUpOnce, broker::Sasl::None).await;
    let quick = ConnectOptions {
        connect_timeout: Duration::from_millis(900),
        ..options(tls())
    };
    let error = Connection::open(&format!("localhost:{port}"), &quick)
        .await
        .unwrap_err();
    // It does not say, and what is known is told.
    let hung_up =
        matches!(&error, WireError::Tls { problem, .. } if *problem == TlsProblem::HungUp);
    assert!(hung_up, "{error}");
}

#[tokio::test]
async fn wrong_credentials_are_told_in_the_brokers_words() {
    let port = start(Surface::Plaintext, broker::Sasl::Plain).await;
    let wrong = Security::default().with_sasl(Sasl::plain("alice", "another secret"));
    match refusal("localhost", port, wrong).await {
        WireError::Authentication { reason, .. } => assert_eq!(reason, "who are you, alice?"),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_mechanism_that_is_not_offered_is_told_with_those_that_are() {
    let port = start(Surface::Plaintext, broker::Sasl::Plain).await;
    let scram = Security::default().with_sasl(Sasl::scram_sha_512("alice", "secret"));
    match refusal("localhost", port, scram).await {
        WireError::MechanismNotOffered { offered, .. } => assert_eq!(offered, ["PLAIN"]),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn sasl_where_there_is_none_and_none_where_there_is() {
    let port = start(Surface::Plaintext, broker::Sasl::None).await;
    let error = refusal("localhost", port, Security::default().with_sasl(alice())).await;
    assert!(matches!(error, WireError::Sasl { .. }), "{error}");

    for (surface, security) in [
        (Surface::Plaintext, Security::default()),
        (Surface::Tls, tls()),
    ] {
        let port = start(surface, broker::Sasl::Plain).await;
        let connection = open("localhost", port, security).await.unwrap();
        // All of those that were under way learn it.
        let requests = (0..3).map(|_| connection.request(HeartbeatRequest::default()));
        for result in futures_util::future::join_all(requests).await {
            match result.unwrap_err() {
                WireError::SaslExpected { offered, .. } => assert_eq!(offered, ["PLAIN"]),
                other => panic!("{other}"),
            }
        }
    }
}

#[tokio::test]
async fn a_listener_without_sasl_that_hangs_up_is_not_taken_for_one_with_it() {
    let port = start(Surface::Plaintext, broker::Sasl::Absent).await;
    let connection = open("localhost", port, Security::default()).await.unwrap();
    let request = HeartbeatRequest::default();
    let error = connection.request(request).await.unwrap_err();
    assert!(matches!(error, WireError::Disconnected { .. }), "{error}");
}

#[tokio::test]
async fn a_listener_that_has_answered_before_is_not_asked_why_it_hangs_up() {
    let port = start(Surface::Plaintext, broker::Sasl::SinceTheSecond).await;
    let security = Security::default();
    let first = open("localhost", port, security.clone()).await.unwrap();
    let request = HeartbeatRequest::default;
    first.request(request()).await.unwrap();
    let second = open("localhost", port, security).await.unwrap();
    let error = second.request(request()).await.unwrap_err();
    assert!(matches!(error, WireError::Disconnected { .. }), "{error}");
    // To a client that is new there, it says what it wants.
    let stranger = open("localhost", port, Security::default()).await.unwrap();
    let error = stranger.request(request()).await.unwrap_err();
    assert!(matches!(error, WireError::SaslExpected { .. }), "{error}");
}

#[tokio::test]
async fn a_scram_broker_has_to_prove_itself_and_may_not_ask_for_any_amount_of_work() {
    for (iterations, told) in [
        (4096, "could not prove"),
        (1, "iterations"),
        (2_000_000_000, "iterations"),
        (99_999_999_999, "iterations"),
    ] {
        let forged = broker::Sasl::Forged { iterations };
        let port = start(Surface::Plaintext, forged).await;
        let scram = Security::default().with_sasl(Sasl::scram_sha_256("alice", "secret"));
        match refusal("localhost", port, scram).await {
            WireError::Sasl { reason, .. } => assert!(reason.contains(told), "{reason}"),
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_scram_broker_that_sends_no_scram_is_told_so() {
    let first = "r=NONCEmore,s=QSXCR+Q6sek8bf92,i=4096";
    for script in [
        ["", ""],
        ["r", ""],
        ["r=NONCEmore,,i=4096", ""],
        ["r=NONCEmore,s,i=4096", ""],
        [first, ""],
        [first, "v"],
        [first, ",v=abcd"],
    ] {
        let port = start(Surface::Plaintext, broker::Sasl::Scripted(script)).await;
        let scram = Security::default().with_sasl(Sasl::scram_sha_256("alice", "secret"));
        let error = refusal("localhost", port, scram).await;
        assert!(
            matches!(&error, WireError::Sasl { reason, .. } if reason.contains("not one of SCRAM's")),
            "{script:?}: {error}"
        );
    }
}

/// Sends requests without a pause until the broker says that the client authenticated again, or one fails.
async fn until_renewed(connection: Arc<Connection>, generation: i32) -> Result<(), WireError> {
    loop {
        let request = HeartbeatRequest::default().with_generation_id(generation);
        let answer = connection.request(request).await?;
        let told = i32::from(answer.error_code % AUTHENTICATED);
        assert_eq!(told, generation);
        if answer.error_code / AUTHENTICATED >= 2 {
            return Ok(());
        }
    }
}

#[tokio::test]
async fn a_session_is_renewed_between_requests() {
    let port = start(Surface::Plaintext, broker::Sasl::Sessions { renewed: true }).await;
    let security = Security::default().with_sasl(alice());
    let connection = Arc::new(open("localhost", port, security).await.unwrap());
    let tasks = (0..8).map(|n| tokio::spawn(until_renewed(Arc::clone(&connection), n)));
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap().unwrap();
    }
    assert!(!connection.is_closed());
}

#[tokio::test]
async fn a_session_that_is_not_renewed_ends_the_connection() {
    let sessions = broker::Sasl::Sessions { renewed: false };
    let port = start(Surface::Plaintext, sessions).await;
    let security = Security::default().with_sasl(alice());
    let connection = Arc::new(open("localhost", port, security).await.unwrap());
    let error = until_renewed(Arc::clone(&connection), 1).await.unwrap_err();
    assert!(matches!(error, WireError::Authentication { .. }), "{error}");
    assert!(connection.is_closed());
}
