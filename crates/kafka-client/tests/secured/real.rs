//! The secured listeners of a real Kafka: those of deploy/testbed, whose variables name them.

use std::fs;
use std::time::{Duration, Instant};

use kafka_client::rustls::RootCertStore;
use kafka_client::rustls::pki_types::CertificateDer;
use kafka_client::rustls::pki_types::pem::PemObject;
use kafka_client::{
    ClientError, GroupConfig, GroupEvent, NewTopic, OffsetReset, ProducerConfig, ProducerRecord,
    Sasl, SaslMechanism, Security, TlsProblem, WireError,
};
use kafka_wire::messages::DescribeClusterRequest;
use kafka_wire::{ConnectOptions, Connection};
use uuid::Uuid;

use crate::{client, tls_trusting, ways_in};

const RECORDS: usize = 200;

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: eval \"$(deploy/testbed/up)\" starts a Kafka and sets it")
    })
}

fn sasl(mechanism: SaslMechanism) -> Sasl {
    let (user, password) = (
        variable("KAFKA_SASL_USERNAME"),
        variable("KAFKA_SASL_PASSWORD"),
    );
    Sasl::new(mechanism, &user, &password)
}

/// TLS that trusts the test bed's certificate, or nobody.
fn tls(trusting: bool) -> Security {
    let mut roots = RootCertStore::empty();
    if trusting {
        let pem = fs::read(variable("KAFKA_SSL_CERTIFICATE")).unwrap();
        let certificate = CertificateDer::from_pem_slice(&pem).unwrap();
        roots.add(certificate).unwrap();
    }
    tls_trusting(roots)
}

/// Makes a topic, writes to it, and has a group read it and commit: every kind of connection is opened.
async fn works(servers: &str, security: Security) {
    let client = client(&variable(servers), security);
    let topic = format!("secured-{}", Uuid::new_v4());
    let admin = client.admin();
    admin
        .ensure_topics(&[NewTopic::new(&topic, 1, 1)])
        .await
        .unwrap();
    let producer = client.producer(ProducerConfig::default());
    let value = vec![b'x'; 10_000];
    let records = (0..RECORDS).map(|_| ProducerRecord::new(&topic).value(&value));
    producer.send_all(records).await.unwrap();

    let mut config = GroupConfig::new(topic.clone(), [topic.clone()]);
    config.consumer.auto_offset_reset = OffsetReset::Earliest;
    let mut group = client.consumer_group(config).unwrap();
    let Some(GroupEvent::Assigned(mut partition)) = group.next().await else {
        panic!("the one member of a group gets the one partition");
    };
    let mut read = 0;
    while read < RECORDS {
        let records = partition.poll(RECORDS).await.unwrap().unwrap();
        assert!(records.iter().all(|r| r.value == Some(&value)));
        read += records.len();
    }
    let end = i64::try_from(RECORDS).unwrap();
    partition.commit(end).await.unwrap();
    drop(partition);
    group.close(Duration::from_secs(10)).await.unwrap();
    admin.delete_topics(&[&topic]).await.unwrap();
}

/// The errors of every way in, which name the broker and are final.
async fn errors(servers: &str, security: Security) -> Vec<WireError> {
    let protocol = security.protocol();
    let errors = ways_in::errors(servers, &security).await.into_iter();
    let of_wire = errors.map(|(way, error)| {
        let context = format!("{way} by {protocol}: {error}");
        let mut servers = servers.split(',');
        assert!(servers.any(|server| context.contains(server)), "{context}");
        assert!(error.is_authentication(), "{context}");
        match error {
            ClientError::Wire(error) => error,
            other => panic!("{way}: {other}"),
        }
    });
    of_wire.collect()
}

#[tokio::test]
#[ignore = "needs a real Kafka: eval \"$(deploy/testbed/up)\", then cargo test -p kafka-client --test secured -- --ignored"]
async fn plain() {
    let security = Security::default().with_sasl(sasl(SaslMechanism::Plain));
    works("KAFKA_SASL_PLAINTEXT_SERVERS", security).await;
}

#[tokio::test]
#[ignore = "needs a real Kafka: eval \"$(deploy/testbed/up)\", then cargo test -p kafka-client --test secured -- --ignored"]
async fn scram_sha_256() {
    let security = Security::default().with_sasl(sasl(SaslMechanism::ScramSha256));
    works("KAFKA_SASL_PLAINTEXT_SERVERS", security).await;
}

#[tokio::test]
#[ignore = "needs a real Kafka: eval \"$(deploy/testbed/up)\", then cargo test -p kafka-client --test secured -- --ignored"]
async fn scram_sha_512() {
    let security = Security::default().with_sasl(sasl(SaslMechanism::ScramSha512));
    works("KAFKA_SASL_PLAINTEXT_SERVERS", security).await;
}

#[tokio::test]
#[ignore = "needs a real Kafka: eval \"$(deploy/testbed/up)\", then cargo test -p kafka-client --test secured -- --ignored"]
async fn tls_alone() {
    works("KAFKA_SSL_SERVERS", tls(true)).await;
}

#[tokio::test]
#[ignore = "needs a real Kafka: eval \"$(deploy/testbed/up)\", then cargo test -p kafka-client --test secured -- --ignored"]
async fn scram_over_tls() {
    for mechanism in [SaslMechanism::ScramSha256, SaslMechanism::ScramSha512] {
        let security = tls(true).with_sasl(sasl(mechanism));
        works("KAFKA_SASL_SSL_SERVERS", security).await;
    }
}

