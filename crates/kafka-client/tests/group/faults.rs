//! Brokers that go, move and hang up under a group, on the embedded ones: they can be told to.

use std::time::Duration;

use kafka_broker::{ApiKey, Fault, FaultAction};
use kafka_client::{Client, ClientConfig, GroupConfig};

use crate::kit::{Bed, Journal, Member, assigned, config, within};

#[tokio::test]
async fn a_coordinator_and_a_leader_that_move_are_found_again() {
    let bed = Bed::nodes(2).await;
    let (topic, group) = (bed.topic(2).await, bed.name("group"));
    let journal = Journal::new();
    let member = Member::join(&bed.client, config(&group, &topic), &journal);
    member.wait_for_partitions(2).await;
    for round in 0..6 {
        let node = 1 + round % 2;
        bed.broker().move_coordinator(&group, node).unwrap();
        bed.broker().move_leader(&topic, 0, node).unwrap();
        bed.broker().move_leader(&topic, 1, 3 - node).unwrap();
        let keys = round as u32 * 50..(round as u32 + 1) * 50;
        bed.produce(&topic, 2, keys.clone()).await;
        journal.wait_for(keys.end as usize).await;
    }
    member.close().await;
    journal.assert_exactly(0..300);
    assert_eq!(bed.committed(&group).await, [(0, 150), (1, 150)].into());
}

#[tokio::test]
async fn a_broker_that_restarts_is_found_again() {
    let bed = Bed::embedded().await;
    let (topic, group) = (bed.topic(2).await, bed.name("group"));
    let journal = Journal::new();
    let member = Member::join(&bed.client, config(&group, &topic), &journal);
    bed.produce(&topic, 2, 0..100).await;
    journal.wait_for(100).await;
    bed.broker().crash_node(1).await.unwrap();
    bed.broker().start_node(1).await.unwrap();
    bed.produce(&topic, 2, 100..200).await;
    journal.wait_for(200).await;
    member.close().await;
    journal.assert_exactly(0..200);
    assert_eq!(bed.committed(&group).await, [(0, 100), (1, 100)].into());
}

#[tokio::test]
async fn connections_that_are_cut_all_the_time_lose_and_double_nothing() {
    let bed = Bed::embedded().await;
    let (topic, group) = (bed.topic(3).await, bed.name("group"));
    let journal = Journal::new();
    let first = Member::join(&bed.client, config(&group, &topic), &journal);
    let second = Member::join(&bed.other_client(), config(&group, &topic), &journal);
    for round in 0..20u32 {
        bed.broker().cut_connections(1).unwrap();
        bed.produce(&topic, 3, round * 30..(round + 1) * 30).await;
        bed.broker().cut_connections(1).unwrap();
        journal.wait_for((round as usize + 1) * 30).await;
    }
    first.close().await;
    second.close().await;
    journal.assert_exactly(0..600);
}

#[tokio::test]
async fn partitions_that_are_added_are_assigned() {
    let bed = Bed::embedded().await;
    let (topic, group) = (bed.topic(1).await, bed.name("group"));
    let client = Client::new(ClientConfig {
        metadata_max_age: Duration::from_millis(100),
        ..bed.client.config().clone()
    })
    .unwrap();
    let journal = Journal::new();
    let member = Member::join(&client, config(&group, &topic), &journal);
    member.wait_for_partitions(1).await;
    for (_, grown) in bed
        .client
        .admin()
        .create_partitions(&[(&topic, 3)])
        .await
        .unwrap()
    {
        grown.unwrap();
    }
    member.wait_for_partitions(3).await;
    member.close().await;
}

#[tokio::test]
async fn a_coordinator_that_falls_silent_is_not_the_one_that_is_asked_for_the_next() {
    let bed = Bed::nodes(2).await;
    let (topic, group) = (bed.topic(1).await, bed.name("group"));
    bed.broker().move_coordinator(&group, 1).unwrap();
    let mine = GroupConfig {
        session_timeout: Duration::from_secs(6),
        ..config(&group, &topic)
    };
    let mut member = bed.client.consumer_group(mine).unwrap();
    let partition = assigned(&mut member).await;
    // It is also the broker that any question goes to, the first of the bootstrap servers.
    for api in [ApiKey::Heartbeat, ApiKey::FindCoordinator, ApiKey::Metadata] {
        let silence = Fault::new(FaultAction::NeverAnswer).on(api).node(1);
        bed.broker().faults().inject(silence);
    }
    bed.broker().move_coordinator(&group, 2).unwrap();
    let heard = Fault::new(FaultAction::Delay(Duration::ZERO));
    let heard = heard.on(ApiKey::Heartbeat).node(2);
    let heard = bed.broker().faults().inject(heard);
    within("heartbeats to the new one", heard.wait_for_hits(2)).await;
    within("a commit", partition.commit(0)).await.unwrap();
    let inspect = bed.broker().inspect();
    assert_eq!(inspect.group(&group).unwrap().generation, 1);
}
