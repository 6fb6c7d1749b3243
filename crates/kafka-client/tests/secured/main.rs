//! A client that authenticates and encrypts: how it is refused, and, on a real Kafka, how it works.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod real;
mod stranger;

use std::time::Duration;

use kafka_client::{
    Client, ClientConfig, ClientError, ConsumerConfig, ConsumerError, GroupConfig, GroupEvent,
    ProduceError, ProducerConfig, ProducerRecord, Sasl, Security, StartAt, TopicPartition,
    WireError,
};
use stranger::Stranger;

/// How long a call may go on; much longer than any of these tests is to take.
const PATIENCE: Duration = Duration::from_secs(120);

fn client(servers: &str, security: Security) -> Client {
    let mut config = ClientConfig::new(servers);
    config.security = security;
    config.request_timeout = PATIENCE;
    Client::new(config).unwrap()
}

fn refused_client(stranger: &Stranger) -> Client {
    let sasl = Sasl::plain("alice", "an old secret");
    client(&stranger.address, Security::default().with_sasl(sasl))
}

/// Ends a test that would otherwise wait for as long as the client does.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    let bound = PATIENCE / 2;
    let soon = tokio::time::timeout(bound, what).await;
    soon.expect("an error that is final is told without waiting")
}

fn is_refusal(error: &ClientError) -> bool {
    let told = error.to_string();
    assert!(!told.contains("secret"), "{told}");
    error.is_authentication()
        && !error.is_retriable()
        && told.contains("never heard of you")
        && matches!(error, ClientError::Wire(WireError::Authentication { .. }))
}

#[tokio::test]
async fn an_admin_is_told_after_one_attempt() {
    let stranger = Stranger::start().await;
    let admin = refused_client(&stranger).admin();
    for attempts in 1..=2 {
        let error = soon(admin.describe_cluster()).await.unwrap_err();
        assert!(is_refusal(&error), "{error}");
        assert_eq!(stranger.refused(), attempts);
    }
}

#[tokio::test]
async fn a_producer_fails_what_is_sent() {
    let stranger = Stranger::start().await;
    let mut config = ProducerConfig::default();
    config.max_block = PATIENCE;
    config.delivery_timeout = PATIENCE;
    let producer = refused_client(&stranger).producer(config);
    let record = ProducerRecord::new("orders").value(b"one");
    match soon(producer.send(&record)).await.err().unwrap() {
        ProduceError::Metadata { source, .. } => assert!(is_refusal(&source), "{source}"),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_group_fails_with_what_the_broker_said() {
    let stranger = Stranger::start().await;
    let mut group = refused_client(&stranger)
        .consumer_group(GroupConfig::new("payments", ["orders"]))
        .unwrap();
    match soon(group.next()).await {
        Some(GroupEvent::Error(ConsumerError::Client(error))) => {
            assert!(is_refusal(&error), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_partition_without_a_group_fails_each_poll() {
    let stranger = Stranger::start().await;
    let at = [
        (TopicPartition::new("orders", 0), StartAt::Offset(7)),
        (TopicPartition::new("orders", 1), StartAt::Reset),
    ];
    let partitions = refused_client(&stranger)
        .consume(ConsumerConfig::default(), at)
        .unwrap();
    for mut partition in partitions {
        for _ in 0..2 {
            match soon(partition.poll(10)).await {
                Err(ConsumerError::Client(error)) => assert!(is_refusal(&error), "{error}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
