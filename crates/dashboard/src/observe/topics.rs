//! Topics as they are told: what each is for, in which order, with its rate and its last records.

use contracts::names;
use service_kit::dead_letters::SUFFIX;

use super::cluster::TopicSeen;
use super::is_of_pipeline;
use super::rates::Rates;
use crate::snapshot::{DeadLetters, Group, Partition, Tail, Topic, TopicKind};
use crate::tail::Tails;

/// What a topic is for.
pub(super) fn kind(topic: &str) -> TopicKind {
    if is_of_pipeline(topic) {
        TopicKind::Pipeline
    } else if topic.ends_with(SUFFIX) {
        TopicKind::DeadLetters
    } else {
        TopicKind::Other
    }
}

/// Where a topic stands among the others: the pipeline's in the order in which an order passes them, then dead letters, then
/// others, by name.
pub(super) fn place(topic: &str) -> (TopicKind, usize, String) {
    let step = names::TOPICS.iter().position(|known| *known == topic);
    (kind(topic), step.unwrap_or_default(), topic.to_owned())
}

pub(super) fn told(topics: &[TopicSeen], rates: &Rates, tails: &Tails) -> Vec<Topic> {
    let told = topics.iter().map(|topic| Topic {
        topic: topic.name.to_string(),
        kind: kind(&topic.name),
        rate: rates.of(&topic.name),
        partitions: topic
            .partitions
            .iter()
            .map(|found| Partition {
                partition: found.partition,
                start: found.start,
                end: found.end.unwrap_or(found.start),
                leader: found.leader,
                tail: topic
                    .extent(found)
                    .map_or_else(Tail::default, |extent| tails.tail(&extent)),
            })
            .collect(),
    });
    told.collect()
}

/// The topics of dead letters that have any.
pub(super) fn dead_letters(topics: &[TopicSeen], groups: &[Group]) -> Vec<DeadLetters> {
    let told = topics.iter().filter_map(|topic| {
        let (origin, group) = origin_and_group(&topic.name, groups)?;
        let count: i64 = topic
            .partitions
            .iter()
            .map(|found| (found.end.unwrap_or(found.start) - found.start).max(0))
            .sum();
        (count > 0).then(|| DeadLetters {
            topic: topic.name.to_string(),
            group: group.to_owned(),
            origin: origin.to_owned(),
            count,
        })
    });
    told.collect()
}

/// `order_placed.payment-service.dlq` is of order_placed and payment-service. Both may have dots in their names: a group that
/// is there decides, else the last dot.
fn origin_and_group<'a>(topic: &'a str, groups: &[Group]) -> Option<(&'a str, &'a str)> {
    let both = topic.strip_suffix(SUFFIX)?;
    let known = groups.iter().find_map(|group| {
        let origin = both.strip_suffix(group.group.as_str())?.strip_suffix('.')?;
        Some((origin, &both[origin.len() + 1..]))
    });
    known.or_else(|| both.rsplit_once('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_stand_in_the_order_of_the_pipeline_then_dead_letters_then_others() {
        let mut topics = [
            "zoo",
            "shipment_processed",
            "order_placed.payment-service.dlq",
            "audit",
            "order_cancelled",
            "order_placed",
            "a.b.dlq",
        ];
        topics.sort_by_key(|topic| place(topic));
        assert_eq!(
            topics,
            [
                "order_placed",
                "order_cancelled",
                "shipment_processed",
                "a.b.dlq",
                "order_placed.payment-service.dlq",
                "audit",
                "zoo",
            ]
        );
    }

    #[test]
    fn the_topics_of_dead_letters_are_those_that_the_services_make() {
        let made = service_kit::dead_letters::DeadLetters::topic("order_placed", "payment-service");
        assert_eq!(kind(&made), TopicKind::DeadLetters);
    }

    #[test]
    fn the_group_of_dead_letters_is_one_that_is_there_or_stands_behind_the_last_dot() {
        let group = |group: &str| Group {
            group: group.to_owned(),
            state: String::new(),
            note: None,
            protocol: String::new(),
            generation: None,
            lag: 0,
            members: Vec::new(),
            offsets: Vec::new(),
        };
        let groups = [group("eu.billing")];
        let of = |topic| origin_and_group(topic, &groups);
        assert_eq!(of("orders.eu.billing.dlq"), Some(("orders", "eu.billing")));
        assert_eq!(of("orders.eu.other.dlq"), Some(("orders.eu", "other")));
        assert_eq!(of("orders.dlq"), None);
        assert_eq!(of("orders"), None);
    }
}
