//! What the page shows: everything at one moment, as `GET /api/snapshot` and the events of `GET /api/stream` have it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::controls::InstanceState;

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Snapshot {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// The cluster.
    pub kafka: Kafka,
    /// The topics: the pipeline's in the order in which an order passes them, then dead letters, then others, by name; at most 200,
    /// with 1,000 partitions together.
    pub topics: Vec<Topic>,
    /// The consumer groups, by name; at most 100.
    pub groups: Vec<Group>,
    /// The services, in the order in which an order passes them.
    pub services: Vec<Service>,
    /// The stock, by product; at most 50 products.
    pub stock: Vec<Product>,
    /// The newest orders.
    pub orders: Orders,
    /// The topics of dead letters that have any.
    pub dead_letters: Vec<DeadLetters>,
    /// The last 30 rebalances that were seen, newest first.
    pub rebalances: Vec<Rebalance>,
    /// The orders that the dashboard places by itself.
    pub load: Load,
    /// What may be done.
    pub can: Can,
}

/// The cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kafka {
    /// Whether it answers.
    pub state: KafkaState,
    /// Why it does not; or, where it does, what could not be learned or was left out.
    pub error: Option<String>,
    /// Whether it is the embedded broker.
    pub embedded: bool,
    /// Whether the embedded broker runs; none on a real Kafka.
    pub running: Option<bool>,
    /// `host:port`, separated by commas.
    pub bootstrap_servers: String,
    /// The brokers that are up, by id.
    pub brokers: Vec<Broker>,
    /// The broker that is the controller, if one is known.
    pub controller: Option<i32>,
}

/// Whether a cluster answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KafkaState {
    /// It does.
    Up,
    /// It does not; what else is told of it is what was known before.
    Away,
}

/// A broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Broker {
    /// Its id.
    pub id: i32,
    /// `host:port`.
    pub address: String,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Topic {
    /// Its name.
    pub topic: String,
    /// What it is for.
    pub kind: TopicKind,
    /// Records written a second, over about the last two.
    pub rate: f64,
    /// Its partitions, by number.
    pub partitions: Vec<Partition>,
}

/// What a topic is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TopicKind {
    /// One of the pipeline's.
    Pipeline,
    /// What a group could not handle.
    DeadLetters,
    /// Anything else in the cluster.
    Other,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Partition {
    /// Its number.
    pub partition: i32,
    /// The first offset that there is.
    pub start: i64,
    /// The offset of the next record to be written.
    pub end: i64,
    /// The broker that leads it, if one does.
    pub leader: Option<i32>,
    /// Its last records.
    pub tail: Tail,
}

/// The last records of a partition, at most 24.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tail {
    /// The offset of the first of them.
    pub from: i64,
    /// One an offset; none where there is no record, since it was compacted away or is none of a producer's.
    pub records: Vec<Option<TailRecord>>,
}

/// What a lane shows of a record: the end of its key (8 characters, since ids begin with the time and are alike there), its event's type,
/// its time in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TailRecord(pub Option<String>, pub Option<String>, pub i64);

/// A consumer group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Its id.
    pub group: String,
    /// `Stable`, `Empty`, `PreparingRebalance`, `CompletingRebalance` or `Dead`; of a group of KIP-848 what the list of groups says,
    /// `Assigning` and `Reconciling` among it.
    pub state: String,
    /// What is missing of it, and why: its members are not told, or it could not be asked and is as it was last seen.
    pub note: Option<String>,
    /// The assignor that it agreed on; empty while it has no members.
    pub protocol: String,
    /// Its generation, where a member of it tells: Kafka does not.
    pub generation: Option<i32>,
    /// Records that are not committed: of all partitions of topics that are told, also of those that are left out of `offsets`.
    pub lag: i64,
    /// Its members, by id; at most 200.
    pub members: Vec<Member>,
    /// Where it stands, by topic and partition; at most 1,000 of them.
    pub offsets: Vec<GroupOffset>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Member {
    /// The id that the coordinator gave it.
    pub member_id: String,
    /// Its `group.instance.id`, if it is a static member (KIP-345).
    pub instance_id: Option<String>,
    /// Its client id.
    pub client_id: String,
    /// Where it comes from.
    pub host: String,
    /// The instance of a service that it is, if it is one that is known.
    pub instance: Option<String>,
    /// Where it is in the life of its group, as the instance tells it: `joining`, `stable`, …
    pub phase: Option<String>,
    /// What it was assigned; at most 1,000 partitions in a group.
    pub partitions: Vec<TopicPartition>,
}

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct TopicPartition {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
}

