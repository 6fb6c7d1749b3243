//! The stream of snapshots.

use contracts::names::{ORDER_PLACED, TOPICS};
use kafka_broker::BrokerConfig;
use kafka_client::TopicPartition;
use serde_json::{Value, json};

use crate::bed::{Bed, group, partition, until, within};
use crate::http::Stream;

/// The most who may watch.
const MOST: usize = 64;

#[tokio::test]
async fn the_stream_sends_a_snapshot_and_another_when_a_record_is_written() {
    let bed = Bed::start().await;
    let mut stream = bed.watch().await;
    // The first look may not have had its time.
    let first = stream.until("the topics", |snapshot| {
        let topics = snapshot["topics"].as_array().unwrap();
        snapshot["kafka"]["state"] == "up" && topics.len() == TOPICS.len()
    });
    let first = first.await;
    let topics: Vec<&str> = first["topics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|topic| topic["topic"].as_str().unwrap())
        .collect();
    assert_eq!(topics, TOPICS);
    bed.write(
        ORDER_PLACED,
        1,
        "019ab3c4-0000-7000-8000-0123456789ab",
        b"{}",
    )
    .await;
    let second = stream.until("the record", |snapshot| {
        let records = &partition(snapshot, ORDER_PLACED, 1)["tail"]["records"];
        records
            .as_array()
            .is_some_and(|records| !records.is_empty())
    });
    let second = second.await;
    let written = partition(&second, ORDER_PLACED, 1);
    assert_eq!((&written["start"], &written["end"]), (&json!(0), &json!(1)));
    let record = &written["tail"]["records"][0];
    assert_eq!(
        (&record[0], &record[1]),
        (&json!("456789ab"), &json!(ORDER_PLACED))
    );
    bed.stop().await;
}

#[tokio::test]
async fn while_nothing_happens_the_stream_says_that_it_is_still_looked() {
    let bed = Bed::start().await;
    let mut stream = bed.watch().await;
    let first = stream.next().await.unwrap();
    let mut before = first["at"].as_i64().unwrap();
    within("ticks", async {
        for _ in 0..3 {
            let data = loop {
                let (name, data) = stream.event().await.unwrap();
                if name == "tick" {
                    break data;
                }
            };
            let at = data["at"].as_i64().unwrap();
            assert!(at > before, "time goes on: {data}");
            assert_eq!(data, json!({ "at": at }));
            before = at;
        }
    })
    .await;
    bed.stop().await;
}

#[tokio::test]
async fn whoever_comes_later_is_told_how_far_groups_were_behind_until_then() {
    let bed = Bed::start().await;
    for n in 0..3 {
        bed.write(ORDER_PLACED, 0, &format!("key-{n}"), b"{}").await;
    }
    let committed = [(TopicPartition::new(ORDER_PLACED, 0), 1)];
    let admin = bed.client.admin();
    let set = admin.alter_group_offsets("g", &committed);
    within("committing", set).await.unwrap();
    let mut early = bed.watch().await;
    let lag = |it: &Value| group(it, "g")["lag"].as_i64();
    early.until("the lag", |it| lag(it) == Some(2)).await;
    // So that it has been looked for a while.
    within("two ticks", async {
        for _ in 0..2 {
            while early.event().await.unwrap().0 != "tick" {}
        }
    })
    .await;
    let mut late = bed.watch().await;
    let (name, history) = late.event().await.unwrap();
    assert_eq!(
        (name.as_str(), &history["step_ms"]),
        ("history", &json!(1000))
    );
    let seen = history["lag"]["g"].as_array().unwrap();
    assert!(seen.len() >= 2, "{history}");
    assert_eq!(seen.last(), Some(&json!(2)));
    let (name, snapshot) = late.event().await.unwrap();
    assert_eq!(name, "snapshot");
    assert!(history["at"].as_i64() <= snapshot["at"].as_i64());
    bed.stop().await;
}

#[tokio::test]
async fn a_tail_is_the_last_24_records_and_follows_a_topic_that_is_made_anew() {
    let bed = Bed::start().await;
    bed.broker.create_topic("other", 1).unwrap();
    for n in 0..40 {
        bed.write("other", 0, &format!("key-{n}"), b"{}").await;
    }
    let mut stream = bed.watch().await;
    let keys = |snapshot: &Value| -> Vec<String> {
        let tail = &partition(snapshot, "other", 0)["tail"];
        let records = tail["records"].as_array().cloned().unwrap_or_default();
        let key = |record: &Value| record[0].as_str().unwrap().to_owned();
        records.iter().map(key).collect()
    };
    let full = stream.until("a full tail", |snapshot| keys(snapshot).len() == 24);
    let full = full.await;
    assert_eq!(partition(&full, "other", 0)["tail"]["from"], 16);
    assert_eq!(keys(&full).first().unwrap(), "key-16");
    assert_eq!(keys(&full).last().unwrap(), "key-39");
    let topics = full["topics"].as_array().unwrap();
    assert_eq!(topics.last().unwrap()["kind"], "other");

    assert!(bed.broker.delete_topic("other"));
    stream
        .until("the topic to be gone", |snapshot| {
            partition(snapshot, "other", 0).is_null()
        })
        .await;
    bed.broker.create_topic("other", 1).unwrap();
    bed.write("other", 0, "anew", b"{}").await;
    let anew = stream.until("the new record", |snapshot| keys(snapshot) == ["anew"]);
    assert_eq!(partition(&anew.await, "other", 0)["tail"]["from"], 0);
    bed.stop().await;
}

#[tokio::test]
async fn kafka_that_is_away_is_told_with_what_was_known_and_comes_back() {
    let bed = Bed::start().await;
    bed.write(ORDER_PLACED, 0, "before", b"{}").await;
    let mut stream = bed.watch().await;
    let has = |snapshot: &Value, end: i64| {
        let found = partition(snapshot, ORDER_PLACED, 0);
        let records = found["tail"]["records"].as_array().map_or(0, Vec::len);
        snapshot["kafka"]["state"] == "up" && found["end"] == end && records as i64 == end
    };
    stream.until("the record", |it| has(it, 1)).await;
    let node = bed.broker.node_ids()[0];
    within("crashing", bed.broker.crash_node(node))
        .await
        .unwrap();
    let away = stream.until("away", |it| it["kafka"]["state"] == "away");
    let away = away.await;
    assert!(away["kafka"]["error"].is_string());
    assert_eq!(partition(&away, ORDER_PLACED, 0)["end"], 1);
    within("starting", bed.broker.start_node(node))
        .await
        .unwrap();
    bed.write(ORDER_PLACED, 0, "after", b"{}").await;
    stream.until("both records", |it| has(it, 2)).await;
    bed.stop().await;
}

#[tokio::test]
async fn a_tail_goes_on_under_another_leader_and_after_its_log_was_cut() {
    let bed = Bed::on(BrokerConfig::with_nodes(2), None, None).await;
    for n in 0..3 {
        bed.write(ORDER_PLACED, 0, &format!("key-{n}"), b"{}").await;
    }
    let mut stream = bed.watch().await;
    let last = |snapshot: &Value| {
        let found = partition(snapshot, ORDER_PLACED, 0);
        let records = found["tail"]["records"].as_array();
        let last = records.and_then(|records| records.last().cloned());
        last.map_or(Value::Null, |last| last[0].clone())
    };
    let first = stream.until("the records", |it| last(it) == "key-2").await;
    let led_by = |it: &Value| partition(it, ORDER_PLACED, 0)["leader"].as_i64();
    let other = bed
        .broker
        .node_ids()
        .into_iter()
        .find(|node| Some(i64::from(*node)) != led_by(&first))
        .unwrap();
    bed.broker.move_leader(ORDER_PLACED, 0, other).unwrap();
    bed.write(ORDER_PLACED, 0, "moved", b"{}").await;
    let moved = stream.until("the next", |it| last(it) == "moved").await;
    assert_eq!(led_by(&moved), Some(i64::from(other)));

    let place = TopicPartition::new(ORDER_PLACED, 0);
    let admin = bed.client.admin();
    within("deleting", admin.delete_records(&[(place, 4)]))
        .await
        .unwrap();
    bed.write(ORDER_PLACED, 0, "after", b"{}").await;
    let cut = stream.until("the last", |it| last(it) == "after").await;
    let cut = partition(&cut, ORDER_PLACED, 0);
    assert_eq!(
        (&cut["start"], &cut["tail"]["from"]),
        (&json!(4), &json!(4))
    );
    bed.stop().await;
}

#[tokio::test]
async fn at_most_64_watch_and_a_place_that_is_left_is_free() {
    let bed = Bed::start().await;
    let mut streams = Vec::new();
    for _ in 0..MOST {
        streams.push(bed.watch().await);
    }
    // Each has got its first, so all of them are under way.
    for stream in &mut streams {
        assert!(stream.next().await.is_some());
    }
    assert_eq!(Stream::open(bed.address).await.status, 503);
    drop(streams.pop());
    until("a free place", || async {
        // Whoever left is missed when the next event is sent.
        Stream::open(bed.address).await.status == 200
    })
    .await;
    bed.stop().await;
}

#[tokio::test]
async fn stopping_ends_the_streams() {
    let bed = Bed::start().await;
    let mut stream = bed.watch().await;
    assert!(stream.next().await.is_some());
    bed.stop.cancel();
    within("the end of the stream", async {
        while stream.next().await.is_some() {}
    })
    .await;
    within("the end", bed.ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_snapshot_is_to_be_had_by_itself_with_what_the_services_tell() {
    let bed = Bed::start().await;
    let outbox = json!({"status": "up", "detail": {"backlog": 7}});
    let health = json!({"service": "order-service", "status": "up", "checks": {"outbox": outbox}});
    bed.played.answer("GET /health", 200, health);
    let product = json!({"product_id": "P001", "quantity": 98, "price": 29.99, "initial": 100, "restocked": 0});
    let products = json!({"items": [product], "next": null});
    bed.played.answer("GET /inventory", 200, products);
    let order = json!({
        "order_id": "019ab3c4-0000-7000-8000-0123456789ab", "status": "PAID", "customer_id": "C1",
        "total_amount": 59.98, "created_at": "2026-11-26T08:00:00.000Z", "items": [],
        "history": [{"status": "PAID", "timestamp": "2026-11-26T08:00:01.000Z", "cause": "…"}],
    });
    bed.played
        .answer("GET /orders", 200, json!({"items": [order], "next": null}));
    // A look that had no time for one of them shows it the next time.
    let is_whole = |snapshot: &Value| {
        snapshot["orders"]["backlog"] == 7
            && snapshot["stock"] == json!([product])
            && snapshot["orders"]["newest"][0]["status"] == "PAID"
            && snapshot["services"][1]["instances"][0]["state"] == "running"
    };
    let looking = async {
        loop {
            let answer = bed.get("/api/snapshot").await;
            assert_eq!(answer.status, 200);
            let snapshot = answer.json();
            if is_whole(&snapshot) {
                return snapshot;
            }
        }
    };
    let snapshot = within("all of it", looking).await;
    let newest = &snapshot["orders"]["newest"][0];
    assert_eq!(newest["updated_at"], "2026-11-26T08:00:01.000Z");
    let services = snapshot["services"].as_array().unwrap();
    let names: Vec<_> = services.iter().map(|it| &it["service"]).collect();
    assert_eq!(
        names,
        [
            "order-service",
            "payment-service",
            "inventory-service",
            "shipment-service",
            "notification-service"
        ]
    );
    let instance = &services[1]["instances"][0];
    assert_eq!(instance["instance"], "payment-service-1");
    let can = json!({"act": true, "token": true, "instances": false, "broker": false});
    assert_eq!(snapshot["can"], can);
    bed.stop().await;
}
