//! The sticky assignors: even, close to what was, and one owner at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::tests::{check_complete, group, member, text, topics};
use super::{Assignor, Member, Plan, Topics};
use crate::topic_partition::TopicPartition;

fn tp(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition::new(topic, partition)
}

fn owner(id: &str, topics: &[&str], generation: i32, owned: &[(&str, i32)]) -> Member {
    Member {
        owned: owned.iter().map(|(t, p)| tp(t, *p)).collect(),
        generation,
        ..member(id, topics)
    }
}

/// As they rejoin after this assignment.
fn after(members: &[Member], plan: &Plan, generation: i32) -> Vec<Member> {
    let mut members = members.to_vec();
    for member in &mut members {
        if let Some(owned) = plan.get(&member.id) {
            member.owned.clone_from(owned);
            member.generation = generation;
        }
    }
    members
}

/// How many partitions that somebody had are with somebody else now.
fn moved(before: &Plan, after: &Plan) -> usize {
    let owner_of = |plan: &Plan| -> BTreeMap<TopicPartition, Arc<str>> {
        plan.iter()
            .flat_map(|(member, ps)| ps.iter().map(|p| (p.clone(), Arc::clone(member))))
            .collect()
    };
    let now = owner_of(after);
    owner_of(before)
        .into_iter()
        .filter(|(p, member)| now.get(p).is_some_and(|owner| owner != member))
        .count()
}

#[test]
fn the_assignors_of_kip_54_keep_what_does_not_have_to_move() {
    // The first example of StickyAssignor's documentation: C1 leaves, and its partitions alone move.
    let all = ["t0", "t1", "t2", "t3"];
    let counts = topics(&[("t0", 2), ("t1", 2), ("t2", 2), ("t3", 2)]);
    let members = [member("C0", &all), member("C1", &all), member("C2", &all)];
    let plan = Assignor::Sticky.assign(&members, &counts);
    assert_eq!(
        text(&plan),
        ["C0: t0-0 t1-1 t3-0", "C1: t0-1 t2-0 t3-1", "C2: t1-0 t2-1"]
    );
    let rest: Vec<_> = after(&members, &plan, 1)
        .into_iter()
        .filter(|m| &*m.id != "C1")
        .collect();
    let plan = Assignor::Sticky.assign(&rest, &counts);
    assert_eq!(
        text(&plan),
        ["C0: t0-0 t1-1 t2-0 t3-0", "C2: t0-1 t1-0 t2-1 t3-1"]
    );
}

#[test]
fn unequal_subscriptions_are_made_even_along_chains() {
    // C0 can only be relieved by C1, and C1 by C2.
    let members = [
        owner("C0", &["a"], 1, &[("a", 0), ("a", 1), ("a", 2), ("a", 3)]),
        owner("C1", &["a", "b"], 1, &[("b", 0), ("b", 1), ("b", 2)]),
        member("C2", &["b"]),
    ];
    let plan = Assignor::Sticky.assign(&members, &topics(&[("a", 4), ("b", 3)]));
    let loads: Vec<_> = plan.values().map(Vec::len).collect();
    assert_eq!(loads, [3, 2, 2]);
    assert_eq!(text(&plan)[0], "C0: a-0 a-1 a-2");
}

#[test]
fn of_two_claims_the_newer_generation_wins_and_of_equal_ones_neither() {
    let t = ["t"];
    let counts = topics(&[("t", 4)]);
    let newer = [
        owner("old", &t, 3, &[("t", 0), ("t", 1), ("t", 2)]),
        owner("new", &t, 4, &[("t", 0), ("t", 1)]),
    ];
    for assignor in [Assignor::Sticky, Assignor::CooperativeSticky] {
        let plan = assignor.assign(&newer, &counts);
        assert_eq!(text(&plan), ["new: t-0 t-1", "old: t-2 t-3"]);
    }
    let equal = [
        owner("a", &t, 4, &[("t", 0), ("t", 1)]),
        owner("b", &t, 4, &[("t", 0), ("t", 2)]),
    ];
    let plan = Assignor::Sticky.assign(&equal, &counts);
    check_complete(&plan, &equal, &counts);
    assert!(plan["a"].contains(&tp("t", 1)) && plan["b"].contains(&tp("t", 2)));
    // Either of them may be reading it: both give it up first.
    let plan = Assignor::CooperativeSticky.assign(&equal, &counts);
    assert!(plan.values().flatten().all(|p| *p != tp("t", 0)));
}

#[test]
fn claims_to_what_does_not_exist_or_is_not_subscribed_to_are_passed_over() {
    let members = [
        owner(
            "a",
            &["t"],
            1,
            &[("t", 0), ("gone", 0), ("t", 7), ("t", -1)],
        ),
        owner("b", &["t"], 1, &[("u", 0), ("t", 1), ("t", 1)]),
        member("c", &["u"]),
    ];
    let counts = topics(&[("t", 2), ("u", 1), ("gone", 0)]);
    let plan = Assignor::Sticky.assign(&members, &counts);
    assert_eq!(text(&plan), ["a: t-0", "b: t-1", "c: u-0"]);
    // b has not noticed yet that it does not want u any more, and may be reading it.
    let plan = Assignor::CooperativeSticky.assign(&members, &counts);
    assert_eq!(text(&plan), ["a: t-0", "b: t-1", "c: "]);
}

