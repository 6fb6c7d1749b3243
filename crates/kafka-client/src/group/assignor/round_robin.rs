//! Kafka's `RoundRobinAssignor`: the partitions of all topics, in order, are dealt out to the members in turn; a member
//! that does not subscribe to a topic is passed over.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Give, Member};

pub(super) fn assign(members: &[&Member], counts: &BTreeMap<Arc<str>, i32>, give: &mut Give<'_>) {
    let mut turn = 0;
    for (topic, count) in counts {
        if !members.iter().any(|m| m.topics.contains(topic)) {
            continue;
        }
        for partition in 0..*count {
            while !members[turn % members.len()].topics.contains(topic) {
                turn += 1;
            }
            give(members[turn % members.len()], topic, partition);
            turn += 1;
        }
    }
}
