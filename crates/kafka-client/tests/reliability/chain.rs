//! Three groups in a chain: each reads a topic, writes each record to the next topic, and commits, while members come and go.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use kafka_client::{
    Assignor, Client, ConsumerConfig, Delivery, GroupConfig, OffsetReset, ProducerConfig, StartAt,
    TopicPartition, TopicRecord,
};
use tokio::sync::{mpsc, watch};

use crate::journal::{Board, Journal, body, key_of};
use crate::kit::{Bed, PATIENCE, within};
use crate::member::{Member, Work};

const HOPS: usize = 3;
/// Records that are sent at once where there is a rate.
const BURST: u32 = 50;

/// What a chain goes through.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) records: u32,
    pub(crate) partitions: i32,
    /// How fast the first topic is written. Without it, as fast as it can be.
    pub(crate) records_per_second: Option<u32>,
    pub(crate) assignors: Vec<Assignor>,
    /// Members of each group at the start.
    pub(crate) members: usize,
    /// Members that join when a fifth of the records is handled.
    pub(crate) later: usize,
    /// So many members leave at half of the records.
    pub(crate) leaving: usize,
    /// Of those that leave, so many crash: they commit nothing more and say nothing.
    pub(crate) crashing: usize,
    /// Partitions may be lost to members that were not heard of: what they had not committed is handled again.
    pub(crate) may_lose: bool,
    /// Members have names (KIP-345), and those that leave come back under their names.
    pub(crate) statics: bool,
    /// A member that crashed is waited for so long.
    pub(crate) session_timeout: Duration,
    /// Most records that are handled between two commits.
    pub(crate) poll: usize,
}

impl Plan {
    fn may_double(&self) -> bool {
        self.crashing > 0 || self.may_lose
    }
}

pub(crate) struct Chain<'a> {
    bed: &'a Bed,
    plan: Plan,
    topics: Vec<String>,
    groups: Vec<String>,
    /// The keys by partition, in the order in which they were sent.
    origin: watch::Sender<Vec<Vec<u32>>>,
    /// The end of each topic, by partition, once it is known.
    ends: Vec<watch::Sender<Option<Vec<i64>>>>,
    journals: Vec<Arc<Journal>>,
    board: Arc<Board>,
    member_count: AtomicU32,
}

impl<'a> Chain<'a> {
    pub(crate) async fn new(bed: &'a Bed, plan: Plan) -> Self {
        let mut topics = Vec::new();
        for _ in 0..=HOPS {
            topics.push(bed.topic(plan.partitions).await);
        }
        Self {
            bed,
            topics,
            groups: (0..HOPS).map(|_| bed.name("chain")).collect(),
            origin: watch::Sender::new(vec![Vec::new(); plan.partitions as usize]),
            ends: (0..=HOPS).map(|_| watch::Sender::new(None)).collect(),
            journals: (0..HOPS)
                .map(|hop| Arc::new(Journal::new(hop, plan.partitions, plan.may_double())))
                .collect(),
            board: Arc::new(Board::new(HOPS)),
            member_count: AtomicU32::new(0),
            plan,
        }
    }

    pub(crate) fn topics(&self) -> &[String] {
        &self.topics
    }

    pub(crate) fn groups(&self) -> &[String] {
        &self.groups
    }

    /// Returns when so many records more were handled, over all groups.
    pub(crate) async fn more(&self, records: u64) {
        let goal = self.board.total() + records;
        let reached = move |done: &[u64]| done.iter().sum::<u64>() >= goal;
        self.board.wait("more records", reached).await;
    }

    /// The generation of each member, once all are in one and settled.
    pub(crate) async fn generations(&self) -> Vec<i32> {
        self.board.generations().await
    }

    /// Returns when a record more of each of these partitions of the first topic is acknowledged.
    pub(crate) async fn acknowledged_again(&self, partitions: &[i32]) {
        let mut acknowledged = self.origin.subscribe();
        let before: Vec<usize> = acknowledged.borrow().iter().map(Vec::len).collect();
        let more = |keys: &Vec<Vec<u32>>| {
            let mut partitions = partitions.iter().map(|p| *p as usize);
            partitions.all(|p| keys[p].len() > before[p])
        };
        within("acknowledgements", acknowledged.wait_for(more))
            .await
            .unwrap();
    }

