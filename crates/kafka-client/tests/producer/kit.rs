//! What the scenarios share: a cluster, topics on it, a load, and a look at what was written.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use kafka_broker::{Broker, BrokerConfig};
use kafka_client::{
    Client, ClientConfig, ConsumerConfig, Delivery, NewTopic, OffsetAt, ProduceError, Producer,
    StartAt, TopicPartition, TopicRecord,
};
use tokio::task::JoinSet;
use uuid::Uuid;

/// The bound on everything that a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("{what} took longer than {PATIENCE:?}"))
}

/// A cluster to test on.
pub(crate) struct Bed {
    pub(crate) client: Client,
    broker: Option<Broker>,
}

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Where the decisions of faults with a probability start from: several runs of a test, or the one run that `SEED=… cargo test …`
/// asks for. Each is printed as its run begins, so that the last one is that of the run that failed.
pub(crate) fn seeds() -> impl Iterator<Item = u64> {
    let given: Option<u64> = std::env::var("SEED").ok().map(|seed| seed.parse().unwrap());
    let count = if given.is_some() { 1 } else { 3 };
    (0..count).map(move |_| {
        let seed = given.unwrap_or_else(rand::random);
        println!("SEED={seed}");
        seed
    })
}

impl Bed {
    pub(crate) async fn embedded(nodes: usize) -> Self {
        Self::embedded_with_seed(nodes, 0).await
    }

    /// With faults whose decisions start from this seed.
    pub(crate) async fn embedded_with_seed(nodes: usize, fault_seed: u64) -> Self {
        let config = BrokerConfig {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 0)); nodes],
            fault_seed,
            ..BrokerConfig::default()
        };
        let broker = Broker::start(config).await.unwrap();
        let client = Client::new(ClientConfig::new(&broker.bootstrap_servers())).unwrap();
        Self {
            client,
            broker: Some(broker),
        }
    }

    pub(crate) fn real() -> Self {
        let bootstrap = std::env::var("KAFKA_BOOTSTRAP_SERVERS")
            .expect("KAFKA_BOOTSTRAP_SERVERS names a running Kafka; see deploy/testbed");
        Self {
            client: Client::new(ClientConfig::new(&bootstrap)).unwrap(),
            broker: None,
        }
    }

    /// The embedded broker.
    pub(crate) fn broker(&self) -> &Broker {
        self.broker
            .as_ref()
            .expect("this test is for the embedded broker")
    }

    pub(crate) async fn topic(&self, partitions: i32) -> String {
        self.topic_with(partitions, |topic| topic).await
    }

    pub(crate) async fn topic_with(
        &self,
        partitions: i32,
        change: impl FnOnce(NewTopic) -> NewTopic,
    ) -> String {
        let name = format!("produce-{}", Uuid::new_v4().simple());
        let topic = change(NewTopic::new(&name, partitions, 1));
        within(
            "making a topic",
            self.client.admin().ensure_topics(&[topic]),
        )
        .await
        .unwrap();
        name
    }

    /// All records of a partition.
    pub(crate) async fn read(&self, topic: &str, partition: i32) -> Vec<Read> {
        let id = TopicPartition::new(topic, partition);
        let end = self
            .client
            .admin()
            .list_offsets(std::slice::from_ref(&id), OffsetAt::Latest)
            .await
            .unwrap()
            .remove(0)
            .1
            .unwrap()
            .offset
            .unwrap();
        let mut read = Vec::new();
        if end == 0 {
            return read;
        }
        let mut consumers = self
            .client
            .consume(ConsumerConfig::default(), [(id, StartAt::Offset(0))])
            .unwrap();
        let consumer = &mut consumers[0];
        while (read.len() as i64) < end {
            let records = within("polling", consumer.poll(10_000))
                .await
                .unwrap()
                .expect("the partition is held until it is dropped");
            read.extend(records.iter().map(|r| {
                Read {
                    offset: r.offset,
                    timestamp: r.timestamp,
                    key: r.key.map(<[u8]>::to_vec),
                    value: r.value.map(<[u8]>::to_vec),
                    headers: r
                        .headers
                        .map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec)))
                        .collect(),
                }
            }));
        }
        read
    }

    /// Checks that each of `keys` keys has its numbers 0..`count` once and in order, and nothing else is there.
    pub(crate) async fn check_load(&self, topic: &str, partitions: i32, keys: u32, count: u32) {
        let mut seen: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for partition in 0..partitions {
            for (index, record) in self.read(topic, partition).await.into_iter().enumerate() {
                assert_eq!(record.offset, index as i64, "offsets are contiguous");
                let number =
                    |bytes: Option<Vec<u8>>| u32::from_be_bytes(bytes.unwrap().try_into().unwrap());
                seen.entry(number(record.key))
                    .or_default()
                    .push(number(record.value));
            }
        }
        assert_eq!(seen.len(), keys as usize);
        let all: Vec<u32> = (0..count).collect();
        for (key, numbers) in seen {
            let first_wrong = numbers.iter().zip(&all).position(|(a, b)| a != b);
            assert!(
                numbers == all,
                "key {key}: {} records of {count}, first wrong one at {first_wrong:?}",
                numbers.len()
            );
        }
    }
}

/// Sends the numbers 0..`count` under each of `keys` keys, a task each, and returns once all are acknowledged.
pub(crate) async fn load(producer: &Producer, topic: &str, keys: u32, count: u32) {
    let mut tasks = JoinSet::new();
    for key in 0..keys {
        let producer = producer.clone();
        let topic = producer.topic(topic);
        tasks.spawn(async move {
            let mut deliveries = Vec::new();
            for number in 0..count {
                let delivery = send_number(&topic, key, number).await.unwrap();
                // Not all at once: faults are to hit many requests.
                if number % 100 == 99 {
                    delivery.await.unwrap();
                } else {
                    deliveries.push(delivery);
                }
            }
            for delivery in deliveries {
                delivery.await.unwrap();
            }
        });
    }
    within("the load", async {
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
    })
    .await;
}

pub(crate) async fn send_number(
    topic: &kafka_client::TopicProducer,
    key: u32,
    number: u32,
) -> Result<Delivery, ProduceError> {
    topic
        .send(&TopicRecord {
            key: Some(&key.to_be_bytes()),
            value: Some(&number.to_be_bytes()),
            ..TopicRecord::default()
        })
        .await
}
