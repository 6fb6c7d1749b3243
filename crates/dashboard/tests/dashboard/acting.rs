//! What the page can do.

use std::sync::Arc;

use contracts::names::{ORDER_PLACED, PAYMENT_SERVICE};
use dashboard::controls::{
    BrokerAction, ControlError, Controls, Instance, InstanceAction, InstanceState,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use kafka_client::RecordView;
use parking_lot::Mutex;
use serde_json::{Value, json};
use service_kit::dead_letters::{DeadLetters, Desk, Refusal};

use crate::bed::{Bed, within};
use crate::http::Answer;

const ORDER: &str = "019ab3c4-0000-7000-8000-0123456789ab";

/// Controls that only write down what they are told.
#[derive(Debug, Default)]
pub(crate) struct Pretended {
    told: Mutex<Vec<String>>,
    instances: Vec<Instance>,
}

impl Pretended {
    fn note(&self, what: String) {
        self.told.lock().push(what);
    }
}

impl Controls for Pretended {
    fn instances(&self) -> Vec<Instance> {
        self.instances.clone()
    }

    fn add(&self, service: &str) -> BoxFuture<'static, Result<Instance, ControlError>> {
        self.note(format!("add {service}"));
        let added = match service {
            PAYMENT_SERVICE => Ok(Instance {
                instance: "payment-service-2".to_owned(),
                service: service.to_owned(),
                url: "http://127.0.0.1:1".to_owned(),
                state: InstanceState::Running,
            }),
            _ => Err(ControlError::Unknown(format!("service {service}"))),
        };
        async { added }.boxed()
    }

    fn instance(
        &self,
        instance: &str,
        what: InstanceAction,
    ) -> BoxFuture<'static, Result<(), ControlError>> {
        self.note(format!("{what:?} {instance}"));
        let outcome = match what {
            InstanceAction::Start => Err(ControlError::Conflict("it runs".to_owned())),
            InstanceAction::Remove => Err(ControlError::Failed("it stays".to_owned())),
            InstanceAction::Crash => Err(ControlError::Late("it may still crash".to_owned())),
            InstanceAction::Stop => Ok(()),
        };
        async { outcome }.boxed()
    }

    fn broker(&self) -> Option<bool> {
        Some(true)
    }

    fn act_on_broker(&self, what: BrokerAction) -> BoxFuture<'static, Result<(), ControlError>> {
        self.note(format!("{what:?} the broker"));
        async { Ok(()) }.boxed()
    }
}

