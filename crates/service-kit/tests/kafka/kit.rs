//! What the tests share: a broker, two topics, and events small and large.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use contracts::{Envelope, Event, OrderId, Timestamp};
use kafka_broker::{Broker, BrokerConfig};
use kafka_client::{
    Client, ClientConfig, ConsumerConfig, NewTopic, OffsetReset, Producer, ProducerConfig, StartAt,
    TopicPartition,
};
use serde::{Deserialize, Serialize};
use service_kit::publish::publish;

/// The bound on everything that a test waits for.
const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("{what} took longer than {PATIENCE:?}"))
}

/// Waits until it is so.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let looking = async {
        while !is_so().await {
            ticks.tick().await;
        }
    };
    within(what, looking).await;
}

/// Numbered orders are in order.
pub(crate) fn order(number: u16) -> OrderId {
    let mut random = [0; 10];
    random[8..].copy_from_slice(&number.to_be_bytes());
    OrderId::new(Timestamp::from_millis(1), random)
}

/// What is asked: an answer of so many bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) order_id: OrderId,
    pub(crate) bytes: usize,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answered {
    pub(crate) order_id: OrderId,
    pub(crate) text: String,
}

macro_rules! event {
    ($event:ident, $topic:literal) => {
        impl Event for $event {
            const TOPIC: &'static str = $topic;
            const TYPE: &'static str = concat!("test.", $topic, ".v1");
            const SOURCE: &'static str = "test";

            fn order_id(&self) -> OrderId {
                self.order_id
            }

            fn status(&self) -> &'static str {
                $topic
            }

            fn timestamp(&self) -> Timestamp {
                Timestamp::from_millis(1)
            }
        }
    };
}

event!(Asked, "asked");
event!(Answered, "answered");

/// A record as it was read.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: BTreeMap<String, String>,
}

pub(crate) struct Bed {
    pub(crate) broker: Broker,
    pub(crate) client: Client,
    /// Of the test, not of what is tested.
    pub(crate) producer: Producer,
}

impl Bed {
    pub(crate) async fn start() -> Self {
        Self::with_answers_up_to(1_048_588).await
    }

    /// A broker that takes batches of answers up to so many bytes.
    pub(crate) async fn with_answers_up_to(bytes: usize) -> Self {
        let broker = Broker::start(BrokerConfig::default()).await.unwrap();
        let client = Client::new(ClientConfig::new(&broker.bootstrap_servers())).unwrap();
        let topics = [
            NewTopic::new(Asked::TOPIC, 1, 1),
            NewTopic::new(Answered::TOPIC, 1, 1).config("max.message.bytes", bytes.to_string()),
        ];
        within("making topics", client.admin().ensure_topics(&topics))
            .await
            .unwrap();
        let producer = client.producer(ProducerConfig::default());
        Self {
            broker,
            client,
            producer,
        }
    }

    /// Asks for answers of these sizes, for the orders 0, 1, and so on.
    pub(crate) async fn ask(&self, sizes: &[usize]) {
        let numbered: Vec<_> = (0..).zip(sizes.iter().copied()).collect();
        self.ask_of(&numbered).await;
    }

    /// Asks for answers, for these orders and of these sizes.
    pub(crate) async fn ask_of(&self, asked: &[(u16, usize)]) {
        let messages: Vec<_> = asked
            .iter()
            .map(|(number, bytes)| {
                let asked = Asked {
                    order_id: order(*number),
                    bytes: *bytes,
                };
                Envelope::new(asked, None).encode().unwrap()
            })
            .collect();
        within("asking", publish(&self.producer, &messages))
            .await
            .unwrap();
    }

    /// The first records of a topic's first partition.
    pub(crate) async fn read(&self, topic: &str, count: usize) -> Vec<Letter> {
        let config = ConsumerConfig {
            auto_offset_reset: OffsetReset::Earliest,
            ..ConsumerConfig::default()
        };
        let partition = (TopicPartition::new(topic, 0), StartAt::Reset);
        let mut partition = self.client.consume(config, [partition]).unwrap().remove(0);
        let mut letters = Vec::new();
        while letters.len() < count {
            let records = within("reading", partition.poll(count - letters.len())).await;
            for record in &records.unwrap().expect("nobody revokes it") {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                letters.push(Letter {
                    key: record.key.map(<[u8]>::to_vec),
                    value: record.value.map(<[u8]>::to_vec),
                    headers: record
                        .headers
                        .map(|header| (header.key.to_owned(), text(header.value.unwrap())))
                        .collect(),
                });
            }
        }
        letters
    }

    /// Which orders the first records of a topic are about.
    pub(crate) async fn orders(&self, topic: &str, count: usize) -> Vec<OrderId> {
        let letters = self.read(topic, count).await;
        letters
            .into_iter()
            .map(|letter| String::from_utf8(letter.key.unwrap()).unwrap())
            .map(|key| key.parse().unwrap())
            .collect()
    }
}
