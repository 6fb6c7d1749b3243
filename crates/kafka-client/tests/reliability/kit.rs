//! What the tests share: a cluster, clients of it, and the seed of what is random.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use kafka_broker::{Broker, BrokerConfig};
use kafka_client::{Client, ClientConfig, NewTopic, OffsetAt, TopicPartition};
use rand::SeedableRng;
use rand::rngs::StdRng;
use uuid::Uuid;

/// The bound on everything that a test waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("{what} took longer than {PATIENCE:?}"))
}

/// Random numbers from a seed that is printed, so that `SEED=… cargo test …` draws the same ones.
pub(crate) fn random() -> (u64, StdRng) {
    let given = std::env::var("SEED").ok().map(|s| s.parse().unwrap());
    let seed = given.unwrap_or_else(rand::random);
    println!("SEED={seed}");
    (seed, StdRng::seed_from_u64(seed))
}

/// A cluster to test on.
pub(crate) struct Bed {
    bootstrap: String,
    broker: Option<Broker>,
}

impl Bed {
    /// An embedded cluster of so many nodes.
    pub(crate) async fn embedded(nodes: usize, fault_seed: u64) -> Self {
        let config = BrokerConfig {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); nodes],
            fault_seed,
            ..BrokerConfig::default()
        };
        let broker = Broker::start(config).await.unwrap();
        Self {
            bootstrap: broker.bootstrap_servers(),
            broker: Some(broker),
        }
    }

    pub(crate) fn broker(&self) -> &Broker {
        self.broker.as_ref().expect("an embedded broker")
    }

    pub(crate) fn real() -> Self {
        let bootstrap = std::env::var("KAFKA_BOOTSTRAP_SERVERS")
            .expect("KAFKA_BOOTSTRAP_SERVERS names a running Kafka; see deploy/testbed");
        Self::at(bootstrap)
    }

    /// The cluster that is reached by these addresses.
    pub(crate) fn at(bootstrap: String) -> Self {
        Self {
            bootstrap,
            broker: None,
        }
    }

    pub(crate) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// A client with connections of its own, as another process would have.
    pub(crate) fn client(&self) -> Client {
        Client::new(ClientConfig::new(&self.bootstrap)).unwrap()
    }

    pub(crate) fn name(&self, what: &str) -> String {
        format!("{what}-{}", Uuid::new_v4().simple())
    }

    /// A topic with the cluster's default number of replicas.
    pub(crate) async fn topic(&self, partitions: i32) -> String {
        let name = self.name("reliability");
        let client = self.client();
        let topic = [NewTopic::new(&name, partitions, -1)];
        within("making a topic", client.admin().ensure_topics(&topic))
            .await
            .unwrap();
        name
    }

    /// The offsets behind the last records of a topic's partitions.
    pub(crate) async fn ends(&self, topic: &str, partitions: i32) -> Vec<i64> {
        let all: Vec<_> = (0..partitions)
            .map(|p| TopicPartition::new(topic, p))
            .collect();
        let client = self.client();
        let admin = client.admin();
        let ends = within(
            "asking for offsets",
            admin.list_offsets(&all, OffsetAt::Latest),
        );
        let ends = ends.await.unwrap().into_iter();
        ends.map(|(_, end)| end.unwrap().offset.unwrap()).collect()
    }
}
