//! Kafka's `RangeAssignor`: topic by topic, each member gets a run of consecutive partitions, the first ones one more
//! where they do not divide evenly.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Give, Member};

pub(super) fn assign(members: &[&Member], counts: &BTreeMap<Arc<str>, i32>, give: &mut Give<'_>) {
    for (topic, count) in counts {
        let subscribers: Vec<_> = members
            .iter()
            .filter(|m| m.topics.contains(topic))
            .collect();
        let Ok(subscriber_count) = i32::try_from(subscribers.len()) else {
            continue;
        };
        if subscriber_count == 0 {
            continue;
        }
        let (share, extra) = (count / subscriber_count, count % subscriber_count);
        let mut next = 0;
        for (member, place) in subscribers.into_iter().zip(0..) {
            let end = next + share + i32::from(place < extra);
            for partition in next..end {
                give(member, topic, partition);
            }
            next = end;
        }
    }
}