    /// Runs the chain to its end and checks it.
    pub(crate) async fn run(&self) {
        self.run_with(async {}).await;
    }

    /// Runs the chain to its end, with `trouble` meanwhile, and checks it. Records are sent at least until that is over.
    pub(crate) async fn run_with(&self, trouble: impl Future<Output = ()>) {
        let over = AtomicBool::new(false);
        let trouble = async {
            trouble.await;
            over.store(true, Ordering::Relaxed);
        };
        let hops = join_all((0..HOPS).map(|hop| self.drive(hop)));
        tokio::join!(trouble, self.feed(&over), hops);
        self.check().await;
    }

    /// Writes the first topic.
    async fn feed(&self, enough: &AtomicBool) {
        let client = self.bed.client();
        let producer = client.producer(ProducerConfig::default());
        let topic = producer.topic(&self.topics[0]);
        let (sent, deliveries) = mpsc::unbounded_channel();
        let sending = async {
            let mut ticks = self.plan.records_per_second.map(|rate| {
                let tick = Duration::from_secs(BURST.into()) / rate;
                tokio::time::interval(tick)
            });
            for key in 0.. {
                if key >= self.plan.records && enough.load(Ordering::Relaxed) {
                    break;
                }
                if let Some(ticks) = ticks.as_mut().filter(|_| key % BURST == 0) {
                    ticks.tick().await;
                }
                let (text, body) = (key.to_string(), body(key));
                let record = TopicRecord {
                    key: Some(text.as_bytes()),
                    value: Some(body.as_bytes()),
                    ..TopicRecord::default()
                };
                sent.send((key, topic.send(&record).await.unwrap()))
                    .unwrap();
            }
            drop(sent);
        };
        tokio::join!(sending, self.note_acknowledgements(deliveries));
        producer.close(PATIENCE).await.unwrap();
        let ends = self
            .origin
            .borrow()
            .iter()
            .map(|keys| keys.len() as i64)
            .collect();
        self.ends[0].send_replace(Some(ends));
    }

    async fn note_acknowledgements(
        &self,
        mut deliveries: mpsc::UnboundedReceiver<(u32, Delivery)>,
    ) {
        while let Some((key, delivery)) = deliveries.recv().await {
            let written = within("producing", delivery).await.unwrap();
            self.origin.send_modify(|origin| {
                let keys = &mut origin[written.partition as usize];
                let expected = keys.len() as i64;
                assert!(
                    [-1, expected].contains(&written.offset),
                    "key {key} was written at {written:?} and not at {expected}"
                );
                keys.push(key);
            });
        }
    }

    /// Has one group's members come, go, and come to the end of their topic.
    async fn drive(&self, hop: usize) {
        let records = u64::from(self.plan.records);
        let mut members = Vec::new();
        let names = (0..self.plan.members + self.plan.later).map(|n| format!("member-{n}"));
        let mut names = names.collect::<Vec<_>>().into_iter();
        members.extend(
            names
                .by_ref()
                .take(self.plan.members)
                .map(|n| self.join(hop, n)),
        );
        self.board
            .wait("a fifth", |done| done[hop] >= records / 5)
            .await;
        members.extend(names.map(|n| self.join(hop, n)));
        self.board
            .wait("the half", |done| done[hop] >= records / 2)
            .await;
        for index in 0..self.plan.leaving {
            // One of the first and one of the later ones in turn.
            let member: Member = if index % 2 == 0 {
                members.remove(0)
            } else {
                members.pop().unwrap()
            };
            let name = member.name.clone();
            if index < self.plan.crashing {
                member.crash().await;
            } else {
                member.close().await;
            }
            if self.plan.statics {
                members.insert(members.len() / 2, self.join(hop, name));
            }
        }

        // Not bounded here: the hop before is.
        let mut ends = self.ends[hop].subscribe();
        let ends = ends.wait_for(Option::is_some).await.unwrap().clone();
        let ends = ends.unwrap();
        let all = ends.iter().sum::<i64>() as u64;
        self.board
            .wait("the last record", |done| done[hop] >= all)
            .await;
        for closed in join_all(members.into_iter().map(Member::close)).await {
            let () = closed;
        }
        // Nobody has failed while closing either.
        self.board.wait("nothing", |_| true).await;
        let next = self.bed.ends(&self.topics[hop + 1], self.plan.partitions);
        let next = next.await;
        self.ends[hop + 1].send_replace(Some(next));
    }

