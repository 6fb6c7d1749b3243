//! What the nodes share: topics, groups, who leads and who coordinates what.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::config::BrokerConfig;
use crate::coordinator::Groups;
use crate::counters::Counters;
use crate::error::BrokerError;
use crate::faults::Faults;
use crate::group::Limits;
use crate::log::Partition;
use crate::nodes::Nodes;
use crate::topics::Topics;

/// As many as `__consumer_offsets` has partitions: a group's coordinator is the leader of the one its name falls to.
const COORDINATOR_SLOTS: usize = 50;

#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) config: BrokerConfig,
    pub(crate) nodes: Nodes,
    pub(crate) topics: Topics,
    pub(crate) groups: Groups,
    pub(crate) faults: Faults,
    pub(crate) counters: Counters,
    /// The node that coordinates each slot's groups.
    coordinators: RwLock<Vec<Option<i32>>>,
    next_producer_id: AtomicI64,
    /// Where the next topic's first leader is looked for, so that leaders spread over the nodes.
    next_leader: AtomicUsize,
    /// Held while topics, leaders or coordinators change.
    changes: Mutex<()>,
}

impl Cluster {
    pub(crate) fn new(config: BrokerConfig, addresses: &[SocketAddr]) -> Self {
        let limits = Limits {
            min_session_timeout: config.min_session_timeout,
            max_session_timeout: config.max_session_timeout,
            initial_rebalance_delay: config.initial_rebalance_delay,
            max_size: config.max_group_size,
        };
        Self {
            nodes: Nodes::new(addresses, &config.racks, config.advertised_host.as_deref()),
            topics: Topics::default(),
            groups: Groups::new(limits, config.max_groups),
            faults: Faults::new(config.fault_seed),
            counters: Counters::default(),
            coordinators: RwLock::new(vec![None; COORDINATOR_SLOTS]),
            next_producer_id: AtomicI64::new(0),
            next_leader: AtomicUsize::new(0),
            changes: Mutex::new(()),
            config,
        }
    }

    /// An id that no producer had yet.
    pub(crate) fn new_producer_id(&self) -> i64 {
        self.next_producer_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn changes(&self) -> parking_lot::MutexGuard<'_, ()> {
        self.changes.lock()
    }

    /// Chooses the replicas of `count` new partitions, the leader first, spread over the nodes that are up.
    pub(crate) fn place(&self, count: usize, replication_factor: usize) -> Vec<Vec<i32>> {
        // Like Kafka, prefer nodes that are up, but count all: what is down may come back.
        let mut nodes: Vec<i32> = self.nodes.up().map(|node| node.id).collect();
        if nodes.len() < replication_factor {
            nodes = self.nodes.all().iter().map(|node| node.id).collect();
        }
        let first = self.next_leader.fetch_add(count, Ordering::Relaxed);
        (0..count)
            .map(|partition| {
                (0..replication_factor.min(nodes.len()))
                    .map(|replica| nodes[(first.wrapping_add(partition + replica)) % nodes.len()])
                    .collect()
            })
            .collect()
    }

    /// A partition on these replicas, led by the first that is up.
    pub(crate) fn new_partition(&self, replicas: Vec<i32>) -> Arc<Partition> {
        let leader = replicas.iter().copied().find(|id| self.nodes.is_up(*id));
        Arc::new(Partition::new(leader, replicas))
    }

    /// The node that coordinates a group, if any is up.
    pub(crate) fn coordinator_of(&self, group: &str) -> Option<i32> {
        self.coordinators.read()[slot_of(group)]
    }

    /// A node came up: it leads what has no leader and is on it, and coordinates what nobody does.
    pub(crate) fn node_up(&self, id: i32) {
        let _changes = self.changes();
        self.nodes.set_up(id, true);
        for topic in self.topics.all() {
            for partition in topic.partitions() {
                let view = partition.view();
                if view.leadership.leader.is_none() && view.replicas.contains(&id) {
                    partition.lead(Some(id));
                }
            }
        }
        let up: Vec<i32> = self.nodes.up().map(|node| node.id).collect();
        let mut taken_over = Vec::new();
        {
            let mut slots = self.coordinators.write();
            // A cluster's first nodes share the slots, as Kafka's do; later only those of nobody are taken over.
            let starting = self.groups.is_empty();
            for (index, slot) in slots.iter_mut().enumerate() {
                if slot.is_none() {
                    taken_over.push(index);
                }
                if starting || slot.is_none() {
                    *slot = Some(up[index % up.len()]);
                }
            }
        }
        self.move_groups_of(&taken_over);
    }

