//! Where reading goes on when leaders change, and which replica is read from, on the embedded broker: it can be told to lose records.

use std::time::Duration;

use kafka_broker::{ApiKey, Fault, FaultAction, FaultHandle};
use kafka_client::{
    Client, ClientConfig, ConsumerConfig, ConsumerError, OffsetReset, PartitionConsumer, StartAt,
};

use crate::kit::{Bed, assigned, config, keys, tp, within};

fn read(client: &Client, topic: &str, policy: OffsetReset) -> PartitionConsumer {
    let config = ConsumerConfig {
        auto_offset_reset: policy,
        ..ConsumerConfig::default()
    };
    let start = [(tp(topic, 0), StartAt::Earliest)];
    client.consume(config, start).unwrap().remove(0)
}

/// A topic on two nodes with the records 0 to 5, a batch each, led by node 1.
async fn six_records() -> (Bed, String) {
    let bed = Bed::nodes(2).await;
    let topic = bed.topic(1).await;
    bed.broker().move_leader(&topic, 0, 1).unwrap();
    bed.produce_singly(&topic, 0..6).await;
    (bed, topic)
}

/// Node 2 takes over with the first four records only and gets four others, so that the log is longer than it was.
async fn lose_two_records(bed: &Bed, topic: &str) {
    let end = bed.broker().move_leader_uncleanly(topic, 0, 2, 4).unwrap();
    assert_eq!(end, 4);
    bed.produce_singly(topic, 100..104).await;
}

#[tokio::test]
async fn a_truncated_log_is_an_error_where_there_is_no_reset() {
    let (bed, topic) = six_records().await;
    let mut partition = read(&bed.client, &topic, OffsetReset::Error);
    assert_eq!(keys(&mut partition, 6).await, [0, 1, 2, 3, 4, 5]);
    lose_two_records(&bed, &topic).await;
    for _ in 0..2 {
        let error = within("a poll", partition.poll(10)).await.unwrap_err();
        assert!(
            matches!(
                error,
                ConsumerError::Truncated {
                    offset: 6,
                    diverged_at: Some(4),
                    ..
                }
            ),
            "{error}"
        );
    }
    partition.seek(4).unwrap();
    assert_eq!(keys(&mut partition, 4).await, [100, 101, 102, 103]);
}

#[tokio::test]
async fn a_truncated_log_is_read_on_from_where_it_diverged() {
    for policy in [OffsetReset::Latest, OffsetReset::Earliest] {
        let (bed, topic) = six_records().await;
        let mut partition = read(&bed.client, &topic, policy);
        assert_eq!(keys(&mut partition, 6).await, [0, 1, 2, 3, 4, 5]);
        lose_two_records(&bed, &topic).await;
        assert_eq!(
            keys(&mut partition, 4).await,
            [100, 101, 102, 103],
            "{policy:?}"
        );
    }
}

#[tokio::test]
async fn a_leader_that_knows_nothing_of_what_was_read_has_the_policy_decide() {
    let (bed, topic) = six_records().await;
    let mut partition = read(&bed.client, &topic, OffsetReset::Earliest);
    assert_eq!(keys(&mut partition, 6).await, [0, 1, 2, 3, 4, 5]);
    let end = bed.broker().move_leader_uncleanly(&topic, 0, 2, 0).unwrap();
    assert_eq!(end, 0);
    bed.produce_singly(&topic, 100..108).await;
    assert_eq!(keys(&mut partition, 3).await, [100, 101, 102]);
}

#[tokio::test]
async fn what_is_in_memory_of_a_truncated_log_is_not_handed_out() {
    let (bed, topic) = six_records().await;
    let mut partition = read(&bed.client, &topic, OffsetReset::Earliest);
    assert_eq!(keys(&mut partition, 2).await, [0, 1]);
    // The other four came with the same fetch.
    partition.pause();
    let at_new_leader = Fault::new(FaultAction::DelayAnswer(Duration::ZERO))
        .on(ApiKey::OffsetForLeaderEpoch)
        .node(2);
    let asked = bed.broker().faults().inject(at_new_leader);
    lose_two_records(&bed, &topic).await;
    within("the question", asked.wait_for_hits(1)).await;
    partition.resume();
    assert_eq!(keys(&mut partition, 6).await, [2, 3, 100, 101, 102, 103]);
}

#[tokio::test]
async fn a_committed_offset_that_was_truncated_away_is_noticed() {
    let (bed, topic) = six_records().await;
    let group = bed.name("group");
    let mut member = bed.client.consumer_group(config(&group, &topic)).unwrap();
    let mut partition = assigned(&mut member).await;
    assert_eq!(keys(&mut partition, 6).await, [0, 1, 2, 3, 4, 5]);
    partition.commit(6).await.unwrap();
    drop(partition);
    member.close(Duration::from_secs(15)).await.unwrap();
    lose_two_records(&bed, &topic).await;

    let mut member = bed.client.consumer_group(config(&group, &topic)).unwrap();
    let mut partition = assigned(&mut member).await;
    assert_eq!(keys(&mut partition, 1).await, [100]);
    // That is behind what was committed before, and right.
    partition.commit(5).await.unwrap();
    assert_eq!(bed.committed(&group).await, [(0, 5)].into());
    drop(partition);
    member.close(Duration::from_secs(15)).await.unwrap();
}

