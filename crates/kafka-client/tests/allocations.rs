//! That nothing is allocated for a record: neither to send it nor to read it, in whichever of the client's tasks.
//!
//! The client has a runtime of the one thread that counts; the broker runs on others.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use allocation_counter::measure;
use kafka_broker::{Broker, BrokerConfig};
use kafka_client::{
    Client, ClientConfig, ConsumerConfig, NewTopic, ProducerConfig, ProducerRecord, StartAt,
    TopicPartition, TopicRecord,
};
use tokio::runtime::{Builder, Runtime};

const RECORDS: usize = 100_000;
/// Batches and requests do allocate, and there are few of them.
const MOST_PER_RECORD: f64 = 0.05;
/// The bound on all that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

const HEADERS: [(&str, Option<&[u8]>); 1] = [("kind", Some(b"small"))];

struct Bed {
    /// The thread that counts.
    here: Runtime,
    elsewhere: Runtime,
    broker: Broker,
    client: Client,
}

impl Bed {
    /// With a topic of one partition.
    fn new() -> Self {
        let mut builder = Builder::new_multi_thread();
        let elsewhere = builder.worker_threads(1).enable_all().build().unwrap();
        let broker = elsewhere
            .block_on(Broker::start(BrokerConfig::default()))
            .unwrap();
        let here = Builder::new_current_thread().enable_all().build().unwrap();
        let config = ClientConfig::new(&broker.bootstrap_servers());
        let client = here.block_on(async { Client::new(config) }).unwrap();
        here.block_on(
            client
                .admin()
                .ensure_topics(&[NewTopic::new("small", 1, 1)]),
        )
        .unwrap();
        Self {
            here,
            elsewhere,
            broker,
            client,
        }
    }

    /// Runs this here and checks how much is allocated meanwhile, by it and by the client's tasks.
    fn check(&self, what: &str, work: impl Future<Output = ()>) {
        let counted = measure(|| {
            let work = async { tokio::time::timeout(PATIENCE, work).await };
            self.here.block_on(work).expect(what);
        });
        assert!(counted.count_total > 0, "nothing is counted");
        let each = counted.count_total as f64 / RECORDS as f64;
        assert!(
            each < MOST_PER_RECORD,
            "{what}: {each} allocations a record"
        );
    }

    /// Sends all records in each of the ways that there are.
    fn send(&self) {
        // Metadata, connection and producer id are not what is counted.
        let producer = self.here.block_on(async {
            let producer = self.client.producer(ProducerConfig::default());
            let first = producer.send(&ProducerRecord::new("small")).await.unwrap();
            first.await.unwrap();
            producer
        });
        let topic = producer.topic("small");
        let record = TopicRecord {
            value: Some(b"value"),
            headers: &HEADERS,
            ..TopicRecord::default()
        };
        let keyed = TopicRecord {
            key: Some(b"key"),
            ..record
        };
        for (what, record) in [("no key", record), ("a key", keyed)] {
            let mut deliveries = Vec::with_capacity(RECORDS);
            self.check(what, async {
                for _ in 0..RECORDS {
                    deliveries.push(topic.send(&record).await.unwrap());
                }
                producer.flush().await;
                for delivery in deliveries {
                    delivery.await.unwrap();
                }
            });
        }
        let named = ProducerRecord::new("small")
            .value(b"value")
            .headers(&HEADERS);
        self.check("a topic's name", async {
            for _ in 0..RECORDS {
                drop(producer.send(&named).await.unwrap());
            }
            producer.flush().await;
        });
    }

    /// Reads as many of them.
    fn read(&self) {
        let mut consumers = self.here.block_on(async {
            let small = TopicPartition::new("small", 0);
            self.client
                .consume(ConsumerConfig::default(), [(small, StartAt::Offset(1))])
                .unwrap()
        });
        let consumer = &mut consumers[0];
        let (mut records, mut bytes) = (0, 0);
        self.check("reading", async {
            while records < RECORDS {
                let polled = consumer.poll(1_000).await.unwrap().unwrap();
                for record in &polled {
                    records += 1;
                    bytes += record.value.map_or(0, <[u8]>::len);
                    let headers = record.headers.map(|h| h.value.map_or(0, <[u8]>::len));
                    bytes += headers.sum::<usize>();
                }
            }
        });
        assert_eq!(bytes, records * (b"value".len() + b"small".len()));
    }
}

#[test]
fn nothing_is_allocated_for_a_record() {
    let bed = Bed::new();
    bed.send();
    bed.read();
    bed.elsewhere.block_on(bed.broker.stop());
}