#[tokio::test]
#[ignore = "needs a real Kafka: eval \"$(deploy/testbed/up)\", then cargo test -p kafka-client --test secured -- --ignored"]
async fn a_wrong_password_is_refused() {
    let servers = variable("KAFKA_SASL_PLAINTEXT_SERVERS");
    let user = variable("KAFKA_SASL_USERNAME");
    for mechanism in [
        SaslMechanism::Plain,
        SaslMechanism::ScramSha256,
        SaslMechanism::ScramSha512,
    ] {
        for user in [&*user, "nobody"] {
            let wrong = Sasl::new(mechanism, user, "not the password");
            for error in errors(&servers, Security::default().with_sasl(wrong)).await {
                let told = matches!(&error, WireError::Authentication { reason, .. } if reason.contains("Authentication failed"));
                assert!(told, "{error}");
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs a real Kafka: eval \"$(deploy/testbed/up)\", then cargo test -p kafka-client --test secured -- --ignored"]
async fn a_mechanism_that_is_not_offered_and_a_listener_without_sasl() {
    let plain = sasl(SaslMechanism::Plain);
    let servers = variable("KAFKA_SASL_SSL_SERVERS");
    for error in errors(&servers, tls(true).with_sasl(plain.clone())).await {
        match error {
            WireError::MechanismNotOffered { mut offered, .. } => {
                offered.sort();
                assert_eq!(offered, ["SCRAM-SHA-256", "SCRAM-SHA-512"]);
            }
            other => panic!("{other}"),
        }
    }
    let servers = variable("KAFKA_BOOTSTRAP_SERVERS");
    for error in errors(&servers, Security::default().with_sasl(plain)).await {
        assert!(matches!(error, WireError::Sasl { .. }), "{error}");
    }
}

#[tokio::test]
#[ignore = "needs a real Kafka: eval \"$(deploy/testbed/up)\", then cargo test -p kafka-client --test secured -- --ignored"]
async fn a_certificate_has_to_be_trusted_and_for_the_host() {
    let servers = variable("KAFKA_SSL_SERVERS");
    // The certificate is for 127.0.0.1.
    let by_name = servers.replace("127.0.0.1", "localhost");
    for (servers, security, expected) in [
        (servers, tls(false), TlsProblem::UntrustedCertificate),
        (by_name, tls(true), TlsProblem::WrongHostName),
    ] {
        each_is_of_tls(&servers, security, expected).await;
    }
}

#[tokio::test]
#[ignore = "needs a real Kafka: eval \"$(deploy/testbed/up)\", then cargo test -p kafka-client --test secured -- --ignored"]
async fn plaintext_and_tls_taken_for_each_other() {
    let plain = sasl(SaslMechanism::Plain);
    for variable_of_servers in ["KAFKA_BOOTSTRAP_SERVERS", "KAFKA_SASL_PLAINTEXT_SERVERS"] {
        let servers = variable(variable_of_servers);
        for security in [tls(true), tls(true).with_sasl(plain.clone())] {
            each_is_of_tls(&servers, security, TlsProblem::NotTls).await;
        }
    }
    for variable_of_servers in ["KAFKA_SSL_SERVERS", "KAFKA_SASL_SSL_SERVERS"] {
        let servers = variable(variable_of_servers);
        let without = Security::default();
        for security in [without.clone(), without.with_sasl(plain.clone())] {
            each_is_of_tls(&servers, security, TlsProblem::TlsExpected).await;
        }
    }
}

async fn each_is_of_tls(servers: &str, security: Security, expected: TlsProblem) {
    for error in errors(servers, security).await {
        let told = matches!(&error, WireError::Tls { problem, .. } if *problem == expected);
        assert!(told, "{error} and not {expected}");
    }
}

#[tokio::test]
#[ignore = "needs a real Kafka: eval \"$(deploy/testbed/up)\", then cargo test -p kafka-client --test secured -- --ignored"]
async fn a_listener_for_sasl_and_a_client_without() {
    for (servers, security) in [
        ("KAFKA_SASL_PLAINTEXT_SERVERS", Security::default()),
        ("KAFKA_SASL_SSL_SERVERS", tls(true)),
    ] {
        for error in errors(&variable(servers), security).await {
            let told = matches!(&error, WireError::SaslExpected { offered, .. } if offered.iter().any(|m| m == "SCRAM-SHA-512"));
            assert!(told, "{error}");
        }
    }
}

#[tokio::test]
#[ignore = "needs a real Kafka: eval \"$(deploy/testbed/up)\", then cargo test -p kafka-client --test secured -- --ignored"]
async fn a_connection_outlives_its_session() {
    let sasl = Security::default().with_sasl(sasl(SaslMechanism::Plain));
    let options = ConnectOptions {
        security: sasl,
        ..ConnectOptions::default()
    };
    let servers = variable("KAFKA_SASL_PLAINTEXT_SERVERS");
    let server = servers.split(',').next().unwrap();
    let connection = Connection::open(server, &options).await.unwrap();
    // The test bed ends sessions of PLAIN after three seconds, and with them the connections that are not renewed.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(10) {
        let request = DescribeClusterRequest::default();
        connection.request(request).await.unwrap();
    }
}
