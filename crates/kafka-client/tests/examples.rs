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
#[path = "../examples/shop_events.rs"]
#[expect(dead_code, reason = "its main is not run")]
mod shop_events;

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_broker::{Broker, BrokerConfig};
use kafka_client::{Client, ClientConfig, NewTopic, ProducerConfig, ProducerRecord};

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

#[tokio::test]
async fn shop_events() {
    let broker = Broker::start(BrokerConfig::default()).await.unwrap();
    let servers = broker.bootstrap_servers();
    let client = Client::new(ClientConfig::new(&servers)).unwrap();
    let topics = shop_events::TOPICS.map(|topic| NewTopic::new(topic, 3, -1));
    client.admin().ensure_topics(&topics).await.unwrap();
    let producer = client.producer(ProducerConfig::default());
    let orders: Vec<String> = (0..20).map(|order| format!("order-{order}")).collect();
    let placed = orders.iter().map(|order| {
        ProducerRecord::new("order_placed")
            .key(order.as_bytes())
            .value(b"{}")
    });
    producer.send_all(placed).await.unwrap();

    let all_committed = async {
        let mut look = tokio::time::interval(Duration::from_millis(10));
        loop {
            look.tick().await;
            let rows = client.admin().lag("watchers").await.unwrap();
            if rows.iter().filter_map(|row| row.committed).sum::<i64>() == 20 {
                return;
            }
        }
    };
    let settings = shop_events::settings("watchers", true);
    let read = shop_events::run(&servers, settings, all_committed);
    tokio::time::timeout(Duration::from_secs(60), read)
        .await
        .expect("reads what is there")
        .unwrap();
}

async fn lag(servers: &str, group: &str) -> i64 {
    let client = Client::new(ClientConfig::new(servers)).unwrap();
    let rows = client.admin().lag(group).await.unwrap();
    assert!(rows.iter().all(|row| row.committed.is_some()), "{rows:?}");
    rows.iter().map(|row| row.lag).sum()
}
