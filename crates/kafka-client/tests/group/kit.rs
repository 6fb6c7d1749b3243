//! What the scenarios share: a cluster, topics and records on it, and members that note what they handle.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use kafka_broker::{Broker, BrokerConfig};
use kafka_client::{
    Client, ClientConfig, ConsumerConfig, ConsumerGroup, GroupConfig, GroupEvent, GroupHandle,
    NewTopic, OffsetReset, PartitionConsumer, ProducerConfig, ProducerRecord, TopicPartition,
};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use uuid::Uuid;

/// The bound on everything that a test waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("{what} took longer than {PATIENCE:?}"))
}

/// A cluster to test on.
pub(crate) struct Bed {
    pub(crate) client: Client,
    broker: Option<Broker>,
    bootstrap: String,
}

impl Bed {
    pub(crate) async fn embedded() -> Self {
        Self::nodes(1).await
    }

    /// An embedded cluster of so many nodes.
    pub(crate) async fn nodes(count: usize) -> Self {
        Self::racks(count, &[]).await
    }

    /// An embedded cluster of so many nodes, in these racks.
    pub(crate) async fn racks(count: usize, racks: &[&str]) -> Self {
        let config = BrokerConfig {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); count],
            racks: racks.iter().map(|rack| (*rack).to_owned()).collect(),
            min_session_timeout: Duration::from_millis(100),
            ..BrokerConfig::default()
        };
        let broker = Broker::start(config).await.unwrap();
        let bootstrap = broker.bootstrap_servers();
        Self {
            client: Client::new(ClientConfig::new(&bootstrap)).unwrap(),
            broker: Some(broker),
            bootstrap,
        }
    }

    pub(crate) fn broker(&self) -> &Broker {
        self.broker.as_ref().expect("an embedded broker")
    }

    pub(crate) fn real() -> Self {
        let bootstrap = std::env::var("KAFKA_BOOTSTRAP_SERVERS")
            .expect("KAFKA_BOOTSTRAP_SERVERS names a running Kafka; see deploy/testbed");
        Self {
            client: Client::new(ClientConfig::new(&bootstrap)).unwrap(),
            broker: None,
            bootstrap,
        }
    }

    pub(crate) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// A client with connections of its own, as another process would have.
    pub(crate) fn other_client(&self) -> Client {
        Client::new(ClientConfig::new(&self.bootstrap)).unwrap()
    }

    pub(crate) fn name(&self, what: &str) -> String {
        format!("{what}-{}", Uuid::new_v4().simple())
    }

    pub(crate) async fn topic(&self, partitions: i32) -> String {
        let name = self.name("topic");
        self.create(&name, partitions).await;
        name
    }

    pub(crate) async fn create(&self, name: &str, partitions: i32) {
        self.create_with_replicas(name, partitions, 1).await;
    }

    pub(crate) async fn topic_with_replicas(&self, partitions: i32, replicas: i16) -> String {
        let name = self.name("topic");
        self.create_with_replicas(&name, partitions, replicas).await;
        name
    }

    async fn create_with_replicas(&self, name: &str, partitions: i32, replicas: i16) {
        let topic = NewTopic::new(name, partitions, replicas);
        let made = within(
            "making a topic",
            self.client.admin().create_topics(&[topic]),
        )
        .await;
        for (_, result) in made.unwrap() {
            result.unwrap();
        }
    }

    /// Sends records with these numbers as keys, dealt out to the topic's partitions in turn.
    pub(crate) async fn produce(&self, topic: &str, partitions: i32, keys: std::ops::Range<u32>) {
        let producer = self.client.producer(ProducerConfig::default());
        for number in keys {
            let key = number.to_string();
            let partition = number as i32 % partitions;
            let record = ProducerRecord::new(topic)
                .key(key.as_bytes())
                .value(b"value")
                .partition(partition);
            drop(producer.send(&record).await.unwrap());
        }
        within("producing", producer.flush()).await;
        producer.close(PATIENCE).await.unwrap();
    }

    /// As [`produce`](Self::produce), to the first partition, each record in a batch of its own.
    pub(crate) async fn produce_singly(&self, topic: &str, keys: std::ops::Range<u32>) {
        let producer = self.client.producer(ProducerConfig::default());
        for number in keys {
            let key = number.to_string();
            let record = ProducerRecord::new(topic).key(key.as_bytes()).partition(0);
            let delivery = producer.send(&record).await.unwrap();
            within("producing", delivery).await.unwrap();
        }
    }

    /// The offsets that the group has committed for the topic, by partition.
    pub(crate) async fn committed(&self, group: &str) -> BTreeMap<i32, i64> {
        let offsets = self.client.admin().group_offsets(group).await.unwrap();
        offsets
            .into_iter()
            .map(|(tp, c)| (tp.partition, c.offset))
            .collect()
    }
}

pub(crate) fn config(group: &str, topic: &str) -> GroupConfig {
    GroupConfig {
        consumer: ConsumerConfig {
            auto_offset_reset: OffsetReset::Earliest,
            ..ConsumerConfig::default()
        },
        heartbeat_interval: Duration::from_millis(200),
        rebalance_timeout: Duration::from_secs(20),
        drain_budget: Duration::from_secs(10),
        ..GroupConfig::new(group, [topic])
    }
}

/// A record that a member handled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: u32,
}

/// What all members of a test have handled.
#[derive(Clone)]
pub(crate) struct Journal(Arc<watch::Sender<Vec<Seen>>>);

