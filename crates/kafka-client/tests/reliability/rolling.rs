//! Brokers that are stopped and started one after another, as for an upgrade, while cooperative static members work.
//!
//! The groups' coordinators move with it, twice each. A coordinator finds the members of its group in the log, so nobody has to join again:
//! what an operator may count on is that not one generation comes of it.

use std::time::{Duration, Instant};

use kafka_client::Assignor;

use crate::chain::{Chain, Plan};
use crate::cluster::{NODES, is_whole, testbed, topics_where, with_offsets};
use crate::kit::Bed;

fn plan() -> Plan {
    Plan {
        records: 30_000,
        partitions: 9,
        records_per_second: Some(5_000),
        assignors: vec![Assignor::CooperativeSticky],
        members: 3,
        later: 0,
        leaving: 0,
        crashing: 0,
        may_lose: false,
        statics: true,
        session_timeout: Duration::from_secs(45),
        poll: 500,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_is_no_rebalance_of_static_members() {
    let bed = Bed::embedded(NODES as usize, 0).await;
    let chain = Chain::new(&bed, plan()).await;
    let restart = async |node: i32| {
        bed.broker().stop_node(node).await.unwrap();
        chain.more(5_000).await;
        bed.broker().start_node(node).await.unwrap();
    };
    without_a_rebalance(&chain, restart).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs three nodes: eval \"$(KAFKA_NODES=3 deploy/testbed/up)\" && cargo test -p kafka-client --test reliability -- --ignored cluster_"]
async fn cluster_a_rolling_restart_is_no_rebalance_of_static_members() {
    let bed = Bed::real();
    let chain = Chain::new(&bed, plan()).await;
    let restart = async |node: i32| {
        // The last one restarted has caught up, so that there are always two replicas in sync.
        topics_where(&bed, &with_offsets(&chain), None, is_whole).await;
        let began = Instant::now();
        testbed("stop-node", node).await;
        let stopped = began.elapsed();
        chain.more(5_000).await;
        let more = began.elapsed();
        testbed("start-node", node).await;
        println!(
            "node {node}: stopped after {stopped:?}, more records after {more:?}, back after {:?}",
            began.elapsed()
        );
    };
    without_a_rebalance(&chain, restart).await;
}

/// Restarts each node in turn under a chain, which has to come to its end as if nothing had happened.
async fn without_a_rebalance(chain: &Chain<'_>, restart: impl AsyncFn(i32)) {
    let trouble = async {
        chain.more(10_000).await;
        let before = chain.generations().await;
        for node in 1..=NODES {
            restart(node).await;
            // Long enough for each member to have heard from its coordinator again.
            chain.more(20_000).await;
            assert_eq!(chain.generations().await, before, "node {node}");
        }
    };
    Box::pin(chain.run_with(trouble)).await;
}