#[test]
fn partitions_go_to_members_near_a_replica() {
    let rack = |name: &str| -> Arc<str> { name.into() };
    let mut members = [member("a", &["t"]), member("b", &["t"])];
    members[0].rack = Some(rack("east"));
    members[1].rack = Some(rack("west"));
    let mut counts = topics(&[("t", 5)]);
    let replicas = [["west"], ["west"], ["east"], ["east"], ["nowhere"]];
    let replicas = replicas.map(|racks| racks.map(rack).to_vec()).to_vec();
    counts.racks.insert("t".into(), replicas);
    let plan = Assignor::Sticky.assign(&members, &counts);
    assert_eq!(text(&plan), ["a: t-2 t-3 t-4", "b: t-0 t-1"]);
}

/// Whether some member could pass a partition on, along a chain of members, to one with two less.
fn could_be_more_even(plan: &Plan, members: &[Member]) -> bool {
    let topics_of: BTreeMap<_, BTreeSet<_>> = members
        .iter()
        .map(|m| (&m.id, m.topics.iter().collect()))
        .collect();
    let passes = |from: &Arc<str>, to: &Arc<str>| {
        plan[from].iter().any(|p| topics_of[to].contains(&p.topic))
    };
    members.iter().any(|from| {
        let mut reached = BTreeSet::from([&from.id]);
        loop {
            let more: BTreeSet<_> = members
                .iter()
                .map(|m| &m.id)
                .filter(|to| reached.iter().any(|from| passes(from, to)))
                .collect();
            let before = reached.len();
            reached.extend(more);
            if reached.len() == before {
                break;
            }
        }
        let load = plan[&from.id].len();
        reached.iter().any(|to| plan[*to].len() + 2 <= load)
    })
}

/// Members with claims to anything, true or not.
fn claimants() -> impl Strategy<Value = (Vec<Member>, Topics)> {
    let claims = proptest::collection::vec(
        (
            proptest::collection::vec((0usize..5, -1i32..20), 0..30),
            -1i32..3,
        ),
        7,
    );
    (group(false), claims).prop_map(|((mut members, topics), claims)| {
        for (member, (owned, generation)) in members.iter_mut().zip(claims) {
            member.owned = owned
                .iter()
                .map(|(t, p)| tp(&format!("t{t}"), *p))
                .collect();
            member.generation = generation;
        }
        (members, topics)
    })
}

/// Fails if a member is given what another one claims. Only a claim that is older than the member's own does not count.
fn check_handed_over(plan: &Plan, members: &[Member]) {
    for member in members {
        for other in members.iter().filter(|other| other.id != member.id) {
            let newer = member.generation > other.generation;
            let taken = plan[&member.id]
                .iter()
                .find(|p| other.owned.contains(p) && !(newer && member.owned.contains(p)));
            assert_eq!(taken, None, "from {} to {}", other.id, member.id);
        }
    }
}

proptest! {
    #[test]
    fn whatever_members_claim_all_is_shared_out_evenly((members, topics) in claimants(), turn in any::<prop::sample::Index>()) {
        let plan = Assignor::Sticky.assign(&members, &topics);
        check_complete(&plan, &members, &topics);
        prop_assert!(!could_be_more_even(&plan, &members));
        let mut rotated = members.clone();
        rotated.rotate_left(turn.index(members.len()));
        for member in &mut rotated {
            member.owned.reverse();
            member.topics.reverse();
        }
        prop_assert_eq!(Assignor::Sticky.assign(&rotated, &topics), plan);
    }

    #[test]
    fn nothing_moves_when_nothing_changed((members, topics) in claimants()) {
        for assignor in [Assignor::Sticky, Assignor::CooperativeSticky] {
            let plan = Assignor::Sticky.assign(&members, &topics);
            let again = assignor.assign(&after(&members, &plan, 5), &topics);
            prop_assert_eq!(again, plan);
        }
    }

    #[test]
    fn who_leaves_moves_its_own_partitions_and_who_joins_takes_its_share((mut members, topics) in group(true)) {
        let plan = Assignor::Sticky.assign(&members, &topics);
        let mut joined = after(&members, &plan, 1);
        joined.push(Member { id: "late".into(), ..member("late", &["t0", "t1", "t2", "t3"]) });
        let with_late = Assignor::Sticky.assign(&joined, &topics);
        prop_assert_eq!(moved(&plan, &with_late), with_late["late"].len());
        let total: usize = plan.values().map(Vec::len).sum();
        prop_assert!(with_late["late"].len() <= total.div_ceil(joined.len()));

        let gone = members.pop().unwrap();
        if !members.is_empty() {
            let without = Assignor::Sticky.assign(&after(&members, &plan, 1), &topics);
            prop_assert_eq!(moved(&plan, &without), plan[&gone.id].len());
        }
    }

    #[test]
    fn a_partition_that_moves_has_no_owner_in_between_and_a_new_one_soon((members, topics) in claimants()) {
        let mut members = members;
        let settled = (0..10).any(|round| {
            let plan = Assignor::CooperativeSticky.assign(&members, &topics);
            check_handed_over(&plan, &members);
            // Whoever has something to give up rejoins without it.
            let again = members.iter().any(|m| m.owned.iter().any(|p| !plan[&m.id].contains(p)));
            if !again {
                check_complete(&plan, &members, &topics);
                assert!(!could_be_more_even(&plan, &members));
            }
            members = after(&members, &plan, 5 + round);
            !again
        });
        prop_assert!(settled);
    }
}