#[tokio::test]
async fn a_clean_change_of_the_leader_repeats_and_loses_nothing() {
    let (bed, topic) = six_records().await;
    let mut partition = read(&bed.client, &topic, OffsetReset::Error);
    assert_eq!(keys(&mut partition, 6).await, [0, 1, 2, 3, 4, 5]);
    for round in 0..4 {
        bed.broker().move_leader(&topic, 0, 2 - round % 2).unwrap();
        let number = 6 + round as u32;
        bed.produce_singly(&topic, number..number + 1).await;
        assert_eq!(keys(&mut partition, 1).await, [number]);
    }
    let asked = bed
        .broker()
        .inspect()
        .requests(ApiKey::OffsetForLeaderEpoch);
    assert!(asked >= 4, "{asked} questions for four changes");
}

fn fetches_at(bed: &Bed, node: i32) -> FaultHandle {
    let counted = Fault::new(FaultAction::DelayAnswer(Duration::ZERO));
    bed.broker()
        .faults()
        .inject(counted.on(ApiKey::Fetch).node(node))
}

/// A client in rack b, which takes the leader's word on replicas for a short time only.
fn client_in_b(bed: &Bed) -> (Client, ConsumerConfig) {
    let client = Client::new(ClientConfig {
        metadata_max_age: Duration::from_millis(200),
        ..bed.client.config().clone()
    });
    let config = ConsumerConfig {
        client_rack: Some("b".into()),
        fetch_max_wait: Duration::from_millis(50),
        ..ConsumerConfig::default()
    };
    (client.unwrap(), config)
}

#[tokio::test]
async fn a_replica_in_the_same_rack_is_read_from_until_it_fails() {
    let bed = Bed::racks(2, &["a", "b"]).await;
    let topic = bed.topic_with_replicas(1, 2).await;
    bed.broker().move_leader(&topic, 0, 1).unwrap();
    let (client, config) = client_in_b(&bed);
    let start = [(tp(&topic, 0), StartAt::Offset(0))];
    let mut partition = client.consume(config, start).unwrap().remove(0);
    let at_replica = fetches_at(&bed, 2);
    within("a fetch from the replica", at_replica.wait_for_hits(1)).await;
    // Its word holds for a while only: then the leader is asked anew.
    within("the leader", fetches_at(&bed, 1).wait_for_hits(3)).await;
    bed.produce_singly(&topic, 0..5).await;
    assert_eq!(keys(&mut partition, 5).await, [0, 1, 2, 3, 4]);

    // An error of the replica, and its end.
    let code = kafka_client::ResponseError::NotLeaderOrFollower;
    let refused = Fault::new(FaultAction::Answer(code)).on(ApiKey::Fetch);
    let refused = bed.broker().faults().inject(refused.node(2));
    within("the refusal", refused.wait_for_hits(1)).await;
    bed.produce_singly(&topic, 5..10).await;
    assert_eq!(keys(&mut partition, 5).await, [5, 6, 7, 8, 9]);
    refused.remove();
    bed.broker().crash_node(2).await.unwrap();
    bed.produce_singly(&topic, 10..15).await;
    assert_eq!(keys(&mut partition, 5).await, [10, 11, 12, 13, 14]);

    bed.broker().start_node(2).await.unwrap();
    let back = fetches_at(&bed, 2);
    within("the replica again", back.wait_for_hits(1)).await;
    bed.produce_singly(&topic, 15..20).await;
    assert_eq!(keys(&mut partition, 5).await, [15, 16, 17, 18, 19]);
}

/// Only the replica answers, so that what is read comes from there.
#[tokio::test]
async fn records_come_from_the_replica() {
    let bed = Bed::racks(2, &["a", "b"]).await;
    let topic = bed.topic_with_replicas(1, 2).await;
    bed.broker().move_leader(&topic, 0, 1).unwrap();
    let (_, config) = client_in_b(&bed);
    let start = [(tp(&topic, 0), StartAt::Offset(0))];
    let mut partition = bed.client.consume(config, start).unwrap().remove(0);
    within("a fetch", fetches_at(&bed, 2).wait_for_hits(1)).await;
    let silence = Fault::new(FaultAction::NeverAnswer).on(ApiKey::Fetch);
    bed.broker().faults().inject(silence.node(1));
    bed.produce_singly(&topic, 0..5).await;
    assert_eq!(keys(&mut partition, 5).await, [0, 1, 2, 3, 4]);
}
