//! The service as a whole: on a broker, with its HTTP.

use std::sync::Arc;

use contracts::{Envelope, Event, PaymentStatus, ShipmentProcessed, ShipmentStatus, names};
use kafka_broker::{Broker, BrokerConfig};
use kafka_client::{Client, ClientConfig, ProducerConfig};
use notification_service::NotificationSettings;
use notification_service::smtp::Patience;
use serde_json::{Value, json};
use service_kit::clock::ManualClock;
use service_kit::context::{Context, ensure_topics};
use service_kit::publish::publish;
use service_kit::store::{EmbeddedStore, Store};
use service_kit::worker::WorkerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::desk::{noon, order, payment, shipment, until, within};
use crate::smtp::Stub;

struct Bed {
    broker: Broker,
    context: Context,
}

struct Service {
    address: std::net::SocketAddr,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Bed {
    async fn start() -> Self {
        let broker = Broker::start(BrokerConfig::default()).await.unwrap();
        let client = Client::new(ClientConfig::new(&broker.bootstrap_servers())).unwrap();
        within("making topics", ensure_topics(&client))
            .await
            .unwrap();
        let context = Context {
            client,
            store: Store::Embedded(EmbeddedStore::new()),
            clock: Arc::new(ManualClock::at(noon())),
            worker: WorkerConfig::default(),
        };
        Self { broker, context }
    }

    async fn serve(&self, smtp_url: Option<String>) -> Service {
        let settings = NotificationSettings {
            smtp_url: smtp_url.map(|url| url.parse().unwrap()),
            ..NotificationSettings::default()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = notification_service::build(&self.context, listener, settings).unwrap();
        let (address, stop) = (service.address(), CancellationToken::new());
        let stopped = stop.clone();
        let running =
            tokio::spawn(async move { service.run_until_stopped(stopped).await.unwrap() });
        Service {
            address,
            stop,
            running,
        }
    }

    async fn publish<E: Event + Clone>(&self, events: &[E]) {
        let producer = self.context.client.producer(ProducerConfig::default());
        let messages: Vec<_> = events
            .iter()
            .map(|event| Envelope::new(event.clone(), None).encode().unwrap())
            .collect();
        within("publishing", publish(&producer, &messages))
            .await
            .unwrap();
        within("closing", producer.close(std::time::Duration::from_secs(5)))
            .await
            .unwrap();
    }

    fn committed(&self, topic: &str) -> i64 {
        let inspect = self.broker.inspect();
        let partitions = 0..names::PARTITIONS;
        partitions
            .filter_map(|n| inspect.committed(names::NOTIFICATION_SERVICE, topic, n))
            .sum()
    }

    async fn until_committed(&self, topic: &str, events: i64) {
        let committed = || async { self.committed(topic) == events };
        until("committing", committed).await;
    }
}

impl Service {
    /// The status, the head and the body of an answer to GET.
    async fn get(&self, path: &str) -> (u16, String, String) {
        let asking = async {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let answer = within("an answer", asking).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_ascii_lowercase(), body.to_owned())
    }

    async fn json(&self, path: &str) -> Value {
        let (status, _, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    async fn stop(self) {
        self.stop.cancel();
        within("stopping", self.running).await.unwrap();
    }
}

fn shipped(orders: std::ops::Range<u16>) -> Vec<ShipmentProcessed> {
    let shipped = |number| shipment(number, ShipmentStatus::Shipped);
    orders.map(shipped).collect()
}

#[tokio::test]
async fn a_mail_goes_out_for_each_end_and_offsets_are_committed_behind_it() {
    let (bed, stub) = (Bed::start().await, Stub::start().await);
    let service = bed.serve(Some(stub.url().to_string())).await;
    bed.publish(&shipped(0..100)).await;
    let ends: Vec<_> = PaymentStatus::ALL
        .iter()
        .zip(200..)
        .map(|(status, number)| payment(number, *status))
        .collect();
    bed.publish(&ends).await;
    bed.until_committed(names::SHIPMENT_PROCESSED, 100).await;
    bed.until_committed(names::PAYMENT_PROCESSED, 4).await;
    assert_eq!(stub.received().len(), 103);

    let page = service.json("/mails?limit=500").await;
    assert_eq!(page["items"].as_array().unwrap().len(), 103);
    assert!(page["next"].is_null());
    assert!(
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|mail| mail["state"] == "SENT")
    );
    let health = service.json("/health").await;
    assert_eq!(health["status"], "up");
    let smtp = json!({ "status": "up", "detail": stub.url().to_string() });
    assert_eq!(health["checks"]["smtp"], smtp);
    let (_, _, metrics) = service.get("/metrics").await;
    let line =
        "orderflow_mails_total{service=\"notification-service\",kind=\"shipped\",outcome=\"sent\"}";
    assert!(metrics.contains(line), "{metrics}");
    service.stop().await;
}

#[tokio::test]
async fn while_the_relay_is_away_events_wait_and_the_service_is_up() {
    let (bed, stub) = (Bed::start().await, Stub::start().await);
    let (address, url) = (stub.address(), stub.url().to_string());
    drop(stub);
    let service = bed.serve(Some(url)).await;
    bed.publish(&shipped(0..3)).await;
    let stored = || async {
        let page = service.json("/mails").await;
        page["items"].as_array().unwrap().len() == 3
    };
    until("storing", stored).await;
    let health = service.json("/health").await;
    assert_eq!(
        (&health["status"], &health["checks"]["smtp"]["status"]),
        (&json!("up"), &json!("down"))
    );
    assert_eq!(bed.committed(names::SHIPMENT_PROCESSED), 0);
    // Stopped meanwhile, and started again: nothing is lost of what waits.
    service.stop().await;
    assert_eq!(bed.committed(names::SHIPMENT_PROCESSED), 0);
    let service = bed.serve(Some(format!("smtp://{address}"))).await;
    let stub = Stub::on(address).await;
    bed.until_committed(names::SHIPMENT_PROCESSED, 3).await;
    assert_eq!(stub.received().len(), 3);
    let letters = service.json("/dead-letters").await;
    assert_eq!(letters["items"], json!([]));
    service.stop().await;
}

#[tokio::test]
async fn mails_are_listed_page_by_page_and_shown_one_by_one() {
    let bed = Bed::start().await;
    let service = bed.serve(None).await;
    let mut odd = shipped(0..3);
    odd[1].customer_id = "<b>&\"Ü".parse().unwrap();
    bed.publish(&odd).await;
    bed.until_committed(names::SHIPMENT_PROCESSED, 3).await;

    let first = service.json("/mails?limit=2").await;
    let ids: Vec<&Value> = first["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mail| &mail["mail_id"])
        .collect();
    let id = |number| format!("{}.shipped", order(number));
    assert_eq!(ids, [&json!(id(0)), &json!(id(1))]);
    let rest = service
        .json(&format!("/mails?after={}", first["next"].as_str().unwrap()))
        .await;
    assert_eq!(rest["items"][0]["mail_id"], json!(id(2)));
    let newest = service.json("/mails?limit=1&order=desc").await;
    assert_eq!(newest["items"][0]["mail_id"], json!(id(2)));
    let mail = service.json(&format!("/mails/{}", id(2))).await;
    assert_eq!(
        (
            &mail["state"],
            &mail["kind"],
            &mail["to"],
            &mail["order_id"]
        ),
        (
            &json!("KEPT"),
            &json!("SHIPPED"),
            &json!("CUST-42@customers.example"),
            &json!(order(2))
        )
    );
    for (path, status) in [
        (format!("/mails/{}", id(9)), 404),
        ("/mails/x".to_owned(), 404),
        (format!("/mails/{}?x=1", id(2)), 400),
        ("/mails?after=x".to_owned(), 400),
        ("/outbox?limit=0".to_owned(), 400),
        ("/outbox/x".to_owned(), 404),
    ] {
        assert_eq!(service.get(&path).await.0, status, "{path}");
    }
    for path in ["/", "/outbox"] {
        let (status, head, body) = service.get(path).await;
        assert_eq!(status, 200);
        assert!(
            head.contains("content-type: text/html; charset=utf-8"),
            "{head}"
        );
        assert!(head.contains("default-src 'none'"), "{head}");
        assert!(body.contains("Hello &lt;b&gt;&amp;&quot;Ü,"), "{body}");
    }
    for (order, last) in [("", 0), ("&order=desc", 2)] {
        let (_, _, page) = service.get(&format!("/outbox?limit=1{order}")).await;
        let next = format!(
            "/outbox?after={}{}\"",
            id(last),
            order.replace('&', "&amp;")
        );
        assert!(page.contains(&next), "{page}");
    }
    let (status, head, _) = service.get("/outbox/style.css").await;
    assert!(
        status == 200 && head.contains("content-type: text/css"),
        "{head}"
    );
    let detail = service.json("/health").await["checks"]["smtp"]["detail"].clone();
    assert_eq!(detail, "no relay: mails are kept here");
    service.stop().await;
}

#[test]
fn what_is_not_said_is_as_written_in_the_documents() {
    let settings = NotificationSettings::default();
    assert_eq!(settings.smtp_url, None);
    assert_eq!(
        settings.from.to_string(),
        "Orderflow <orders@orderflow.example>"
    );
    assert_eq!(settings.domain.to_string(), "customers.example");
    let Patience {
        command,
        acceptance,
        conversation,
    } = settings.patience;
    assert_eq!(
        [command, acceptance, conversation].map(|time| time.as_secs()),
        [10, 60, 60]
    );
}
