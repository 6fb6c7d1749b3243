//! Who gets which partitions: pure functions of the members' subscriptions and the topics' partitions.

mod range;
mod round_robin;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::consumer::TopicPartition;

/// A way to share out the partitions of the subscribed topics among the members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Assignor {
    /// For each topic, consecutive partitions to each member, so that partitions of the same number of several topics go
    /// to the same member. Kafka's `range`.
    Range,
    /// The partitions of all topics dealt out in turn. Kafka's `roundrobin`.
    RoundRobin,
}

/// What the leader knows of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) id: Arc<str>,
    /// The static member's name, which orders it (KIP-345).
    pub(crate) instance: Option<Arc<str>>,
    pub(crate) topics: Vec<Arc<str>>,
    /// What it says it has; only told by cooperative protocols (KIP-429).
    pub(crate) owned: Vec<TopicPartition>,
}

/// The partitions of each member, by its id.
pub(crate) type Plan = BTreeMap<Arc<str>, Vec<TopicPartition>>;

impl Assignor {
    /// The name in the group protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
        }
    }

    pub(crate) fn by_name(name: &str) -> Option<Self> {
        [Self::Range, Self::RoundRobin]
            .into_iter()
            .find(|assignor| assignor.name() == name)
    }

    /// Whether members keep their partitions while they rejoin (KIP-429).
    pub(crate) fn is_cooperative(self) -> bool {
        match self {
            Self::Range | Self::RoundRobin => false,
        }
    }

    /// Shares out the partitions; `counts` has the number of partitions of each topic that exists.
    pub(crate) fn assign(self, members: &[Member], counts: &BTreeMap<Arc<str>, i32>) -> Plan {
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
            Self::Range => range::assign(&members, counts, &mut give),
            Self::RoundRobin => round_robin::assign(&members, counts, &mut give),
        }
        plan
    }
}

/// Hands a partition of a topic to a member.
type Give<'a> = dyn FnMut(&Member, &Arc<str>, i32) + 'a;

#[cfg(test)]
mod tests;
