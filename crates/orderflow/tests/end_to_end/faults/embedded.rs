//! On the embedded broker and store: what dies is a task, and what is away is told to be.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use contracts::{Timestamp, names};
use kafka_client::ProducerConfig;
use orderflow::cli::Role;
use service_kit::clock::{Clock, SystemClock};
use service_kit::dead_letters::Desk;

use super::bed::Bed;
use super::records;
use crate::running::until;

/// Orders of a wave: enough to be in all stages when the fault strikes.
const WAVE: u64 = 150;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_service_is_killed_in_turn() {
    let mut bed = Bed::start().await;
    for _ in 0..2 {
        for role in Role::PIPELINE {
            bed.wave(WAVE, async |bed| bed.kill_and_restart(role).await)
                .await;
        }
    }
    bed.verify().await;
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_that_are_stopped_under_load_publish_nothing_twice() {
    let mut bed = Bed::start().await;
    for _ in 0..2 {
        for role in Role::PIPELINE {
            bed.wave(WAVE, async |bed| bed.stop_and_restart(role).await)
                .await;
        }
    }
    bed.verify().await;
    assert_eq!(records::doubled(&bed.client).await, Vec::<String>::new());
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_broker_crashes_and_is_started_again() {
    let mut bed = Bed::start().await;
    for _ in 0..3 {
        bed.wave(WAVE, async |bed| {
            bed.broker.crash_node(1).await.unwrap();
            bed.broker.start_node(1).await.unwrap();
        })
        .await;
    }
    bed.verify().await;
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_to_the_broker_are_cut_again_and_again() {
    let mut bed = Bed::start().await;
    for _ in 0..10 {
        bed.wave(50, async |bed| bed.broker.cut_connections(1).unwrap())
            .await;
    }
    bed.verify().await;
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_goes_away_and_comes_back() {
    let mut bed = Bed::start().await;
    for _ in 0..3 {
        bed.wave(WAVE, async |bed| {
            bed.store.set_away(true);
            // Each of them has seen it, and somebody has been sent away.
            for role in Role::PIPELINE {
                let url = format!("http://{}/health", bed.address(role));
                let health = reqwest::get(url).await.unwrap();
                assert_eq!(health.status(), 503);
            }
            bed.store.set_away(false);
        })
        .await;
    }
    bed.verify().await;
    bed.stop().await;
}

/// What was published comes again, in another order, while new orders are on their way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_come_again_and_in_another_order() {
    let mut bed = Bed::start().await;
    for _ in 0..3 {
        bed.wave(WAVE, async |bed| {
            let mut events = records::read_all(&bed.client).await;
            events.reverse();
            records::publish(&bed.client, &events).await;
            let (odd, even): (Vec<_>, Vec<_>) =
                events.iter().enumerate().partition(|(n, _)| n % 2 == 1);
            let mixed = even.into_iter().chain(odd).map(|(_, event)| event);
            records::publish(&bed.client, mixed).await;
        })
        .await;
    }
    assert!(bed.verify().await > 0, "nothing came twice");
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_instances_come_and_go() {
    let mut bed = Bed::start().await;
    for _ in 0..4 {
        bed.wave(WAVE, async |bed| {
            let second = bed.second(&Role::PIPELINE).await;
            for role in Role::PIPELINE {
                let reads = |rows: &serde_json::Value| {
                    let rows = rows["items"].as_array().unwrap();
                    rows.iter().any(|row| row["owner"] == true)
                };
                second.urls.when(role, "/offsets", reads).await;
            }
            second.stop().await;
        })
        .await;
    }
    bed.verify().await;
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_comes_between_the_orders() {
    let mut bed = Bed::start().await;
    let producer = bed.client.producer(ProducerConfig::default());
    for topic in names::TOPICS {
        bed.wave(60, async |_| records::poison(&producer, topic).await)
            .await;
    }
    bed.verify().await;
    let desk = Desk::new(bed.client.clone());
    // Each group that reads a topic puts each of its poison records aside: payment reads two topics, inventory two, shipment
    // two, and order-service three.
    let all = 9 * usize::try_from(names::PARTITIONS).unwrap();
    until("the dead letters", async || {
        let mut letters = 0;
        for topic in desk.topics(None).await.unwrap() {
            letters += desk.letters(&topic, 100).await.unwrap().len();
        }
        assert!(letters <= all, "{letters} letters");
        letters == all
    })
    .await;
    bed.stop().await;
}

/// The machine's time, with jumps: each time that it is asked it may be an hour further, or an hour behind.
#[derive(Debug, Default)]
struct JumpingClock(AtomicI64);

impl Clock for JumpingClock {
    fn now(&self) -> Timestamp {
        const HOUR: i64 = 3_600_000;
        let asked = self.0.fetch_add(1, Ordering::Relaxed);
        let jump = [0, HOUR, -HOUR, 24 * HOUR, -24 * HOUR][(asked % 5) as usize];
        Timestamp::from_millis(SystemClock.now().millis() + jump)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_jump() {
    let mut bed = Bed::with(|settings| orderflow::ShopSettings {
        clock: Arc::new(JumpingClock::default()),
        ..settings
    })
    .await;
    bed.wave(WAVE, async |_| {}).await;
    bed.wave(WAVE, async |bed| {
        bed.kill_and_restart(Role::Inventory).await
    })
    .await;
    bed.verify().await;
    bed.stop().await;
}
