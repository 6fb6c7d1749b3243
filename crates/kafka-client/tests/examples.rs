//! The examples do what they say.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests do")]
#![expect(
    clippy::duplicate_mod,
    reason = "each example is read on its own and finds Kafka the same way"
)]

#[path = "../examples/admin.rs"]
#[expect(dead_code, reason = "its main is not run")]
mod admin;
#[path = "../examples/consume_and_commit.rs"]
#[expect(dead_code, reason = "its main is not run")]
mod consume_and_commit;
#[path = "../examples/many_workers.rs"]
#[expect(dead_code, reason = "its main is not run")]
mod many_workers;
#[path = "../examples/produce.rs"]
#[expect(dead_code, reason = "its main is not run")]
mod produce;

use std::collections::BTreeMap;

use kafka_broker::{Broker, BrokerConfig};

#[tokio::test]
async fn produce() {
    let broker = Broker::start(BrokerConfig::default()).await.unwrap();
    let written = produce::run(&broker.bootstrap_servers()).await.unwrap();
    let mut next: BTreeMap<i32, i64> = BTreeMap::new();
    for record in &written {
        let expected = next.entry(record.partition).or_default();
        assert_eq!(record.offset, *expected, "{record:?}");
        *expected += 1;
    }
    assert_eq!(written.len(), 9);
    for (one, next) in written.iter().zip(written.iter().skip(3)) {
        assert_eq!(one.partition, next.partition, "records of one key");
    }
}

#[tokio::test]
async fn consume_and_commit() {
    let broker = Broker::start(BrokerConfig::default()).await.unwrap();
    let servers = broker.bootstrap_servers();
    assert_eq!(consume_and_commit::run(&servers).await.unwrap(), 30);
    assert_eq!(lag(&servers, "example-readers").await, 0);
}

#[tokio::test]
async fn many_workers() {
    let broker = Broker::start(BrokerConfig::default()).await.unwrap();
    let servers = broker.bootstrap_servers();
    assert_eq!(many_workers::run(&servers).await.unwrap(), 200);
    assert_eq!(lag(&servers, "example-workers").await, 0);
}

#[tokio::test]
async fn admin() {
    let broker = Broker::start(BrokerConfig::default()).await.unwrap();
    let rows = admin::run(&broker.bootstrap_servers()).await.unwrap();
    let seen: Vec<_> = rows
        .iter()
        .map(|row| (row.partition, row.committed, row.end, row.lag))
        .collect();
    assert_eq!(seen, [(0, Some(2), 5, 3), (1, Some(5), 5, 0)]);
}

async fn lag(servers: &str, group: &str) -> i64 {
    let client = kafka_client::Client::new(kafka_client::ClientConfig::new(servers)).unwrap();
    let rows = client.admin().lag(group).await.unwrap();
    assert!(rows.iter().all(|row| row.committed.is_some()), "{rows:?}");
    rows.iter().map(|row| row.lag).sum()
}
