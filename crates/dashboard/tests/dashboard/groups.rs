//! Groups: who is who in them, and what can be done to them.

use std::time::Duration;

use contracts::names::{ORDER_CANCELLED, ORDER_PLACED, PAYMENT_SERVICE};
use kafka_broker::{ApiKey, Fault, FaultAction};
use kafka_client::{
    Client, ConsumerGroup, GroupConfig, GroupEvent, OffsetReset, PartitionConsumer, ResponseError,
    TopicPartition,
};
use serde_json::{Value, json};

use crate::bed::{Bed, group, within};

/// A member of the group that reads everything it was assigned.
struct Reader {
    group: ConsumerGroup,
    held: Vec<PartitionConsumer>,
}

async fn join(client: &Client, partitions: usize) -> Reader {
    let mut config = GroupConfig::new(PAYMENT_SERVICE, [ORDER_PLACED]);
    config.consumer.auto_offset_reset = OffsetReset::Earliest;
    let mut group = client.consumer_group(config).unwrap();
    let mut held = Vec::new();
    while held.len() < partitions {
        if let Some(GroupEvent::Assigned(partition)) = within("joining", group.next()).await {
            held.push(partition);
        }
    }
    Reader { group, held }
}

impl Reader {
    /// What GET /member would tell of it.
    fn told(&self) -> Value {
        let state = self.group.handle().state();
        let partitions: Vec<Value> = self
            .held
            .iter()
            .map(|held| {
                let place = held.topic_partition();
                json!({"topic": *place.topic, "partition": place.partition, "paused": place.partition == 1})
            })
            .collect();
        json!({
            "group": PAYMENT_SERVICE, "member_id": &*state.status.member_id, "instance_id": null, "phase": "stable",
            "generation": state.status.generation, "protocol": "range", "leader": true, "partitions": partitions,
        })
    }

    async fn leave(self) {
        drop(self.held);
        let closing = self.group.close(Duration::from_secs(5));
        within("leaving", closing).await.unwrap();
    }
}

