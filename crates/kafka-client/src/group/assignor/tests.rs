use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::{Assignor, Member, Plan};
use crate::topic_partition::TopicPartition;

const ALL: [Assignor; 2] = [Assignor::Range, Assignor::RoundRobin];

fn member(id: &str, topics: &[&str]) -> Member {
    Member {
        id: id.into(),
        instance: None,
        topics: topics.iter().map(|t| Arc::from(*t)).collect(),
        owned: Vec::new(),
    }
}

fn counts(topics: &[(&str, i32)]) -> BTreeMap<Arc<str>, i32> {
    topics.iter().map(|(t, n)| (Arc::from(*t), *n)).collect()
}

/// The plan as text: "member: topic-partition …".
fn text(plan: &Plan) -> Vec<String> {
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
    let plan = Assignor::Range.assign(&members, &counts(&[("t0", 3), ("t1", 3)]));
    assert_eq!(text(&plan), ["C0: t0-0 t0-1 t1-0 t1-1", "C1: t0-2 t1-2"]);
}

#[test]
fn round_robin_deals_out_in_turn_as_in_java() {
    // RoundRobinAssignor's own examples: equal subscriptions, then different ones.
    let members = [member("C0", &["t0", "t1"]), member("C1", &["t0", "t1"])];
    let plan = Assignor::RoundRobin.assign(&members, &counts(&[("t0", 3), ("t1", 3)]));
    assert_eq!(text(&plan), ["C0: t0-0 t0-2 t1-1", "C1: t0-1 t1-0 t1-2"]);

    let members = [
        member("C0", &["t0"]),
        member("C1", &["t0", "t1"]),
        member("C2", &["t0", "t1", "t2"]),
    ];
    let topics = counts(&[("t0", 1), ("t1", 2), ("t2", 3)]);
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
    let plan = Assignor::Range.assign(&[dynamic, second, first], &counts(&[("t", 3)]));
    assert_eq!(text(&plan), ["0: t-2", "a-random: t-1", "z-random: t-0"]);
}

#[test]
fn a_topic_that_does_not_exist_is_nobodys() {
    for assignor in ALL {
        let plan = assignor.assign(
            &[member("m", &["gone", "t"])],
            &counts(&[("gone", 0), ("t", 1)]),
        );
        assert_eq!(text(&plan), ["m: t-0"]);
    }
}

fn group() -> impl Strategy<Value = (Vec<Member>, BTreeMap<Arc<str>, i32>)> {
    let subscriptions = proptest::collection::vec(
        (
            proptest::option::of(0u8..5),
            proptest::collection::btree_set(0usize..4, 0..4),
        ),
        1..8,
    );
    (subscriptions, proptest::collection::vec(0i32..20, 4)).prop_map(|(members, sizes)| {
        let members = members
            .into_iter()
            .enumerate()
            .map(|(i, (instance, topics))| Member {
                id: Arc::from(format!("m{i}")),
                instance: instance.map(|n| Arc::from(format!("{n}-{i}"))),
                topics: topics
                    .into_iter()
                    .map(|t| Arc::from(format!("t{t}")))
                    .collect(),
                owned: Vec::new(),
            })
            .collect();
        let counts = sizes
            .iter()
            .enumerate()
            .map(|(t, n)| (Arc::from(format!("t{t}")), *n))
            .collect();
        (members, counts)
    })
}

proptest! {
    #[test]
    fn every_partition_goes_to_one_subscriber((members, counts) in group(), turn in any::<prop::sample::Index>()) {
        for assignor in ALL {
            let plan = assignor.assign(&members, &counts);
            prop_assert_eq!(plan.len(), members.len());
            let mut given = BTreeSet::new();
            for member in &members {
                for p in &plan[&member.id] {
                    prop_assert!(member.topics.contains(&p.topic));
                    prop_assert!(given.insert(p.clone()), "{} is given twice", p);
                }
            }
            let subscribed = |topic: &Arc<str>| members.iter().any(|m| m.topics.contains(topic));
            let expected: BTreeSet<_> = counts
                .iter()
                .filter(|(topic, _)| subscribed(topic))
                .flat_map(|(topic, n)| (0..*n).map(|p| TopicPartition::new(Arc::clone(topic), p)))
                .collect();
            prop_assert_eq!(given, expected);
            // Whoever leads comes to the same plan, in whatever order it learnt of the members.
            let mut rotated = members.clone();
            rotated.rotate_left(turn.index(members.len()));
            prop_assert_eq!(assignor.assign(&rotated, &counts), plan);
        }
    }

    #[test]
    fn equal_subscriptions_get_equal_shares(members in 1usize..9, sizes in proptest::collection::vec(0i32..20, 1..5)) {
        let names: Vec<_> = (0..sizes.len()).map(|t| format!("t{t}")).collect();
        let topics: Vec<_> = names.iter().map(String::as_str).collect();
        let members: Vec<_> = (0..members).map(|m| member(&format!("m{m}"), &topics)).collect();
        let counts = names.iter().zip(&sizes).map(|(t, n)| (Arc::from(t.as_str()), *n)).collect();
        let spread = |shares: Vec<usize>| shares.iter().max().unwrap() - shares.iter().min().unwrap();
        let plan = Assignor::RoundRobin.assign(&members, &counts);
        prop_assert!(spread(plan.values().map(Vec::len).collect()) <= 1);
        let plan = Assignor::Range.assign(&members, &counts);
        for topic in &names {
            let of_topic = |ps: &Vec<TopicPartition>| ps.iter().filter(|p| *p.topic == **topic).count();
            prop_assert!(spread(plan.values().map(of_topic).collect()) <= 1);
        }
    }
}
