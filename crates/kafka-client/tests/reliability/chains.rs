//! The chain under all that can happen to it.

use std::time::Duration;

use kafka_broker::{Fault, FaultAction};
use kafka_client::Assignor;
use rand::RngExt;
use rand::rngs::StdRng;

use crate::chain::{Chain, Plan};
use crate::kit::{Bed, random};

fn short() -> Plan {
    Plan {
        records: 20_000,
        partitions: 8,
        records_per_second: None,
        assignors: vec![Assignor::Range],
        members: 3,
        later: 3,
        leaving: 2,
        crashing: 0,
        may_lose: false,
        statics: false,
        session_timeout: Duration::from_secs(45),
        poll: 50,
    }
}

/// A coordinator whose answer to a newcomer is lost waits for that newcomer for the session timeout (KIP-394).
fn troubled() -> Plan {
    Plan {
        session_timeout: Duration::from_secs(10),
        ..short()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_ranges() {
    let bed = Bed::embedded(1, 0).await;
    Chain::new(&bed, short()).await.run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cooperatively() {
    let bed = Bed::embedded(1, 0).await;
    let plan = Plan {
        assignors: vec![Assignor::CooperativeSticky],
        ..short()
    };
    Chain::new(&bed, plan).await.run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cooperative_static_members_that_restart() {
    let bed = Bed::embedded(1, 0).await;
    let plan = Plan {
        assignors: vec![Assignor::CooperativeSticky],
        statics: true,
        leaving: 4,
        ..short()
    };
    Chain::new(&bed, plan).await.run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn static_members_that_restart_and_crash() {
    let bed = Bed::embedded(1, 0).await;
    let plan = Plan {
        statics: true,
        leaving: 4,
        crashing: 2,
        ..short()
    };
    Chain::new(&bed, plan).await.run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_connection_is_cut_again_and_again() {
    let (seed, mut random) = random();
    let bed = Bed::embedded(3, seed).await;
    let chain = Chain::new(&bed, troubled()).await;
    let trouble = async {
        loop {
            chain.more(random.random_range(200..1_500)).await;
            for node in 1..=3 {
                bed.broker().cut_connections(node).unwrap();
            }
        }
    };
    tokio::select! {
        () = chain.run() => {}
        () = trouble => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_kinds_of_trouble_at_once() {
    let (seed, mut random) = random();
    let bed = Bed::embedded(3, seed).await;
    let plan = Plan {
        assignors: vec![Assignor::CooperativeSticky],
        may_lose: true,
        ..troubled()
    };
    let chain = Chain::new(&bed, plan).await;
    for (action, probability) in [
        (FaultAction::DropBefore, 0.01),
        (FaultAction::DropAfter, 0.01),
        (FaultAction::DelayAnswer(Duration::from_millis(20)), 0.03),
        (FaultAction::Throttle(Duration::from_millis(20)), 0.01),
    ] {
        let fault = Fault::new(action).probability(probability);
        bed.broker().faults().inject(fault);
    }
    let trouble = async {
        loop {
            chain.more(random.random_range(200..1_500)).await;
            disturb(&bed, &chain, &mut random).await;
        }
    };
    tokio::select! {
        () = chain.run() => {}
        () = trouble => {}
    }
}

/// One thing that a cluster may do to its clients.
async fn disturb(bed: &Bed, chain: &Chain<'_>, random: &mut StdRng) {
    let broker = bed.broker();
    let node = random.random_range(1..=3);
    match random.random_range(0..5) {
        0 => broker.cut_connections(node).unwrap(),
        1 => {
            broker.crash_node(node).await.unwrap();
            broker.start_node(node).await.unwrap();
        }
        2 => {
            broker.stop_node(node).await.unwrap();
            broker.start_node(node).await.unwrap();
        }
        3 => {
            let group = &chain.groups()[random.random_range(0..chain.groups().len())];
            broker.move_coordinator(group, node).unwrap();
        }
        _ => {
            let topic = &chain.topics()[random.random_range(0..chain.topics().len())];
            for partition in 0..8 {
                let node = random.random_range(1..=3);
                broker.move_leader(topic, partition, node).unwrap();
            }
        }
    }
}
