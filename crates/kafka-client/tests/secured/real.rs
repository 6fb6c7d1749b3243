//! The secured listeners of a real Kafka: those of deploy/testbed, whose variables name them.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_client::rustls::pki_types::CertificateDer;
use kafka_client::rustls::pki_types::pem::PemObject;
use kafka_client::rustls::{ClientConfig as TlsConfig, RootCertStore};
use kafka_client::{
    Client, ClientConfig, ClientError, GroupConfig, GroupEvent, NewTopic, OffsetReset,
    ProducerConfig, ProducerRecord, Sasl, SaslMechanism, Security, TlsProblem, WireError,
};
use kafka_wire::messages::DescribeClusterRequest;
use kafka_wire::{ConnectOptions, Connection};
use uuid::Uuid;

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
    let config = TlsConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Security::default().with_tls(Arc::new(config))
}

fn client(servers: &str, security: Security) -> Client {
    let mut config = ClientConfig::new(servers);
    config.security = security;
    config.request_timeout = Duration::from_secs(20);
    Client::new(config).unwrap()
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

async fn error(servers: &str, security: Security) -> WireError {
    let refused = client(servers, security).admin().describe_cluster().await;
    match refused.unwrap_err() {
        ClientError::Wire(error) => {
            let told = error.to_string();
            let mut servers = servers.split(',');
            assert!(servers.any(|server| told.contains(server)), "{told}");
            error
        }
        other => panic!("{other}"),
    }
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
            let error = error(&servers, Security::default().with_sasl(wrong)).await;
            let told = matches!(&error, WireError::Authentication { reason, .. } if reason.contains("Authentication failed"));
            assert!(told, "{error}");
        }
    }
}

#[tokio::test]
#[ignore = "needs a real Kafka: eval \"$(deploy/testbed/up)\", then cargo test -p kafka-client --test secured -- --ignored"]
async fn a_mechanism_that_is_not_offered_and_a_listener_without_sasl() {
    let plain = sasl(SaslMechanism::Plain);
    let servers = variable("KAFKA_SASL_SSL_SERVERS");
    match error(&servers, tls(true).with_sasl(plain.clone())).await {
        WireError::MechanismNotOffered { mut offered, .. } => {
            offered.sort();
            assert_eq!(offered, ["SCRAM-SHA-256", "SCRAM-SHA-512"]);
        }
        other => panic!("{other}"),
    }
    let servers = variable("KAFKA_BOOTSTRAP_SERVERS");
    let error = error(&servers, Security::default().with_sasl(plain)).await;
    assert!(matches!(error, WireError::Sasl { .. }), "{error}");
}

#[tokio::test]
#[ignore = "needs a real Kafka: eval \"$(deploy/testbed/up)\", then cargo test -p kafka-client --test secured -- --ignored"]
async fn a_certificate_has_to_be_trusted_and_for_the_host() {
    let servers = variable("KAFKA_SSL_SERVERS");
    let problem = |error| match error {
        WireError::Tls { problem, .. } => problem,
        other => panic!("{other}"),
    };
    let untrusted = error(&servers, tls(false)).await;
    assert_eq!(problem(untrusted), TlsProblem::UntrustedCertificate);
    // The certificate is for 127.0.0.1.
    let by_name = servers.replace("127.0.0.1", "localhost");
    let misnamed = error(&by_name, tls(true)).await;
    assert_eq!(problem(misnamed), TlsProblem::WrongHostName);
}

#[tokio::test]
#[ignore = "needs a real Kafka: eval \"$(deploy/testbed/up)\", then cargo test -p kafka-client --test secured -- --ignored"]
async fn plaintext_and_tls_taken_for_each_other() {
    let told = |servers: String, security| async move {
        let mut config = ClientConfig::new(&servers);
        config.security = security;
        // What may pass is tried again until the time is up; it should still be told what is likely wrong.
        config.request_timeout = Duration::from_secs(3);
        let admin = Client::new(config).unwrap().admin();
        let error = admin.describe_cluster().await.unwrap_err().to_string();
        assert!(
            servers.split(',').any(|server| error.contains(server)),
            "{error}"
        );
        error
    };
    let error = told(variable("KAFKA_BOOTSTRAP_SERVERS"), tls(true)).await;
    assert!(error.contains("the port is for plaintext"), "{error}");
    let error = told(variable("KAFKA_SSL_SERVERS"), Security::default()).await;
    assert!(error.contains("for TLS"), "{error}");
    let error = told(
        variable("KAFKA_SASL_PLAINTEXT_SERVERS"),
        Security::default(),
    )
    .await;
    assert!(error.contains("may be one for SASL"), "{error}");
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