#[tokio::test]
async fn members_are_the_instances_that_say_so_and_a_leave_is_a_rebalance() {
    let bed = Bed::start().await;
    bed.write(ORDER_PLACED, 0, "key", b"{}").await;
    let reader = join(&bed.client, 3).await;
    reader.held[0].commit(0).await.unwrap();
    bed.played.answer("GET /member", 200, reader.told());
    let row = json!({"topic": ORDER_PLACED, "partition": 0, "owner": true, "position": 1, "committed": 0, "end": 1, "lag": 1});
    bed.played
        .answer("GET /offsets", 200, json!({"items": [row], "next": null}));
    let mut stream = bed.watch().await;
    let known = stream.until("the member", |snapshot| {
        !group(snapshot, PAYMENT_SERVICE)["members"][0]["instance"].is_null()
    });
    let known = known.await;
    let told = group(&known, PAYMENT_SERVICE);
    assert_eq!(told["state"], "Stable");
    assert!(told["generation"].is_i64(), "{told}");
    assert_eq!(told["members"][0]["phase"], "stable");
    let partitions = told["members"][0]["partitions"].as_array().unwrap();
    assert_eq!(partitions.len(), 3);
    let first = &told["offsets"][0];
    assert_eq!(
        (&first["position"], &first["paused"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(told["offsets"][1]["paused"], true);
    assert_eq!(told["lag"], 1);
    // One played service stands for all, so which of them is named does not matter here.
    let instance = told["members"][0]["instance"].clone();

    reader.leave().await;
    let changed = stream.until("the rebalance", |it| it["rebalances"][0].is_object());
    let changed = changed.await;
    let rebalance = &changed["rebalances"][0];
    assert_eq!(rebalance["group"], PAYMENT_SERVICE);
    assert_eq!(rebalance["moves"].as_array().unwrap().len(), 3);
    assert_eq!(rebalance["moves"][0]["from"], instance);
    assert_eq!(rebalance["moves"][0]["to"], Value::Null);
    // Nobody is left who could tell a generation, and the played instance does not tell how it is.
    assert_eq!(rebalance["reason"], "gone");
    bed.stop().await;
}

#[tokio::test]
async fn offsets_are_set_back_once_the_group_has_no_members() {
    let bed = Bed::start().await;
    for n in 0..5 {
        bed.write(ORDER_PLACED, 0, &format!("key-{n}"), b"{}").await;
    }
    let reader = join(&bed.client, 3).await;
    let first = reader
        .held
        .iter()
        .find(|held| held.topic_partition().partition == 0);
    within("committing", first.unwrap().commit(5))
        .await
        .unwrap();
    let path = format!("/api/groups/{PAYMENT_SERVICE}/reset");
    let refused = bed.post(&path, &json!({"to": "earliest"})).await;
    assert_eq!(refused.status, 409);
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.contains("has a member: stop all of its instances first"),
        "{detail}"
    );
    reader.leave().await;

    let committed = || {
        bed.broker
            .inspect()
            .committed(PAYMENT_SERVICE, ORDER_PLACED, 0)
    };
    assert_eq!(committed(), Some(5));
    for (body, offset) in [
        (json!({"to": "earliest"}), 0),
        (
            json!({"to": {"offset": 3}, "topic": ORDER_PLACED, "partition": 0}),
            3,
        ),
        (json!({"to": {"offset": 100}, "topic": ORDER_PLACED}), 5),
        (json!({"to": {"timestamp": 0}}), 0),
        (json!({"to": "latest"}), 5),
    ] {
        let answer = bed.post(&path, &body).await;
        assert_eq!(answer.status, 200, "{body} {answer:?}");
        assert_eq!(committed(), Some(offset), "{body}");
    }
    for (path, body, status) in [
        (path.as_str(), json!({"to": "newest"}), 422),
        (&path, json!({}), 422),
        (&path, json!({"to": "latest", "partition": 0}), 422),
        (&path, json!({"to": "latest", "topic": "nowhere"}), 404),
        (
            &path,
            json!({"to": "latest", "topic": ORDER_PLACED, "partition": 7}),
            404,
        ),
        ("/api/groups/nobody/reset", json!({"to": "latest"}), 404),
    ] {
        assert_eq!(bed.post(path, &body).await.status, status, "{path} {body}");
    }
    bed.stop().await;
}

#[tokio::test]
async fn a_partition_is_paused_by_the_instance_that_reads_it() {
    let bed = Bed::start().await;
    let path = |partition: i32, action: &str| {
        format!("/api/groups/{PAYMENT_SERVICE}/partitions/{ORDER_PLACED}/{partition}/{action}")
    };
    let nothing = json!({});
    assert_eq!(bed.post(&path(0, "pause"), &nothing).await.status, 409);
    let held = json!([{"topic": ORDER_PLACED, "partition": 0, "paused": false}]);
    let member = json!({"group": PAYMENT_SERVICE, "member_id": "m", "phase": "stable", "generation": 1, "partitions": held});
    bed.played.answer("GET /member", 200, member);
    for action in ["pause", "resume"] {
        let on_instance = format!("/partitions/{ORDER_PLACED}/0/{action}");
        bed.played
            .answer(&format!("POST {on_instance}"), 200, json!({}));
        let answer = bed.post(&path(0, action), &nothing).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let last = bed.played.posted().pop().unwrap();
        assert_eq!(last, (on_instance, "{}".to_owned()));
    }
    assert_eq!(bed.post(&path(1, "pause"), &nothing).await.status, 409);
    assert_eq!(bed.post(&path(0, "burn"), &nothing).await.status, 404);
    let problem = json!({"status": 409, "detail": "it is being taken away"});
    let refused = format!("POST /partitions/{ORDER_PLACED}/0/pause");
    bed.played.answer(&refused, 409, problem.clone());
    let answer = bed.post(&path(0, "pause"), &nothing).await;
    assert_eq!((answer.status, answer.json()), (409, problem));
    bed.stop().await;
}

/// Commits of a group without members.
async fn commit(bed: &Bed, group: &str, offsets: &[(&str, i32, i64)]) {
    let offsets: Vec<_> = offsets
        .iter()
        .map(|(topic, partition, offset)| (TopicPartition::new(*topic, *partition), *offset))
        .collect();
    let admin = bed.client.admin();
    let set = within("committing", admin.alter_group_offsets(group, &offsets));
    for (_, outcome) in set.await.unwrap() {
        outcome.unwrap();
    }
}

#[tokio::test]
async fn a_reset_of_a_mistyped_group_makes_none() {
    let bed = Bed::start().await;
    commit(&bed, "billing", &[(ORDER_PLACED, 0, 0)]).await;
    let body = json!({"to": "earliest", "topic": ORDER_PLACED});
    let answer = bed.post("/api/groups/biling/reset", &body).await;
    assert_eq!(answer.status, 404, "{answer:?}");
    let listed = bed.client.admin().list_groups().await.unwrap();
    let names: Vec<&str> = listed.iter().map(|it| it.group.as_str()).collect();
    assert_eq!(names, ["billing"]);
    bed.stop().await;
}

#[tokio::test]
async fn a_reset_of_all_topics_sets_each_of_their_partitions_and_leaves_out_topics_that_are_gone() {
    let bed = Bed::start().await;
    bed.broker.create_topic("gone", 1).unwrap();
    for partition in 0..3 {
        bed.write(ORDER_PLACED, partition, "key", b"{}").await;
    }
    commit(&bed, "g", &[(ORDER_PLACED, 0, 0), ("gone", 0, 0)]).await;
    assert!(bed.broker.delete_topic("gone"));
    let answer = bed
        .post("/api/groups/g/reset", &json!({"to": "latest"}))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let done = answer.json()["done"].as_str().unwrap().to_owned();
    assert_eq!(done, "set the offsets of g in 3 partitions of order_placed");
    let committed =
        [0, 1, 2].map(|partition| bed.broker.inspect().committed("g", ORDER_PLACED, partition));
    assert_eq!(committed, [Some(1); 3]);
    bed.stop().await;
}

#[tokio::test]
async fn a_reset_that_fails_halfway_says_how_much_was_set() {
    let bed = Bed::start().await;
    commit(&bed, "g", &[(ORDER_PLACED, 0, 0)]).await;
    let refusal = FaultAction::Answer(ResponseError::TopicAuthorizationFailed);
    let fault = Fault::new(refusal).on(ApiKey::OffsetCommit);
    let fault = fault.topic(ORDER_PLACED).partition(1);
    bed.broker.faults().inject(fault);
    let body = json!({"to": "earliest"});
    let answer = bed.post("/api/groups/g/reset", &body).await;
    assert_eq!(answer.status, 502, "{answer:?}");
    assert!(!answer.head.contains("retry-after"), "{answer:?}");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    let expected = "2 of 3 offsets of group g were set; that of order_placed-1 was not";
    assert!(detail.starts_with(expected), "{detail}");
    bed.stop().await;
}

#[tokio::test]
async fn a_group_whose_members_are_not_told_is_live_and_is_not_reset() {
    let bed = Bed::start().await;
    let reader = join(&bed.client, 3).await;
    // What Kafka says of a group of KIP-848, by versions of DescribeGroups that know how to.
    let unknown = FaultAction::Answer(ResponseError::GroupIdNotFound);
    let hidden = bed
        .broker
        .faults()
        .inject(Fault::new(unknown).on(ApiKey::DescribeGroups));
    let mut stream = bed.watch().await;
    let is_there = |it: &Value| !group(it, PAYMENT_SERVICE).is_null();
    let told = stream.until("the group", is_there).await;
    let told = group(&told, PAYMENT_SERVICE);
    assert_eq!(told["state"], "Stable");
    assert_eq!(told["note"], "members are not told (KIP-848)");
    let path = format!("/api/groups/{PAYMENT_SERVICE}/reset");
    let body = json!({"to": "earliest", "topic": ORDER_PLACED});
    let answer = bed.post(&path, &body).await;
    assert_eq!(answer.status, 409, "{answer:?}");
    reader.leave().await;
    // Without members there is nothing that is not told.
    let empty = |it: &Value| group(it, PAYMENT_SERVICE)["state"] == "Empty";
    let told = stream.until("the group without members", empty).await;
    assert_eq!(group(&told, PAYMENT_SERVICE)["note"], Value::Null);
    let answer = bed.post(&path, &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    hidden.remove();
    bed.stop().await;
}

#[tokio::test]
async fn a_group_that_cannot_be_asked_stays_as_it_was_seen() {
    let bed = Bed::start().await;
    bed.write(ORDER_CANCELLED, 0, "key", b"{}").await;
    commit(&bed, "g", &[(ORDER_CANCELLED, 0, 0)]).await;
    let mut stream = bed.watch().await;
    let lag = |it: &Value| group(it, "g")["lag"].as_i64();
    let before = stream.until("the group", |it| lag(it) == Some(1)).await;
    assert_eq!(group(&before, "g")["note"], Value::Null);
    let away = FaultAction::Answer(ResponseError::GroupAuthorizationFailed);
    let fault = Fault::new(away).on(ApiKey::OffsetFetch).group("g");
    let fault = bed.broker.faults().inject(fault);
    let noted = |it: &Value| !group(it, "g")["note"].is_null();
    let told = stream.until("the note", noted).await;
    assert_eq!(lag(&told), Some(1));
    let note = group(&told, "g")["note"].as_str().unwrap();
    assert!(note.starts_with("it could not be asked: "), "{note}");
    fault.remove();
    stream
        .until("no note", |it| lag(it) == Some(1) && !noted(it))
        .await;
    bed.stop().await;
}
