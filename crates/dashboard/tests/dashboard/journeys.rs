//! An order followed: its events, its dead letters, and whether these are all.

use contracts::Timestamp;
use contracts::names::{ORDER_PLACED, PAYMENT_PROCESSED, PAYMENT_SERVICE, SHIPMENT_PROCESSED};
use futures_util::future::try_join_all;
use kafka_client::{ProducerRecord, RecordView, TopicPartition, partition_for_key};
use serde_json::{Value, json};
use service_kit::dead_letters::{DeadLetters, Refusal};

use crate::bed::{Bed, within};

const ORDER: &str = "019ab3c4-0000-7000-8000-0123456789ab";

#[tokio::test]
async fn a_journey_has_the_events_of_all_topics_and_how_far_their_readers_are() {
    let bed = Bed::start().await;
    let created = Timestamp::from_millis(now());
    let order = json!({"order_id": ORDER, "created_at": created, "total_amount": 59.98});
    bed.played
        .answer(&format!("GET /orders/{ORDER}"), 200, order.clone());
    let at = partition_for_key(ORDER.as_bytes(), 3);
    for (topic, status) in [
        (ORDER_PLACED, "PENDING"),
        (PAYMENT_PROCESSED, "COMPLETED"),
        (SHIPMENT_PROCESSED, "SHIPPED"),
    ] {
        bed.write(topic, at, "another order", b"{}").await;
        let value = json!({"order_id": ORDER, "status": status}).to_string();
        bed.write(topic, at, ORDER, value.as_bytes()).await;
    }
    let committed = [(TopicPartition::new(ORDER_PLACED, at), 2)];
    let admin = bed.client.admin();
    let set = within(
        "committing",
        admin.alter_group_offsets("payment-service", &committed),
    );
    assert!(set.await.unwrap()[0].1.is_ok());

    let answer = bed.get(&format!("/api/orders/{ORDER}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let journey = answer.json();
    assert_eq!(journey["order"], order);
    assert_eq!(journey["complete"], true);
    let events: Vec<_> = journey["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            (
                it["topic"].as_str().unwrap(),
                it["offset"].as_i64().unwrap(),
                it["status"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        events,
        [
            (ORDER_PLACED, 1, "PENDING"),
            (PAYMENT_PROCESSED, 1, "COMPLETED"),
            (SHIPMENT_PROCESSED, 1, "SHIPPED"),
        ]
    );
    let placed = &journey["events"][0];
    assert_eq!(
        (&placed["type"], &placed["event_id"]),
        (&json!(ORDER_PLACED), &json!("an-event"))
    );
    let stands = json!([{"group": "payment-service", "committed": 2}]);
    assert_eq!(placed["group_offsets"], stands);
    assert_eq!(journey["events"][1]["group_offsets"], json!([]));
    let unknown = "019ab3c4-0000-7000-8000-000000000000";
    assert_eq!(bed.get(&format!("/api/orders/{unknown}")).await.status, 404);
    bed.stop().await;
}

/// Now, in milliseconds since 1970.
fn now() -> i64 {
    use service_kit::clock::{Clock, SystemClock};
    SystemClock.now().millis()
}

/// An order that was placed now; when that was.
fn place(bed: &Bed) -> i64 {
    let created = now();
    let order = json!({"order_id": ORDER, "created_at": Timestamp::from_millis(created)});
    bed.played
        .answer(&format!("GET /orders/{ORDER}"), 200, order);
    created
}

/// Writes records of this key and time.
async fn write(bed: &Bed, place: (&str, i32), key: &str, at: i64, count: usize) {
    let record = ProducerRecord {
        topic: place.0,
        partition: Some(place.1),
        key: Some(key.as_bytes()),
        value: Some(b"{}"),
        headers: &[],
        timestamp: Some(at),
    };
    let writing = async {
        let mut acknowledged = Vec::with_capacity(count);
        for _ in 0..count {
            acknowledged.push(bed.producer.send(&record).await.unwrap());
        }
        try_join_all(acknowledged).await.unwrap();
    };
    within("writing", writing).await;
}

async fn journey(bed: &Bed) -> Value {
    bed.get(&format!("/api/orders/{ORDER}")).await.json()
}

fn topics(journey: &Value) -> Vec<&str> {
    let events = journey["events"].as_array().unwrap();
    events
        .iter()
        .map(|it| it["topic"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn an_order_is_followed_behind_many_others() {
    let bed = Bed::start().await;
    let created = place(&bed);
    let at = partition_for_key(ORDER.as_bytes(), 3);
    for topic in [ORDER_PLACED, PAYMENT_PROCESSED] {
        // More than are read of a topic, if those counted that are older; and more than once were read at all.
        write(&bed, (topic, at), "older", created - 1_000, 50_500).await;
        write(&bed, (topic, at), "newer", created, 10_500).await;
        write(&bed, (topic, at), ORDER, created, 1).await;
    }
    let journey = journey(&bed).await;
    assert_eq!(topics(&journey), [ORDER_PLACED, PAYMENT_PROCESSED]);
    assert_eq!(journey["complete"], true);
    bed.stop().await;
}

#[tokio::test]
async fn an_order_is_found_where_clocks_differ() {
    let bed = Bed::start().await;
    let created = place(&bed);
    let at = partition_for_key(ORDER.as_bytes(), 3);
    write(&bed, (ORDER_PLACED, at), ORDER, created - 30_000, 1).await;
    let journey = journey(&bed).await;
    assert_eq!(topics(&journey), [ORDER_PLACED]);
    assert_eq!(journey["complete"], true);
    bed.stop().await;
}

#[tokio::test]
async fn a_journey_without_its_beginning_is_not_complete() {
    let bed = Bed::start().await;
    let created = place(&bed);
    let at = partition_for_key(ORDER.as_bytes(), 3);
    write(&bed, (PAYMENT_PROCESSED, at), ORDER, created, 1).await;
    let journey = journey(&bed).await;
    assert_eq!(topics(&journey), [PAYMENT_PROCESSED]);
    assert_eq!(journey["complete"], false);
    bed.stop().await;
}

#[tokio::test]
async fn events_are_found_where_they_lay_before_topics_had_more_partitions() {
    let bed = Bed::start().await;
    let created = place(&bed);
    let now = partition_for_key(ORDER.as_bytes(), 3);
    let then = (now + 1) % 3;
    for (topic, partition) in [(ORDER_PLACED, then), (PAYMENT_PROCESSED, now)] {
        write(&bed, (topic, partition), ORDER, created, 1).await;
    }
    write(&bed, (SHIPMENT_PROCESSED, then), ORDER, created, 1).await;
    let journey = journey(&bed).await;
    let expected = [ORDER_PLACED, PAYMENT_PROCESSED, SHIPMENT_PROCESSED];
    assert_eq!(topics(&journey), expected);
    assert_eq!(journey["complete"], true);
    bed.stop().await;
}

#[tokio::test]
async fn an_order_that_hangs_as_a_dead_letter_shows_it() {
    let bed = Bed::start().await;
    place(&bed);
    let at = partition_for_key(ORDER.as_bytes(), 3);
    let letters = DeadLetters::new(PAYMENT_SERVICE, bed.producer.clone(), bed.client.admin());
    let refusal = Refusal {
        reason: "no such currency".to_owned(),
        attempts: 3,
    };
    for key in ["another order", ORDER] {
        let offset = bed.write(ORDER_PLACED, at, key, b"{}").await;
        let consumed = bed.client.consume(
            kafka_client::ConsumerConfig::default(),
            [(
                TopicPartition::new(ORDER_PLACED, at),
                kafka_client::StartAt::Offset(offset),
            )],
        );
        let mut consumer = consumed.unwrap().remove(0);
        let records = within("reading", consumer.poll(1)).await.unwrap().unwrap();
        let record: RecordView<'_> = records.iter().next().unwrap();
        letters
            .put(ORDER_PLACED, at, record, &refusal)
            .await
            .unwrap();
    }
    let journey = journey(&bed).await;
    let letter = &journey["dead_letters"][0];
    let expected = json!({
        "topic": "order_placed.payment-service.dlq",
        "partition": 0,
        "offset": 1,
        "timestamp": letter["timestamp"],
        "group": PAYMENT_SERVICE,
        "origin": {"topic": ORDER_PLACED, "partition": at, "offset": 1},
        "error": "no such currency",
        "attempts": 3,
    });
    assert_eq!(journey["dead_letters"], json!([expected]));
    assert!(letter["timestamp"].is_i64());
    bed.stop().await;
}
