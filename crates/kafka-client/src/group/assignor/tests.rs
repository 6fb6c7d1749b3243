use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::{ALL, Assignor, Member, Plan, Topics};
use crate::topic_partition::TopicPartition;

pub(super) fn member(id: &str, topics: &[&str]) -> Member {
    Member {
        id: id.into(),
        instance: None,
        topics: topics.iter().map(|t| Arc::from(*t)).collect(),
        owned: Vec::new(),
        generation: -1,
        rack: None,
    }
}

pub(super) fn topics(counts: &[(&str, i32)]) -> Topics {
    Topics {
        counts: counts.iter().map(|(t, n)| (Arc::from(*t), *n)).collect(),
        racks: BTreeMap::new(),
    }
}

/// The plan as text: "member: topic-partition …".
pub(super) fn text(plan: &Plan) -> Vec<String> {
    plan.iter()
        .map(|(member, partitions)| {
            let mut partitions: Vec<_> = partitions.iter().map(ToString::to_string).collect();
            partitions.sort();
            format!("{member}: {}", partitions.join(" "))
        })
        .collect()
}

#[test]
fn range_gives_runs_of_partitions_as_in_java() {
    // RangeAssignor's own example: two members, two topics of three partitions.
    let members = [member("C0", &["t0", "t1"]), member("C1", &["t0", "t1"])];
    let plan = Assignor::Range.assign(&members, &topics(&[("t0", 3), ("t1", 3)]));
    assert_eq!(text(&plan), ["C0: t0-0 t0-1 t1-0 t1-1", "C1: t0-2 t1-2"]);
}

#[test]
fn round_robin_deals_out_in_turn_as_in_java() {
    // RoundRobinAssignor's own examples: equal subscriptions, then different ones.
    let members = [member("C0", &["t0", "t1"]), member("C1", &["t0", "t1"])];
    let plan = Assignor::RoundRobin.assign(&members, &topics(&[("t0", 3), ("t1", 3)]));
    assert_eq!(text(&plan), ["C0: t0-0 t0-2 t1-1", "C1: t0-1 t1-0 t1-2"]);

    let members = [
        member("C0", &["t0"]),
        member("C1", &["t0", "t1"]),
        member("C2", &["t0", "t1", "t2"]),
    ];
    let topics = topics(&[("t0", 1), ("t1", 2), ("t2", 3)]);
    let plan = Assignor::RoundRobin.assign(&members, &topics);
    assert_eq!(
        text(&plan),
        ["C0: t0-0", "C1: t1-0", "C2: t1-1 t2-0 t2-1 t2-2"]
    );
}

#[test]
fn static_members_come_first_by_their_name() {
    let mut first = member("z-random", &["t"]);
    first.instance = Some("a".into());
    let mut second = member("a-random", &["t"]);
    second.instance = Some("b".into());
    let dynamic = member("0", &["t"]);
    let plan = Assignor::Range.assign(&[dynamic, second, first], &topics(&[("t", 3)]));
    assert_eq!(text(&plan), ["0: t-2", "a-random: t-1", "z-random: t-0"]);
}

#[test]
fn a_topic_that_does_not_exist_is_nobodys() {
    for assignor in ALL {
        let plan = assignor.assign(
            &[member("m", &["gone", "t"])],
            &topics(&[("gone", 0), ("t", 1)]),
        );
        assert_eq!(text(&plan), ["m: t-0"]);
    }
}

/// Up to 7 members with any of 4 topics of up to 19 partitions. With `equal`, all have all topics.
pub(super) fn group(equal: bool) -> impl Strategy<Value = (Vec<Member>, Topics)> {
    let subscriptions = proptest::collection::vec(
        (
            proptest::option::of(0u8..5),
            proptest::collection::btree_set(0usize..4, 0..4),
        ),
        1..8,
    );
    let sizes = proptest::collection::vec(0i32..20, 4);
    (subscriptions, sizes).prop_map(move |(members, sizes)| {
        let members = members
            .into_iter()
            .enumerate()
            .map(|(i, (instance, topics))| {
                let topics = if equal { (0..4).collect() } else { topics };
                let names: Vec<_> = topics.iter().map(|t| format!("t{t}")).collect();
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                let mut member = member(&format!("m{i}"), &names);
                member.instance = instance.map(|n| Arc::from(format!("{n}-{i}")));
                member
            });
        let topics = Topics {
            counts: (0..)
                .zip(&sizes)
                .map(|(t, n)| (Arc::from(format!("t{t}")), *n))
                .collect(),
            racks: BTreeMap::new(),
        };
        (members.collect(), topics)
    })
}

/// Fails unless each partition of a subscribed topic has one owner, who subscribes to it.
pub(super) fn check_complete(plan: &Plan, members: &[Member], topics: &Topics) {
    assert_eq!(plan.len(), members.len());
    let mut given = BTreeSet::new();
    for member in members {
        for p in &plan[&member.id] {
            assert!(member.topics.contains(&p.topic));
            assert!(given.insert(p.clone()), "{p} is given twice");
        }
    }
    let subscribed = |topic: &Arc<str>| members.iter().any(|m| m.topics.contains(topic));
    let expected: BTreeSet<_> = topics
        .counts
        .iter()
        .filter(|(topic, _)| subscribed(topic))
        .flat_map(|(topic, n)| (0..*n).map(|p| TopicPartition::new(Arc::clone(topic), p)))
        .collect();
    assert_eq!(given, expected);
}

proptest! {
    #[test]
    fn every_partition_goes_to_one_subscriber((members, topics) in group(false), turn in any::<prop::sample::Index>()) {
        for assignor in ALL {
            let plan = assignor.assign(&members, &topics);
            check_complete(&plan, &members, &topics);
            // Whoever leads comes to the same plan, in whatever order it learnt of the members.
            let mut rotated = members.clone();
            rotated.rotate_left(turn.index(members.len()));
            prop_assert_eq!(assignor.assign(&rotated, &topics), plan);
        }
    }

    #[test]
    fn equal_subscriptions_get_equal_shares((members, topics) in group(true)) {
        let spread = |shares: Vec<usize>| shares.iter().max().unwrap() - shares.iter().min().unwrap();
        for assignor in ALL {
            let plan = assignor.assign(&members, &topics);
            if assignor != Assignor::Range {
                prop_assert!(spread(plan.values().map(Vec::len).collect()) <= 1);
                continue;
            }
            for topic in topics.counts.keys() {
                let of_topic = |ps: &Vec<TopicPartition>| ps.iter().filter(|p| p.topic == *topic).count();
                prop_assert!(spread(plan.values().map(of_topic).collect()) <= 1);
            }
        }
    }
}
