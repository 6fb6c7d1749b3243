//! A partition that is paused is not read, the others are, and nobody else gets it.

use contracts::Event;
use kafka_client::TopicPartition;
use service_kit::worker::Lanes;

use crate::kit::{Asked, Bed, until, within};
use crate::worker::{GROUP, Running};

/// A bed whose questions go to two partitions.
async fn bed() -> Bed {
    let bed = Bed::start().await;
    let topics = [(Asked::TOPIC, 2)];
    let made = within("adding a partition", async {
        bed.client.admin().create_partitions(&topics).await
    });
    for (_, outcome) in made.await.unwrap() {
        outcome.unwrap();
    }
    bed
}

fn partition(number: i32) -> TopicPartition {
    TopicPartition::new(Asked::TOPIC, number)
}

fn committed(bed: &Bed, number: i32) -> Option<i64> {
    bed.broker.inspect().committed(GROUP, Asked::TOPIC, number)
}

fn end(bed: &Bed, number: i32) -> Option<i64> {
    let found = bed.broker.inspect().partition(Asked::TOPIC, number);
    found.map(|partition| partition.end_offset)
}

async fn until_drained(bed: &Bed, number: i32) {
    let drained = || async {
        let committed = committed(bed, number);
        committed.is_some() && committed == end(bed, number)
    };
    until("draining a partition", drained).await;
}

/// Returns whether the partition is read there.
async fn set_paused(lanes: &Lanes, number: i32, paused: bool) -> bool {
    let partition = partition(number);
    within("telling a partition", lanes.set_paused(&partition, paused)).await
}

fn is_paused(worker: &Running, number: i32) -> Option<bool> {
    let member = worker.membership.borrow().clone()?;
    let partitions = member.state().partitions;
    let found = partitions
        .into_iter()
        .find(|p| p.partition == partition(number));
    found.map(|p| p.paused)
}

#[tokio::test]
async fn a_paused_partition_waits_while_the_others_go_on_until_it_is_resumed() {
    let bed = bed().await;
    let worker = Running::start(&bed, |_| Ok(()));
    bed.ask(&[1; 20]).await;
    until_drained(&bed, 0).await;
    until_drained(&bed, 1).await;

    let before = committed(&bed, 0);
    assert!(set_paused(&worker.lanes, 0, true).await);
    assert_eq!(is_paused(&worker, 0), Some(true));
    assert_eq!(is_paused(&worker, 1), Some(false));
    bed.ask(&[1; 20]).await;
    until_drained(&bed, 1).await;
    assert_eq!(committed(&bed, 0), before);
    assert_ne!(end(&bed, 0), before);

    assert!(set_paused(&worker.lanes, 0, false).await);
    until_drained(&bed, 0).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_partition_that_is_not_read_here_cannot_be_paused() {
    let bed = bed().await;
    let worker = Running::start(&bed, |_| Ok(()));
    bed.ask(&[1; 20]).await;
    until_drained(&bed, 0).await;
    assert!(!set_paused(&worker.lanes, 2, true).await);
    let lanes = worker.lanes.clone();
    worker.stop().await;
    assert!(!set_paused(&lanes, 0, true).await);
}

#[tokio::test]
async fn a_pause_ends_when_the_partition_is_revoked() {
    let bed = bed().await;
    let first = Running::start(&bed, |_| Ok(()));
    bed.ask(&[1; 20]).await;
    until_drained(&bed, 0).await;
    until_drained(&bed, 1).await;
    for number in [0, 1] {
        assert!(set_paused(&first.lanes, number, true).await);
    }
    bed.ask(&[1; 20]).await;
    // Each of the two gets one of the partitions, and both are read from then on.
    let second = Running::start(&bed, |_| Ok(()));
    until_drained(&bed, 0).await;
    until_drained(&bed, 1).await;
    for number in [0, 1] {
        for worker in [&first, &second] {
            assert_ne!(is_paused(worker, number), Some(true));
        }
    }
    first.stop().await;
    second.stop().await;
}