    /// A node went down: what it led and coordinated fails over to nodes that are up, as far as there are any.
    pub(crate) fn node_down(&self, id: i32) {
        let _changes = self.changes();
        self.nodes.set_up(id, false);
        for topic in self.topics.all() {
            for partition in topic.partitions() {
                let view = partition.view();
                if view.leadership.leader == Some(id) {
                    let mut others = view.replicas.iter().copied();
                    partition.lead(others.find(|other| self.nodes.is_up(*other)));
                }
            }
        }
        let up: Vec<i32> = self.nodes.up().map(|node| node.id).collect();
        let mut moved = Vec::new();
        {
            let mut slots = self.coordinators.write();
            for (index, slot) in slots.iter_mut().enumerate() {
                if *slot == Some(id) {
                    *slot = (!up.is_empty()).then(|| up[index % up.len()]);
                    moved.push(index);
                }
            }
        }
        self.move_groups_of(&moved);
    }

    /// Makes `node` the leader of a partition.
    pub(crate) fn move_leader(
        &self,
        topic: &str,
        partition: i32,
        node: i32,
    ) -> Result<(), BrokerError> {
        let _changes = self.changes();
        self.check_up(node)?;
        self.partition(topic, partition)?.lead(Some(node));
        tracing::info!(topic, partition, node, "moved a partition's leader");
        Ok(())
    }

    /// Makes `node` the leader of a partition of whose records it has only those before `end`.
    pub(crate) fn move_leader_uncleanly(
        &self,
        topic: &str,
        partition: i32,
        node: i32,
        end: i64,
    ) -> Result<i64, BrokerError> {
        let _changes = self.changes();
        self.check_up(node)?;
        let end = self.partition(topic, partition)?.lead_uncleanly(node, end);
        tracing::info!(
            topic,
            partition,
            node,
            end,
            "moved a partition's leader uncleanly"
        );
        Ok(end)
    }

    fn partition(&self, topic: &str, partition: i32) -> Result<Arc<Partition>, BrokerError> {
        let found = self.topics.partition(topic, partition);
        found.ok_or_else(|| BrokerError::UnknownPartition {
            topic: topic.to_owned(),
            partition,
        })
    }

    /// Makes `node` the coordinator of a group, and of the groups that share its slot.
    pub(crate) fn move_coordinator(&self, group: &str, node: i32) -> Result<(), BrokerError> {
        let _changes = self.changes();
        self.check_up(node)?;
        let slot = slot_of(group);
        let before = self.coordinators.write()[slot].replace(node);
        if before != Some(node) {
            self.move_groups_of(&[slot]);
            tracing::info!(group, node, "moved a group's coordinator");
        }
        Ok(())
    }

    /// Has the groups of these slots go on with the coordinator that they have now, if any.
    fn move_groups_of(&self, slots: &[usize]) {
        for name in self.groups.names() {
            if !slots.contains(&slot_of(&name)) {
                continue;
            }
            if self.coordinator_of(&name).is_some() {
                self.groups.move_away(&name);
            } else {
                self.groups.suspend(&name);
            }
        }
    }

    fn check_up(&self, node: i32) -> Result<(), BrokerError> {
        if self.nodes.get(node).is_none() {
            return Err(BrokerError::UnknownNode(node));
        }
        if !self.nodes.is_up(node) {
            return Err(BrokerError::NodeDown(node));
        }
        Ok(())
    }
}

/// Java's `String.hashCode`, as Kafka uses it to find a group's partition of `__consumer_offsets`.
fn slot_of(group: &str) -> usize {
    let hash = group.encode_utf16().fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    });
    // Kafka's `abs`: the sign bit is masked, so that the least integer is no special case.
    usize::try_from(hash & i32::MAX).unwrap_or_default() % COORDINATOR_SLOTS
}

#[cfg(test)]
mod tests {
    use super::slot_of;

    #[test]
    fn a_group_falls_to_the_slot_it_has_in_kafka() {
        // "a".hashCode() is 97 in Java.
        assert_eq!(slot_of("a"), 47);
        assert_eq!(slot_of(""), 0);
    }
}