    fn join(&self, hop: usize, name: String) -> Member {
        let client = self.bed.client();
        let number = self.member_count.fetch_add(1, Ordering::Relaxed);
        let group = self.config(hop, &name);
        let work = Work {
            number,
            journal: Arc::clone(&self.journals[hop]),
            board: Arc::clone(&self.board),
            output: self.topics[hop + 1].clone(),
            poll: self.plan.poll,
        };
        Member::join(name, &client, group, work)
    }

    fn config(&self, hop: usize, name: &str) -> GroupConfig {
        GroupConfig {
            assignors: self.plan.assignors.clone(),
            group_instance_id: self.plan.statics.then(|| name.into()),
            session_timeout: self.plan.session_timeout,
            heartbeat_interval: Duration::from_millis(300),
            consumer: ConsumerConfig {
                auto_offset_reset: OffsetReset::Earliest,
                // Nothing may stand still, so nothing is helped up either.
                stall_timeout: PATIENCE * 10,
                ..ConsumerConfig::default()
            },
            ..GroupConfig::new(self.groups[hop].as_str(), [self.topics[hop].as_str()])
        }
    }

    async fn check(&self) {
        let origin = self.origin.borrow().clone();
        let mut logs: Vec<Vec<Vec<u32>>> = self.journals.iter().map(|j| j.keys()).collect();
        logs.push(self.read_last_topic().await);
        for (hop, log) in logs.iter().enumerate() {
            for (partition, (keys, origin)) in log.iter().zip(&origin).enumerate() {
                // What was done twice must have been done in order the first time.
                let firsts = if self.plan.may_double() {
                    firsts(keys)
                } else {
                    keys.clone()
                };
                let differs = firsts.iter().zip(origin).position(|(a, b)| a != b);
                assert!(
                    firsts == *origin,
                    "topic {hop}, partition {partition}: {} keys and not {}; the first that differs: {differs:?}",
                    firsts.len(),
                    origin.len()
                );
            }
        }
        let client = self.bed.client();
        for (group, ends) in self.groups.iter().zip(&self.ends) {
            let admin = client.admin();
            let offsets = within("asking for offsets", admin.group_offsets(group))
                .await
                .unwrap();
            let mut committed = vec![0; self.plan.partitions as usize];
            for (partition, offset) in offsets {
                committed[partition.partition as usize] = offset.offset;
            }
            assert_eq!(Some(committed), *ends.borrow(), "what {group} committed");
        }
    }

    async fn read_last_topic(&self) -> Vec<Vec<u32>> {
        let topic = &self.topics[HOPS];
        let ends = self.ends[HOPS].borrow().clone().unwrap();
        let client: Client = self.bed.client();
        let start = (0..self.plan.partitions)
            .map(|p| (TopicPartition::new(topic.as_str(), p), StartAt::Offset(0)));
        let consumers = client.consume(ConsumerConfig::default(), start).unwrap();
        let reads = consumers
            .into_iter()
            .zip(ends)
            .map(|(mut consumer, end)| async move {
                let mut keys = Vec::new();
                while (keys.len() as i64) < end {
                    let records = within("reading", consumer.poll(10_000)).await.unwrap();
                    for record in records.expect("not revoked").iter() {
                        assert_eq!(record.offset, keys.len() as i64);
                        keys.push(key_of(record.key, record.value).unwrap());
                    }
                }
                keys
            });
        join_all(reads).await
    }
}

/// The keys without those that came before.
fn firsts(keys: &[u32]) -> Vec<u32> {
    let mut seen = BTreeSet::new();
    keys.iter()
        .copied()
        .filter(|key| seen.insert(*key))
        .collect()
}

/// Sends the records of these keys to a topic and awaits their acknowledgement.
pub(crate) async fn send(bed: &Bed, topic: &str, keys: std::ops::Range<u32>) {
    let producer = bed.client().producer(ProducerConfig::default());
    let topic = producer.topic(topic);
    let mut deliveries = Vec::new();
    for key in keys {
        let (text, body) = (key.to_string(), body(key));
        let record = TopicRecord {
            key: Some(text.as_bytes()),
            value: Some(body.as_bytes()),
            ..TopicRecord::default()
        };
        deliveries.push(topic.send(&record).await.unwrap());
    }
    for delivery in deliveries {
        within("sending", delivery).await.unwrap();
    }
}
