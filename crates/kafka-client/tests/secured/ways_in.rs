//! Everything that a client can be used for, and what each says to a broker that cannot be used.

use kafka_client::{
    ClientError, ConsumerConfig, ConsumerError, GroupConfig, GroupEvent, ProduceError,
    ProducerConfig, ProducerRecord, Security, StartAt, TopicPartition,
};

use crate::{PATIENCE, client, soon};

/// The errors of the admin, the producer, the group and the partition without a group. Each has a client of its own, which knows nothing of
/// the cluster yet, and is used twice where that goes: whoever asks again is told again.
pub(crate) async fn errors(servers: &str, security: &Security) -> Vec<(&'static str, ClientError)> {
    let mut errors = Vec::new();
    for error in admin(servers, security).await {
        errors.push(("admin", error));
    }
    for error in producer(servers, security).await {
        errors.push(("producer", error));
    }
    errors.push(("group", group(servers, security).await));
    for error in partitions(servers, security).await {
        errors.push(("partition", error));
    }
    errors
}

async fn admin(servers: &str, security: &Security) -> Vec<ClientError> {
    let admin = client(servers, security.clone()).admin();
    vec![
        soon(admin.describe_cluster()).await.unwrap_err(),
        soon(admin.describe_topics(&["orders"])).await.unwrap_err(),
    ]
}

async fn producer(servers: &str, security: &Security) -> Vec<ClientError> {
    let mut config = ProducerConfig::default();
    config.max_block = PATIENCE;
    config.delivery_timeout = PATIENCE;
    let producer = client(servers, security.clone()).producer(config);
    let record = ProducerRecord::new("orders").value(b"one");
    let mut errors = Vec::new();
    for _ in 0..2 {
        match soon(producer.send(&record)).await.err().unwrap() {
            ProduceError::Metadata { source, .. } => errors.push(*source),
            other => panic!("{other}"),
        }
    }
    errors
}

/// A group tells it once, and is over: it asks nobody again.
async fn group(servers: &str, security: &Security) -> ClientError {
    let mut group = client(servers, security.clone())
        .consumer_group(GroupConfig::new("payments", ["orders"]))
        .unwrap();
    let error = match soon(group.next()).await {
        Some(GroupEvent::Error(ConsumerError::Client(error))) => error,
        other => panic!("{other:?}"),
    };
    assert!(soon(group.next()).await.is_none());
    error
}

async fn partitions(servers: &str, security: &Security) -> Vec<ClientError> {
    let at = [
        (TopicPartition::new("orders", 0), StartAt::Offset(7)),
        (TopicPartition::new("orders", 1), StartAt::Reset),
    ];
    let partitions = client(servers, security.clone())
        .consume(ConsumerConfig::default(), at)
        .unwrap();
    let mut errors = Vec::new();
    for mut partition in partitions {
        for _ in 0..2 {
            match soon(partition.poll(10)).await {
                Err(ConsumerError::Client(error)) => errors.push(error),
                other => panic!("{other:?}"),
            }
        }
    }
    errors
}
