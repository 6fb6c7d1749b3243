//! A look into the broker from the process it is in, for tests and operators' pages.

use bytes::Bytes;
use kafka_wire::messages::ApiKey;

use crate::cluster::Cluster;

/// What is in a broker. Everything is a copy of the moment.
#[derive(Debug, Clone, Copy)]
pub struct Inspect<'a> {
    cluster: &'a Cluster,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionInfo {
    /// The topic's name.
    pub topic: String,
    /// The partition's index.
    pub partition: i32,
    /// The node that leads it, unless all of its nodes are down.
    pub leader: Option<i32>,
    /// Rises by 1 with every change of the leader.
    pub leader_epoch: i32,
    /// The nodes that may lead it.
    pub replicas: Vec<i32>,
    /// The first offset that can be read.
    pub start_offset: i64,
    /// The offset that the next record gets.
    pub end_offset: i64,
    /// Records in the batches that are kept.
    pub records: u64,
    /// Bytes of the batches that are kept.
    pub bytes: u64,
    /// Batches that were ever appended; repeated ones that were recognised do not count.
    pub appended_batches: u64,
}

/// A consumer group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupInfo {
    /// Its name.
    pub group: String,
    /// `Empty`, `PreparingRebalance`, `CompletingRebalance`, `Stable`.
    pub state: String,
    /// Rises by 1 with every rebalance.
    pub generation: i32,
    /// The assignor that the members agreed on; empty while the group is not stable.
    pub protocol: String,
    /// The node that coordinates it.
    pub coordinator: Option<i32>,
    /// The member that assigns.
    pub leader: Option<String>,
    /// The members, by id.
    pub members: Vec<MemberInfo>,
    /// Topic, partition and the offset that was committed for it.
    pub committed: Vec<(String, i32, i64)>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberInfo {
    /// Its id.
    pub member_id: String,
    /// `group.instance.id` of a static member.
    pub instance_id: Option<String>,
    /// The name that its client goes by.
    pub client_id: String,
    /// What the leader assigned, in the form of its protocol; empty while the group is not stable.
    pub assignment: Bytes,
}

impl<'a> Inspect<'a> {
    pub(crate) fn new(cluster: &'a Cluster) -> Self {
        Self { cluster }
    }

    /// The names of all topics, in order.
    pub fn topics(&self) -> Vec<String> {
        let topics = self.cluster.topics.all();
        topics.iter().map(|topic| topic.name.to_string()).collect()
    }

    /// A topic's partitions; none when there is no such topic.
    pub fn partitions(&self, topic: &str) -> Vec<PartitionInfo> {
        let Some(found) = self.cluster.topics.get(topic) else {
            return Vec::new();
        };
        (0..)
            .zip(found.partitions())
            .map(|(index, partition)| {
                let view = partition.view();
                PartitionInfo {
                    topic: topic.to_owned(),
                    partition: index,
                    leader: view.leadership.leader,
                    leader_epoch: view.leadership.epoch,
                    replicas: view.replicas,
                    start_offset: view.start_offset,
                    end_offset: view.end_offset,
                    records: view.records,
                    bytes: view.bytes,
                    appended_batches: view.appends,
                }
            })
            .collect()
    }

    /// One partition.
    pub fn partition(&self, topic: &str, partition: i32) -> Option<PartitionInfo> {
        let index = usize::try_from(partition).ok()?;
        self.partitions(topic).into_iter().nth(index)
    }

    /// The batches that a partition keeps, as consumers get them, oldest first; `kafka_wire::batch` reads them.
    pub fn batches(&self, topic: &str, partition: i32) -> Vec<Bytes> {
        self.cluster
            .topics
            .partition(topic, partition)
            .map(|partition| partition.batches())
            .unwrap_or_default()
    }

    /// The names of all groups, in order.
    pub fn groups(&self) -> Vec<String> {
        self.cluster.groups.names()
    }

    /// One group.
    pub fn group(&self, name: &str) -> Option<GroupInfo> {
        let coordinator = self.cluster.coordinator_of(name);
        self.cluster.groups.with(name, |held| {
            let view = held.group.view();
            let members = view.members.into_iter().map(|member| MemberInfo {
                member_id: member.id.to_string(),
                instance_id: member.instance_id.map(|id| id.to_string()),
                client_id: member.client_id.to_string(),
                assignment: member.assignment,
            });
            let committed = held.offsets.topics().flat_map(|(topic, partitions)| {
                partitions
                    .iter()
                    .map(move |(index, committed)| (topic.to_owned(), *index, committed.offset))
            });
            GroupInfo {
                group: name.to_owned(),
                state: view.phase.name().to_owned(),
                generation: view.generation,
                protocol: view.protocol.to_string(),
                coordinator,
                leader: view.leader.map(|id| id.to_string()),
                members: members.collect(),
                committed: committed.collect(),
            }
        })
    }

    /// The offset that a group committed for a partition.
    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        self.cluster.groups.with(group, |held| {
            held.offsets
                .get(topic, partition)
                .map(|committed| committed.offset)
        })?
    }

    /// The nodes that are up.
    pub fn nodes_up(&self) -> Vec<i32> {
        self.cluster.nodes.up().map(|node| node.id).collect()
    }

    /// How many requests of an API came in at all nodes, faulty ones included, since the start.
    pub fn requests(&self, api: ApiKey) -> u64 {
        self.cluster.counters.requests(api as i16)
    }
}
