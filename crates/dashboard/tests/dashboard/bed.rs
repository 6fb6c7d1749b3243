//! What the tests share: a broker with the pipeline's topics, a played service in place of all, and the dashboard.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use contracts::names;
use dashboard::controls::Controls;
use dashboard::{DashboardSettings, ServiceUrls, build};
use kafka_broker::{Broker, BrokerConfig};
use kafka_client::{Client, ClientConfig, Producer, ProducerConfig, ProducerRecord};
use serde_json::Value;
use service_kit::application::ApplicationError;
use service_kit::secret::Secret;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::http::{Answer, Stream, send};
use crate::played::Played;

/// The bound on everything that a test waits for.
const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("{what} took longer than {PATIENCE:?}"))
}

/// Waits until it is so.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let looking = async {
        while !is_so().await {
            ticks.tick().await;
        }
    };
    within(what, looking).await;
}

/// A header line, for what is sent.
pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");

pub(crate) struct Bed {
    pub(crate) broker: Broker,
    pub(crate) client: Client,
    pub(crate) producer: Producer,
    /// In place of all services.
    pub(crate) played: Played,
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) ended: JoinHandle<Result<(), ApplicationError>>,
}

impl Bed {
    /// A dashboard of its own, with the token `hunter2`.
    pub(crate) async fn start() -> Self {
        Self::with(Some("hunter2"), None).await
    }

    pub(crate) async fn with(token: Option<&str>, controls: Option<Arc<dyn Controls>>) -> Self {
        Self::on(BrokerConfig::default(), token, controls).await
    }

    pub(crate) async fn on(
        config: BrokerConfig,
        token: Option<&str>,
        controls: Option<Arc<dyn Controls>>,
    ) -> Self {
        let broker = Broker::start(config).await.unwrap();
        for topic in names::TOPICS {
            broker.create_topic(topic, names::PARTITIONS).unwrap();
        }
        let client = Client::new(ClientConfig::new(&broker.bootstrap_servers())).unwrap();
        let played = Played::start().await;
        let settings = DashboardSettings {
            services: ServiceUrls {
                order: played.url(),
                payment: played.url(),
                inventory: played.url(),
                shipment: played.url(),
                notification: played.url(),
            },
            admin_token: token.map(|token| Secret::from(token.to_owned())),
            controls,
            embedded: true,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let application = build(&client, listener, settings).unwrap();
        let address = application.address();
        let stop = CancellationToken::new();
        let ended = tokio::spawn(application.run_until_stopped(stop.clone()));
        Self {
            producer: client.producer(ProducerConfig::default()),
            broker,
            client,
            played,
            address,
            stop,
            ended,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.address, "GET", path, &[], "").await
    }

    /// With the token.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let token = ("authorization", "Bearer hunter2");
        send(
            self.address,
            "POST",
            path,
            &[JSON, token],
            &body.to_string(),
        )
        .await
    }

    pub(crate) async fn watch(&self) -> Stream {
        let stream = Stream::open(self.address).await;
        assert_eq!(stream.status, 200);
        stream
    }

    /// Writes a record; its offset.
    pub(crate) async fn write(&self, topic: &str, partition: i32, key: &str, value: &[u8]) -> i64 {
        let headers: [(&str, Option<&[u8]>); 2] = [
            ("ce_type", Some(topic.as_bytes())),
            ("ce_id", Some(b"an-event")),
        ];
        let record = ProducerRecord::new(topic)
            .partition(partition)
            .key(key.as_bytes())
            .value(value)
            .headers(&headers);
        let written = async { self.producer.send(&record).await.unwrap().await };
        within("writing", written).await.unwrap().offset
    }

    /// Stops the dashboard.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        within("stopping", self.ended).await.unwrap().unwrap();
    }
}

/// A partition of a snapshot.
pub(crate) fn partition<'a>(snapshot: &'a Value, topic: &str, partition: usize) -> &'a Value {
    let topics = snapshot["topics"].as_array().unwrap();
    let found = topics.iter().find(|found| found["topic"] == topic);
    found.map_or(&Value::Null, |found| &found["partitions"][partition])
}

/// A group of a snapshot.
pub(crate) fn group<'a>(snapshot: &'a Value, group: &str) -> &'a Value {
    let groups = snapshot["groups"].as_array().unwrap();
    let found = groups.iter().find(|found| found["group"] == group);
    found.unwrap_or(&Value::Null)
}