/// Where a group stands in a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupOffset {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset that is committed; none if none is.
    pub committed: Option<i64>,
    /// The offset that is handled next, where the member tells it.
    pub position: Option<i64>,
    /// The offset of the next record to be written.
    pub end: i64,
    /// Records that are not committed.
    pub lag: i64,
    /// Whether its reader was told to pause it.
    pub paused: bool,
    /// The member that reads it.
    pub member: Option<String>,
}

/// A service and its instances.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Service {
    /// Its name.
    pub service: String,
    /// Its instances, by number.
    pub instances: Vec<ServiceInstance>,
}

/// An instance and how it says it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServiceInstance {
    /// Its name.
    pub instance: String,
    /// Where its HTTP listens.
    pub url: String,
    /// How it is.
    pub state: InstanceState,
    /// What its `GET /health` answered, as it is; none where it did not.
    pub health: Option<Value>,
}

/// A product of the stock.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct Product {
    /// Its id.
    pub product_id: String,
    /// Pieces on hand.
    pub quantity: u64,
    /// What one costs.
    pub price: f64,
    /// Pieces at the very first start.
    pub initial: u64,
    /// Pieces that were delivered since.
    pub restocked: u64,
}

/// The newest orders, and those that are not published.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Orders {
    /// Orders in the outbox: stored, and not published yet; none where order-service does not answer.
    pub backlog: Option<u64>,
    /// The newest, newest first; at most 30.
    pub newest: Vec<OrderLine>,
}

/// An order in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OrderLine {
    /// Its id.
    pub order_id: String,
    /// `PENDING`, `PAID`, …
    pub status: String,
    /// Whose it is.
    pub customer_id: String,
    /// What it costs.
    pub total_amount: f64,
    /// When it was placed, in RFC 3339.
    pub created_at: String,
    /// When it came to its status.
    pub updated_at: String,
}

/// A topic of dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetters {
    /// The topic.
    pub topic: String,
    /// The group that could not handle them.
    pub group: String,
    /// The topic that they came from.
    pub origin: String,
    /// How many there are.
    pub count: i64,
}

/// A change of who reads what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rebalance {
    /// When it was seen, in milliseconds since 1970.
    pub at: i64,
    /// Of which group.
    pub group: String,
    /// The generation since; none where no member tells.
    pub generation: Option<i32>,
    /// The generation before.
    pub was: Option<i32>,
    /// Why it has no new generation: nobody is left in the group who could tell one. None where there is one.
    pub reason: Option<Emptied>,
    /// The partitions that have another reader now; at most 500.
    pub moves: Vec<Move>,
}

/// How the last member of a group went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Emptied {
    /// Its instance has crashed, so its session has timed out.
    SessionTimedOut,
    /// Its instance was stopped, or is up without it.
    Left,
    /// One or the other: its instance is not known, or does not answer and nobody here knows why.
    Gone,
}

/// A partition that has another reader. Readers are named by their instance, or else by their `group.instance.id`, their client id or
/// their member id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Move {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Who read it before; none if nobody did.
    pub from: Option<String>,
    /// Who reads it now; none if nobody does.
    pub to: Option<String>,
}

/// The orders that the dashboard places by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Load {
    /// Orders a second that it places.
    pub rate: u32,
    /// Those that were accepted since the dashboard was started.
    pub placed: u64,
    /// Those that were not.
    pub failed: u64,
    /// Why it stopped by itself, as a sentence; none where it was told to, or goes on.
    pub stopped: Option<String>,
}

/// What may be done from the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Can {
    /// Whether anything may be.
    pub act: bool,
    /// Whether it takes the admin token.
    pub token: bool,
    /// Whether services can be stopped, crashed, started and added to.
    pub instances: bool,
    /// Whether the broker can.
    pub broker: bool,
}
