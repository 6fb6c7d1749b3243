//! Who gets which partitions: pure functions of the members' subscriptions and the topics' partitions.

mod cooperative;
mod range;
mod round_robin;
mod sticky;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::consumer::TopicPartition;

/// A way to share out the partitions of the subscribed topics among the members. Each is compatible with the one of the
/// same name in Kafka's own client: members of both may be in one group. The leader's own client makes the plan, and where racks
/// are set that of Java's range assignor is another one, since it looks at them (KIP-881) and this one does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Assignor {
    /// For each topic, consecutive partitions to each member, so that partitions of the same number of several topics go
    /// to the same member. Kafka's `range`.
    Range,
    /// The partitions of all topics dealt out in turn. Kafka's `roundrobin`.
    RoundRobin,
    /// As even as can be, and of the assignments that are, one that is close to the last (KIP-54, KIP-341). Members still
    /// give up everything before they rejoin. Kafka's `sticky`.
    Sticky,
    /// As [`Sticky`](Self::Sticky), and members keep what they have while they rejoin: only the partitions that move are
    /// interrupted, each for two rebalances instead of one (KIP-429). Kafka's `cooperative-sticky`.
    CooperativeSticky,
}

/// What the leader knows of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) id: Arc<str>,
    /// The static member's name, which orders it (KIP-345).
    pub(crate) instance: Option<Arc<str>>,
    pub(crate) topics: Vec<Arc<str>>,
    /// What it says it has (cooperative protocols, KIP-429), or had last (`sticky`). Nothing forbids that it is wrong.
    pub(crate) owned: Vec<TopicPartition>,
    /// The generation in which it got what it owns (KIP-341, KIP-792), −1 if it does not say.
    pub(crate) generation: i32,
    /// Where it stands (KIP-881).
    pub(crate) rack: Option<Arc<str>>,
}

/// The topics as the leader knows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Topics {
    /// The number of partitions of each topic that exists; 0 of one that does not.
    pub(crate) counts: BTreeMap<Arc<str>, i32>,
    /// The racks that have a replica, by topic and partition; empty where brokers do not tell.
    pub(crate) racks: BTreeMap<Arc<str>, Vec<Vec<Arc<str>>>>,
}

/// The partitions of each member, by its id.
pub(crate) type Plan = BTreeMap<Arc<str>, Vec<TopicPartition>>;

const ALL: [Assignor; 4] = [
    Assignor::Range,
    Assignor::RoundRobin,
    Assignor::Sticky,
    Assignor::CooperativeSticky,
];

impl Assignor {
    /// The name in the group protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
            Self::Sticky => "sticky",
            Self::CooperativeSticky => "cooperative-sticky",
        }
    }

    pub(crate) fn by_name(name: &str) -> Option<Self> {
        ALL.into_iter().find(|assignor| assignor.name() == name)
    }

    /// Whether members keep their partitions while they rejoin (KIP-429).
    pub(crate) fn is_cooperative(self) -> bool {
        match self {
            Self::Range | Self::RoundRobin | Self::Sticky => false,
            Self::CooperativeSticky => true,
        }
    }

    /// Shares out the partitions. Every member is in the plan. Under a cooperative protocol a partition that has to move
    /// is in nobody's part: its owner gives it up first.
    pub(crate) fn assign(self, members: &[Member], topics: &Topics) -> Plan {
        // Java's order: static members by their name before dynamic ones by their id (KIP-345), so that a restart of a
        // static member, which gives it a new id, does not move partitions.
        let mut members: Vec<&Member> = members.iter().collect();
        members.sort_by(|a, b| match (&a.instance, &b.instance) {
            (Some(a), Some(b)) => a.cmp(b),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => a.id.cmp(&b.id),
        });
        let mut plan: Plan = members
            .iter()
            .map(|m| (Arc::clone(&m.id), Vec::new()))
            .collect();
        let mut give = |member: &Member, topic: &Arc<str>, partition: i32| {
            if let Some(partitions) = plan.get_mut(&member.id) {
                partitions.push(TopicPartition::new(Arc::clone(topic), partition));
            }
        };
        match self {
            Self::Range => range::assign(&members, &topics.counts, &mut give),
            Self::RoundRobin => round_robin::assign(&members, &topics.counts, &mut give),
            Self::Sticky | Self::CooperativeSticky => sticky::assign(&members, topics, &mut give),
        }
        if self.is_cooperative() {
            cooperative::hold_back(&members, &mut plan);
        }
        plan
    }
}

/// Hands a partition of a topic to a member.
type Give<'a> = dyn FnMut(&Member, &Arc<str>, i32) + 'a;

#[cfg(test)]
mod sticky_tests;
#[cfg(test)]
mod tests;