fn detail(answer: &Answer) -> String {
    answer.json()["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn processes_are_controlled_where_there_are_controls() {
    let pretended = Arc::new(Pretended::default());
    let controls: Arc<dyn Controls> = Arc::<Pretended>::clone(&pretended);
    let bed = Bed::with(Some("hunter2"), Some(controls)).await;
    let nothing = json!({});
    for (path, status) in [
        ("/api/services/payment-service/instances", 200),
        ("/api/services/other/instances", 404),
        ("/api/instances/payment-service-1/stop", 200),
        ("/api/instances/payment-service-1/crash", 504),
        ("/api/instances/payment-service-1/start", 409),
        ("/api/instances/payment-service-1/remove", 503),
        ("/api/instances/payment-service-1/burn", 404),
        ("/api/broker/stop", 200),
        ("/api/broker/start", 200),
        ("/api/broker/crash", 200),
        ("/api/broker/cut", 200),
        ("/api/broker/burn", 404),
    ] {
        let answer = bed.post(path, &nothing).await;
        assert_eq!(answer.status, status, "{path} {answer:?}");
        if status == 200 {
            assert!(answer.json()["done"].is_string());
        }
        // What may have been done is not asked for again.
        assert_eq!(answer.head.contains("retry-after"), status == 503, "{path}");
    }
    let told = pretended.told.lock().clone();
    assert_eq!(
        told,
        [
            "add payment-service",
            "add other",
            "Stop payment-service-1",
            "Crash payment-service-1",
            "Start payment-service-1",
            "Remove payment-service-1",
            "Stop the broker",
            "Start the broker",
            "Crash the broker",
            "Cut the broker",
        ]
    );
    bed.stop().await;
}

#[tokio::test]
async fn without_controls_it_is_told_how_it_is_done_by_hand() {
    let bed = Bed::start().await;
    let nothing = json!({});
    for (path, command) in [
        (
            "/api/services/payment-service/instances",
            "orderflow serve payment --http-port",
        ),
        (
            "/api/instances/payment-service-1/start",
            "orderflow serve payment",
        ),
        ("/api/instances/payment-service-1/stop", "Ctrl-C"),
        ("/api/broker/stop", "docker compose stop kafka"),
    ] {
        let answer = bed.post(path, &nothing).await;
        assert_eq!(answer.status, 409, "{path}");
        assert!(detail(&answer).contains(command), "{answer:?}");
    }
    bed.stop().await;
}

#[tokio::test]
async fn what_a_customer_or_the_warehouse_asks_is_passed_on_and_answered_as_it_is() {
    let bed = Bed::start().await;
    let order = json!({"customer_id": "C1", "total_amount": 59.98});
    bed.played
        .answer("POST /orders", 201, json!({"order_id": ORDER}));
    let placed = bed.post("/api/orders", &order).await;
    assert_eq!(
        (placed.status, placed.json()),
        (201, json!({"order_id": ORDER}))
    );
    let refusal = json!({"status": 409, "detail": "too late"});
    bed.played.answer(
        &format!("POST /orders/{ORDER}/cancel"),
        409,
        refusal.clone(),
    );
    let cancelled = bed
        .post(&format!("/api/orders/{ORDER}/cancel"), &json!({}))
        .await;
    assert_eq!((cancelled.status, cancelled.json()), (409, refusal));
    bed.played
        .answer("POST /inventory/P001/restock", 200, json!({"quantity": 7}));
    let restocked = bed
        .post("/api/inventory/P001/restock", &json!({"quantity": 5}))
        .await;
    assert_eq!(restocked.json(), json!({"quantity": 7}));
    let posted = bed.played.posted();
    let expected = [
        ("/orders".to_owned(), order.to_string()),
        (format!("/orders/{ORDER}/cancel"), String::new()),
        (
            "/inventory/P001/restock".to_owned(),
            r#"{"quantity":5}"#.to_owned(),
        ),
    ];
    assert_eq!(posted, expected);
    assert_eq!(
        bed.post("/api/orders/%2e%2e/cancel", &json!({}))
            .await
            .status,
        404
    );
    bed.stop().await;
}

#[tokio::test]
async fn a_record_that_is_no_event_is_published() {
    let bed = Bed::start().await;
    let answer = bed
        .post("/api/poison", &json!({"topic": ORDER_PLACED}))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let ends: i64 = bed
        .broker
        .inspect()
        .partitions(ORDER_PLACED)
        .iter()
        .map(|found| found.end_offset)
        .sum();
    assert_eq!(ends, 1);
    for body in [
        json!({"topic": "other"}),
        json!({}),
        json!({"topic": ORDER_PLACED, "more": 1}),
    ] {
        assert_eq!(bed.post("/api/poison", &body).await.status, 422, "{body}");
    }
    bed.stop().await;
}

#[tokio::test]
async fn dead_letters_are_told_sent_back_and_dropped() {
    let bed = Bed::start().await;
    let letters = DeadLetters::new(PAYMENT_SERVICE, bed.producer.clone(), bed.client.admin());
    let topic = DeadLetters::topic(ORDER_PLACED, PAYMENT_SERVICE);
    let offset = bed.write(ORDER_PLACED, 0, "key", b"{}").await;
    let refusal = Refusal {
        reason: "broken".to_owned(),
        attempts: 3,
    };
    let place = kafka_client::TopicPartition::new(ORDER_PLACED, 0);
    let consumed = bed.client.consume(
        kafka_client::ConsumerConfig::default(),
        [(place, kafka_client::StartAt::Offset(offset))],
    );
    let mut consumer = consumed.unwrap().remove(0);
    let records = within("reading", consumer.poll(1)).await.unwrap().unwrap();
    let record: RecordView<'_> = records.iter().next().unwrap();
    for _ in 0..3 {
        letters
            .put(ORDER_PLACED, 0, record, &refusal)
            .await
            .unwrap();
    }
    let mut stream = bed.watch().await;
    let count = |snapshot: &Value| snapshot["dead_letters"][0]["count"].as_i64();
    let told = stream.until("the letters", |it| count(it) == Some(3)).await;
    let told = &told["dead_letters"][0];
    assert_eq!(told["group"], PAYMENT_SERVICE);
    assert_eq!(told["origin"], ORDER_PLACED);

    let (redrive, dropping) = (
        format!("/api/dead-letters/{topic}/redrive"),
        format!("/api/dead-letters/{topic}/drop"),
    );
    assert_eq!(bed.post(&redrive, &json!({})).await.status, 422);
    assert_eq!(bed.post(&redrive, &json!({"before": 1})).await.status, 200);
    let left = Desk::new(bed.client.clone())
        .letters(&topic, 10)
        .await
        .unwrap();
    assert_eq!(left.len(), 2);
    assert_eq!(bed.post(&dropping, &json!({"all": true})).await.status, 200);
    stream
        .until("none any more", |it| count(it).is_none())
        .await;
    let unknown = "/api/dead-letters/other.dlq/drop";
    assert_eq!(bed.post(unknown, &json!({"all": true})).await.status, 404);
    bed.stop().await;
}

#[tokio::test]
async fn orders_are_placed_at_a_rate_and_what_they_want_is_delivered() {
    let bed = Bed::start().await;
    let product = json!({"product_id": "P001", "quantity": 3, "price": 29.99, "initial": 100, "restocked": 0});
    bed.played.answer(
        "GET /inventory",
        200,
        json!({"items": [product], "next": null}),
    );
    bed.played.answer("POST /orders", 201, json!({}));
    assert_eq!(
        bed.post("/api/load", &json!({"rate": 1001})).await.status,
        422
    );
    assert_eq!(
        bed.post("/api/load", &json!({"rate": 100})).await.status,
        200
    );
    let mut stream = bed.watch().await;
    let placed = |it: &Value| it["load"]["placed"].as_u64().unwrap();
    let running = stream.until("orders", |it| placed(it) >= 20).await;
    assert_eq!(running["load"]["rate"], 100);
    let posted = bed.played.posted();
    assert!(
        posted
            .iter()
            .any(|(path, _)| path == "/inventory/P001/restock")
    );
    let (_, order) = posted.iter().find(|(path, _)| path == "/orders").unwrap();
    let order: Value = serde_json::from_str(order).unwrap();
    assert_eq!(order["items"][0]["product_id"], "P001");

    bed.played.answer("POST /orders", 422, json!({}));
    let failed = |it: &Value| it["load"]["failed"].as_u64().unwrap();
    stream.until("failures", |it| failed(it) >= 1).await;
    assert_eq!(bed.post("/api/load", &json!({"rate": 0})).await.status, 200);
    stream.until("the end", |it| it["load"]["rate"] == 0).await;
    // What was under way was dropped by then, or is answered soon, so before long no more is posted.
    let mut posted = bed.played.posted().len();
    within("no more orders", async {
        loop {
            stream.second().await;
            let now = bed.played.posted().len();
            if now == posted {
                return;
            }
            posted = now;
        }
    })
    .await;
    for _ in 0..2 {
        stream.second().await;
        assert_eq!(bed.played.posted().len(), posted);
    }
    let again = bed.post("/api/load", &json!({"rate": 1})).await.json();
    assert_eq!(again["done"], "places 1 order a second from now on");
    bed.stop().await;
}
