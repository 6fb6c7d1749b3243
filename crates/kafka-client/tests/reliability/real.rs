//! The chain at full length, on a real Kafka: nine members of each group, nine more that join, five that leave.
//!
//! Members join at a fifth of the records and leave at half of them, and not after so many seconds: so it is the same run on a fast machine and
//! on a slow one, with records before, between and behind.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use kafka_client::Assignor;

use crate::chain::{Chain, Plan};
use crate::kit::{Bed, random};
use crate::proxy::Proxy;

/// Ten times as many as the other chains have.
const SOAK_RECORDS: u32 = 5_000_000;

fn full() -> Plan {
    Plan {
        records: 500_000,
        partitions: 24,
        records_per_second: None,
        assignors: vec![Assignor::Range],
        members: 9,
        later: 9,
        leaving: 5,
        crashing: 0,
        may_lose: false,
        statics: false,
        session_timeout: Duration::from_secs(10),
        poll: 500,
    }
}

async fn run(bed: &Bed, plan: Plan) {
    let started = Instant::now();
    Chain::new(bed, plan).await.run().await;
    println!("took {:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KAFKA_BOOTSTRAP_SERVERS: eval \"$(deploy/testbed/up)\" && cargo test -p kafka-client --test reliability -- --ignored chain"]
async fn a_chain_by_ranges() {
    run(&Bed::real(), full()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KAFKA_BOOTSTRAP_SERVERS: eval \"$(deploy/testbed/up)\" && cargo test -p kafka-client --test reliability -- --ignored chain"]
async fn a_cooperative_chain_with_crashes() {
    let plan = Plan {
        assignors: vec![Assignor::CooperativeSticky],
        crashing: 2,
        ..full()
    };
    run(&Bed::real(), plan).await;
}

// Nobody ends uncleanly, so no record may be handled twice: neither what moves nor what stays where it is in a rebalance.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KAFKA_BOOTSTRAP_SERVERS: eval \"$(deploy/testbed/up)\" && cargo test -p kafka-client --test reliability -- --ignored chain"]
async fn a_dynamic_cooperative_chain() {
    let plan = Plan {
        assignors: vec![Assignor::CooperativeSticky],
        ..full()
    };
    run(&Bed::real(), plan).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KAFKA_BOOTSTRAP_SERVERS: eval \"$(deploy/testbed/up)\" && cargo test -p kafka-client --test reliability -- --ignored chain"]
async fn a_cooperative_chain_of_static_members() {
    let plan = Plan {
        assignors: vec![Assignor::CooperativeSticky],
        statics: true,
        ..full()
    };
    run(&Bed::real(), plan).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the proxied listener: eval \"$(deploy/testbed/up)\" && cargo test -p kafka-client --test reliability -- --ignored chain"]
async fn a_chain_whose_connections_are_cut_every_second() {
    run_while_connections_are_cut(full()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes long: just soak"]
async fn soak_a_chain_whose_connections_are_cut_every_second() {
    let plan = Plan {
        records: SOAK_RECORDS,
        // On three nodes and for so long; a machine that is slow for some seconds is not what is looked for.
        session_timeout: Duration::from_secs(45),
        ..full()
    };
    run_while_connections_are_cut(plan).await;
}

async fn run_while_connections_are_cut(plan: Plan) {
    let (_, random) = random();
    let servers = |variable: &str| -> Vec<SocketAddr> {
        let value = std::env::var(variable)
            .unwrap_or_else(|_| panic!("{variable} is printed by deploy/testbed/up"));
        value.split(',').map(|s| s.parse().unwrap()).collect()
    };
    let ways: Vec<_> = servers("KAFKA_PROXY_SERVERS")
        .into_iter()
        .zip(servers("KAFKA_PROXIED_SERVERS"))
        .collect();
    let proxy = Proxy::start(&ways, random).await;
    let servers: Vec<_> = ways.iter().map(|(from, _)| from.to_string()).collect();
    run(&Bed::at(servers.join(",")), plan).await;
    println!("{} connections were cut", proxy.cut());
    assert!(proxy.cut() > 100, "{}", proxy.cut());
}