impl Journal {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Vec::new())))
    }

    fn note(&self, seen: impl IntoIterator<Item = Seen>) {
        self.0.send_modify(|all| all.extend(seen));
    }

    pub(crate) fn all(&self) -> Vec<Seen> {
        self.0.borrow().clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Vec<Seen>> {
        self.0.subscribe()
    }

    pub(crate) async fn wait_for(&self, count: usize) {
        let mut watch = self.0.subscribe();
        let what = format!("handling {count} records");
        let reached = within(&what, watch.wait_for(|all| all.len() >= count)).await;
        reached.unwrap();
    }

    /// So many different records: what was handled and not committed comes again after a crash.
    pub(crate) async fn wait_for_keys(&self, count: usize) {
        let mut watch = self.0.subscribe();
        let what = format!("handling {count} different records");
        let all_there = |all: &Vec<Seen>| {
            let keys: BTreeSet<u32> = all.iter().map(|seen| seen.key).collect();
            keys.len() >= count
        };
        within(&what, watch.wait_for(all_there)).await.unwrap();
    }

    /// Every key exactly once, and each partition's offsets in order.
    pub(crate) fn assert_exactly(&self, keys: std::ops::Range<u32>) {
        let all = self.all();
        let seen: BTreeSet<_> = all.iter().map(|s| s.key).collect();
        let missing: Vec<_> = keys.clone().filter(|k| !seen.contains(k)).collect();
        assert!(missing.is_empty(), "never handled: {missing:?}");
        let mut next: BTreeMap<i32, i64> = BTreeMap::new();
        for s in &all {
            let next = next.entry(s.partition).or_default();
            assert_eq!(s.offset, *next, "handled twice, or out of order: {s:?}");
            *next += 1;
        }
        assert_eq!(all.len(), keys.len());
    }
}

/// A member that handles records, notes them, and commits after each poll.
pub(crate) struct Member {
    pub(crate) handle: GroupHandle,
    stop: watch::Sender<Stop>,
    task: JoinHandle<()>,
}

#[derive(Clone, Copy, PartialEq)]
enum Stop {
    No,
    Close,
    Crash,
}

impl Member {
    pub(crate) fn join(client: &Client, config: GroupConfig, journal: &Journal) -> Self {
        let group = client.consumer_group(config).unwrap();
        let handle = group.handle();
        let (stop, stopped) = watch::channel(Stop::No);
        let task = tokio::spawn(run(group, journal.clone(), stopped));
        Self { handle, stop, task }
    }

    /// Finishes, commits, leaves.
    pub(crate) async fn close(self) {
        self.stop.send_replace(Stop::Close);
        within("closing a member", self.task).await.unwrap();
    }

    /// Is gone without a word.
    pub(crate) async fn crash(self) {
        self.stop.send_replace(Stop::Crash);
        within("crashing a member", self.task).await.unwrap();
    }

    /// Waits until the member is in the group with so many partitions, all of them with a position.
    pub(crate) async fn wait_for_partitions(&self, count: usize) {
        wait_for_partitions(&self.handle, count).await;
    }
}

pub(crate) async fn wait_for_partitions(handle: &GroupHandle, count: usize) {
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let waiting = async {
        loop {
            let state = handle.state();
            if state.partitions.len() == count
                && state
                    .partitions
                    .iter()
                    .all(|p| p.position.is_some() && !p.revoked)
                && state.status.phase == kafka_client::GroupPhase::Stable
            {
                return;
            }
            ticks.tick().await;
        }
    };
    let deadline = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(
        deadline.is_ok(),
        "not {count} partitions, but {:?}",
        handle.state()
    );
}

async fn run(mut group: ConsumerGroup, journal: Journal, mut stopped: watch::Receiver<Stop>) {
    let mut workers = JoinSet::new();
    loop {
        tokio::select! {
            event = group.next() => match event {
                Some(GroupEvent::Assigned(partition)) => {
                    workers.spawn(work(partition, journal.clone()));
                }
                Some(GroupEvent::Error(error)) => panic!("{error}"),
                None => break,
            },
            _ = stopped.wait_for(|stop| *stop != Stop::No) => break,
        }
    }
    if *stopped.borrow() == Stop::Crash {
        workers.abort_all();
        return;
    }
    group.close(Duration::from_secs(15)).await.unwrap();
    while let Some(done) = workers.join_next().await {
        done.unwrap();
    }
}

async fn work(mut partition: PartitionConsumer, journal: Journal) {
    loop {
        match partition.poll(100).await {
            Ok(Some(records)) => {
                let number = partition.partition();
                let seen: Vec<_> = records
                    .iter()
                    .map(|r| Seen {
                        partition: number,
                        offset: r.offset,
                        key: key_of(r.key),
                    })
                    .collect();
                journal.note(seen);
                match partition.commit(records.next_offset()).await {
                    Ok(()) => {}
                    Err(error) if error.is_lost() => return,
                    Err(error) => panic!("{error}"),
                }
            }
            Ok(None) => return,
            Err(error) if error.is_lost() => return,
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) fn key_of(key: Option<&[u8]>) -> u32 {
    std::str::from_utf8(key.unwrap()).unwrap().parse().unwrap()
}

/// The next partition that the group is assigned.
pub(crate) async fn assigned(group: &mut ConsumerGroup) -> PartitionConsumer {
    match within("an assignment", group.next()).await {
        Some(GroupEvent::Assigned(partition)) => partition,
        other => panic!("expected an assignment, got {other:?}"),
    }
}

/// The keys of the next records.
pub(crate) async fn keys(partition: &mut PartitionConsumer, count: usize) -> Vec<u32> {
    let mut keys = Vec::new();
    while keys.len() < count {
        let records = within("a poll", partition.poll(count - keys.len())).await;
        let records = records.unwrap().expect("not revoked");
        keys.extend(records.iter().map(|r| key_of(r.key)));
    }
    keys
}

pub(crate) fn tp(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition::new(topic, partition)
}
