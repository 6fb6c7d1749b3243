//! Three real brokers that are killed, and members that are restarted.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use kafka_client::{
    Assignor, Client, ClientConfig, ConsumerConfig, GroupConfig, GroupPhase, OffsetReset,
    PartitionMetadata, ProducerConfig, TopicMetadata, TopicProducer, TopicRecord,
};

use crate::chain::{Chain, Plan};
use crate::journal::{Board, Journal};
use crate::kit::{Bed, PATIENCE, within};
use crate::member::{Member, Work};

pub(crate) const NODES: i32 = 3;
/// How long brokers are killed in the long form.
const SOAK: Duration = Duration::from_secs(600);
const OFFSETS: &str = "__consumer_offsets";

/// Runs a command of the test bed on a node, and returns when it has done it.
pub(crate) async fn testbed(command: &str, node: i32) {
    let path = format!(
        "{}/../../deploy/testbed/{command}",
        env!("CARGO_MANIFEST_DIR")
    );
    let run = move || Command::new(path).arg(node.to_string()).status();
    let status = tokio::task::spawn_blocking(run).await.unwrap().unwrap();
    assert!(status.success(), "{command} {node}");
}

/// The topics as they are, once all their partitions are as wanted. Asked of the nodes but `without`.
pub(crate) async fn topics_where(
    bed: &Bed,
    topics: &[&str],
    without: Option<i32>,
    wanted: impl Fn(&PartitionMetadata) -> bool,
) -> Vec<TopicMetadata> {
    let nodes = bed.bootstrap().split(',').zip(1..);
    let servers: Vec<_> = nodes
        .filter(|(_, node)| Some(*node) != without)
        .map(|(address, _)| address)
        .collect();
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    within("the partitions", async {
        loop {
            ticks.tick().await;
            let client = Client::new(ClientConfig::new(&servers.join(","))).unwrap();
            let Ok(described) = client.admin().describe_topics(topics).await else {
                continue;
            };
            let described: Vec<_> = described.into_iter().filter_map(|(_, t)| t.ok()).collect();
            let mut partitions = described.iter().flat_map(|t| &t.partitions);
            if described.len() == topics.len() && partitions.all(&wanted) {
                return described;
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs three nodes: eval \"$(KAFKA_NODES=3 deploy/testbed/up)\" && cargo test -p kafka-client --test reliability -- --ignored cluster_"]
async fn cluster_brokers_that_are_killed_lose_and_double_nothing() {
    killed_one_after_another(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes long: just soak"]
async fn soak_brokers_that_are_killed_lose_and_double_nothing() {
    killed_one_after_another(SOAK).await;
}

/// Kills each node once, and then again for as long as `at_least`.
async fn killed_one_after_another(at_least: Duration) {
    let bed = Bed::real();
    assert_eq!(bed.bootstrap().split(',').count(), NODES as usize);
    let plan = Plan {
        records: 50_000,
        partitions: 9,
        records_per_second: Some(5_000),
        assignors: vec![Assignor::Range],
        members: 3,
        later: 3,
        leaving: 2,
        crashing: 0,
        may_lose: false,
        statics: false,
        session_timeout: Duration::from_secs(45),
        poll: 500,
    };
    let chain = Chain::new(&bed, plan).await;
    let probe = Probe::new(&bed).await;
    let began = Instant::now();
    let trouble = async {
        loop {
            for node in 1..=NODES {
                kill(&bed, &chain, &probe, node).await;
            }
            if began.elapsed() >= at_least {
                break;
            }
        }
    };
    Box::pin(chain.run_with(trouble)).await;
}

async fn kill(bed: &Bed, chain: &Chain<'_>, probe: &Probe, node: i32) {
    chain.more(20_000).await;
    // It is the loss of one of three that nothing is lost by.
    let mut topics = with_offsets(chain);
    topics.push(&probe.topic);
    let described = topics_where(bed, &topics, None, is_whole).await;
    let led_of = |topic: &str| -> Vec<i32> {
        let partitions = described.iter().filter(|t| &*t.name == topic);
        let led = partitions
            .flat_map(|t| &t.partitions)
            .filter(|p| p.leader == Some(node));
        led.map(|p| p.partition).collect()
    };
    let (led, probed) = (led_of(topics[0]), led_of(&probe.topic));
    probe
        .acknowledged(&(0..probe.partitions).collect::<Vec<_>>())
        .await;
    testbed("kill9", node).await;
    let killed = Instant::now();
    let moved = |p: &PartitionMetadata| p.leader.is_some_and(|l| l != node);
    let known = async {
        topics_where(bed, &[&probe.topic], Some(node), moved).await;
        Instant::now()
    };
    let (known, learned, acknowledged) =
        tokio::join!(known, probe.learns(moved), probe.acknowledged(&probed));
    println!(
        "node {node}: the new leaders of {} partitions are known {:?} after the kill; from then until the producer knows them: {:?}; until a record of each is acknowledged: {:?}",
        probed.len(),
        known - killed,
        learned.saturating_duration_since(known),
        acknowledged.saturating_duration_since(known)
    );
    topics_where(bed, &topics, Some(node), moved).await;
    chain.acknowledged_again(&led).await;
    testbed("start-node", node).await;
}

/// A producer that has a record for each partition while there is no leader, and nothing else: what it takes is not the time of a backlog.
struct Probe {
    topic: String,
    partitions: i32,
    client: Client,
    producer: TopicProducer,
}

impl Probe {
    async fn new(bed: &Bed) -> Self {
        let partitions = 9;
        let topic = bed.topic(partitions).await;
        let client = bed.client();
        let producer = client.producer(ProducerConfig::default()).topic(&topic);
        Self {
            topic,
            partitions,
            client,
            producer,
        }
    }

    /// Returns when the producer's own client knows all partitions to be so.
    async fn learns(&self, wanted: impl Fn(&PartitionMetadata) -> bool) -> Instant {
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        within("the probe's metadata", async {
            loop {
                ticks.tick().await;
                let metadata = self.client.metadata();
                let topic = metadata.topics.get(self.topic.as_str());
                if topic.is_some_and(|t| t.partitions.iter().all(&wanted)) {
                    return Instant::now();
                }
            }
        })
        .await
    }

    /// Returns when a new record of each of these partitions was acknowledged.
    async fn acknowledged(&self, partitions: &[i32]) -> Instant {
        let deliveries = partitions.iter().map(|partition| async move {
            let record = TopicRecord {
                partition: Some(*partition),
                value: Some(b"probe"),
                ..TopicRecord::default()
            };
            self.producer.send(&record).await.unwrap().await.unwrap();
        });
        within("the probe", join_all(deliveries)).await;
        Instant::now()
    }
}

/// The topics that the chain's tests depend on.
pub(crate) fn with_offsets<'a>(chain: &'a Chain<'_>) -> Vec<&'a str> {
    let topics = chain.topics().iter().map(String::as_str);
    topics.chain([OFFSETS]).collect()
}

pub(crate) fn is_whole(partition: &PartitionMetadata) -> bool {
    partition.in_sync_replicas.len() == NODES as usize
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarting_static_members_is_no_rebalance() {
    restarted_one_after_another(&Bed::embedded(1, 0).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs three nodes: eval \"$(KAFKA_NODES=3 deploy/testbed/up)\" && cargo test -p kafka-client --test reliability -- --ignored cluster_"]
async fn cluster_restarting_static_members_is_no_rebalance() {
    restarted_one_after_another(&Bed::real()).await;
}

async fn restarted_one_after_another(bed: &Bed) {
    for assignor in [Assignor::Range, Assignor::CooperativeSticky] {
        let (topic, output, group) = (bed.topic(6).await, bed.topic(6).await, bed.name("group"));
        let journal = Arc::new(Journal::new(0, 6, false));
        let board = Arc::new(Board::new(1));
        let mut restarts = 0;
        let mut join = |name: &str| {
            let config = GroupConfig {
                assignors: vec![assignor],
                group_instance_id: Some(name.into()),
                heartbeat_interval: Duration::from_millis(200),
                consumer: ConsumerConfig {
                    auto_offset_reset: OffsetReset::Earliest,
                    ..ConsumerConfig::default()
                },
                ..GroupConfig::new(group.as_str(), [topic.as_str()])
            };
            restarts += 1;
            let work = Work {
                number: restarts,
                journal: Arc::clone(&journal),
                board: Arc::clone(&board),
                output: output.clone(),
                poll: 10,
            };
            Member::join(name.to_owned(), &bed.client(), config, work)
        };
        let mut members: Vec<Member> = ["a", "b", "c"].into_iter().map(&mut join).collect();
        let before = settled(&members).await;
        let mut watches: Vec<_> = members.iter().map(|m| m.handle.watch()).collect();
        for watch in &mut watches {
            watch.mark_unchanged();
        }
        for round in 0..3u32 {
            crate::chain::send(bed, &topic, round * 60..(round + 1) * 60).await;
            let member = members.remove(0);
            let name = member.name.clone();
            member.close().await;
            members.push(join(&name));
            let after = settled(&members).await;
            let expected = [
                &before[(round as usize + 1) % 3],
                &before[(round as usize + 2) % 3],
                &before[round as usize],
            ];
            assert_eq!(
                after.iter().collect::<Vec<_>>(),
                expected,
                "{assignor:?}, round {round}"
            );
            let all = u64::from((round + 1) * 60);
            board.wait("all records", |done| done[0] >= all).await;
            // Whoever is still to be restarted has not noticed.
            for watch in &watches[round as usize + 1..] {
                assert!(!watch.has_changed().unwrap(), "{:?}", *watch.borrow());
            }
        }
        for member in members {
            member.close().await;
        }
    }
}

/// Waits until all partitions are shared out evenly in one generation; returns each member's generation and partitions.
async fn settled(members: &[Member]) -> Vec<(i32, Vec<i32>)> {
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let settled = async {
        loop {
            ticks.tick().await;
            let states: Vec<_> = members.iter().map(|m| m.handle.state()).collect();
            let generation = states[0].status.generation;
            let even = states.iter().all(|s| {
                s.status.phase == GroupPhase::Stable
                    && s.status.generation == generation
                    && s.partitions.len() == 2
                    && s.partitions.iter().all(|p| !p.revoked)
            });
            if even {
                let partitions = |s: &kafka_client::GroupState| {
                    s.partitions.iter().map(|p| p.partition.partition).collect()
                };
                return states
                    .iter()
                    .map(|s| (generation.unwrap(), partitions(s)))
                    .collect();
            }
        }
    };
    match tokio::time::timeout(PATIENCE, settled).await {
        Ok(settled) => settled,
        Err(_) => {
            let states: Vec<_> = members.iter().map(|m| m.handle.state()).collect();
            panic!("the group does not settle: {states:?}")
        }
    }
}
