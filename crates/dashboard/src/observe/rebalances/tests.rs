//! Looks, and the rebalances that they show.

use super::*;
use crate::snapshot::ServiceInstance;

/// Members by id, instance and the partitions of `t` that they hold.
type Held<'a> = (&'a str, Option<&'a str>, &'a [i32]);

fn group(state: &str, generation: Option<i32>, members: &[Held<'_>]) -> Vec<Group> {
    let members = members.iter().map(|(id, instance, held)| Member {
        member_id: (*id).to_owned(),
        instance_id: None,
        client_id: String::new(),
        host: String::new(),
        instance: instance.map(str::to_owned),
        phase: None,
        partitions: held
            .iter()
            .map(|partition| TopicPartition {
                topic: "t".to_owned(),
                partition: *partition,
            })
            .collect(),
    });
    vec![Group {
        group: "g".to_owned(),
        state: state.to_owned(),
        note: None,
        protocol: "range".to_owned(),
        generation,
        lag: 0,
        members: members.collect(),
        offsets: Vec::new(),
    }]
}

fn found(looks: &[Vec<Group>]) -> Vec<Rebalance> {
    let mut rebalances = Rebalances::default();
    for (at, groups) in (0..).zip(looks) {
        rebalances.see(at, groups, &[]);
    }
    rebalances.told()
}

fn move_of(partition: i32, from: Option<&str>, to: Option<&str>) -> Move {
    Move {
        topic: "t".to_owned(),
        partition,
        from: from.map(str::to_owned),
        to: to.map(str::to_owned),
    }
}

#[test]
fn a_partition_that_has_another_reader_is_a_rebalance() {
    let found = found(&[
        group("Stable", Some(1), &[("a", Some("g-1"), &[0, 1])]),
        group("PreparingRebalance", Some(1), &[("a", Some("g-1"), &[])]),
        group(
            "Stable",
            Some(2),
            &[("a", Some("g-1"), &[0]), ("b", None, &[1])],
        ),
        group("Empty", None, &[]),
    ]);
    let told: Vec<_> = found
        .iter()
        .map(|it| (it.at, it.was, it.generation, it.moves.clone()))
        .collect();
    let gone = vec![move_of(0, Some("g-1"), None), move_of(1, Some("b"), None)];
    let came = vec![move_of(1, Some("g-1"), Some("b"))];
    assert_eq!(
        told,
        [(3, Some(2), Some(2), gone), (2, Some(1), Some(2), came)]
    );
}

#[test]
fn what_stays_the_same_is_none_whatever_a_member_is_called() {
    let looks = [
        group("Stable", None, &[("a", None, &[0])]),
        group("Stable", Some(3), &[("a", Some("g-1"), &[0])]),
        group("Stable", Some(3), &[("a", None, &[0])]),
        group("Stable", None, &[("a", Some("g-1"), &[0])]),
    ];
    assert_eq!(found(&looks), []);
}

#[test]
fn a_generation_in_which_everybody_keeps_his_own_is_one() {
    let found = found(&[
        group("Stable", Some(1), &[("a", Some("g-1"), &[0])]),
        group("Stable", Some(2), &[("x", Some("g-1"), &[0])]),
    ]);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].was, found[0].generation), (Some(1), Some(2)));
    assert_eq!(found[0].moves, []);
}

#[test]
fn one_that_is_seen_in_two_looks_is_told_once() {
    let before = group("Stable", Some(1), &[("a", Some("g-1"), &[0, 1])]);
    let after = |generation| {
        let members: [Held<'_>; 2] = [("a", Some("g-1"), &[0]), ("b", Some("g-2"), &[1])];
        group("Stable", Some(generation), &members)
    };
    let moved = vec![move_of(1, Some("g-1"), Some("g-2"))];
    for between in [
        group("Stable", Some(2), &[("a", Some("g-1"), &[0, 1])]),
        after(1),
    ] {
        let found = found(&[before.clone(), between, after(2)]);
        assert_eq!(found.len(), 1, "{found:?}");
        let told = (found[0].was, found[0].generation, &found[0].moves);
        assert_eq!(told, (Some(1), Some(2), &moved));
    }
}

#[test]
fn a_reader_is_called_by_the_name_that_tells_most_of_it() {
    let mut group = group("Stable", Some(1), &[("id", Some("g-1"), &[0])]).remove(0);
    let member = &mut group.members[0];
    member.instance_id = Some("static".to_owned());
    member.client_id = "client".to_owned();
    assert_eq!(Reader::of(member).name(), "g-1");
    member.instance = None;
    assert_eq!(Reader::of(member).name(), "static");
    member.instance_id = None;
    assert_eq!(Reader::of(member).name(), "client");
    member.client_id.clear();
    assert_eq!(Reader::of(member).name(), "id");
}

#[test]
fn two_members_with_one_client_id_are_two() {
    let of = |id: &str| {
        let mut groups = group("Stable", Some(1), &[(id, None, &[0])]);
        groups[0].members[0].client_id = "client".to_owned();
        groups
    };
    let found = found(&[of("a"), of("b")]);
    let moved = move_of(0, Some("client"), Some("client"));
    assert_eq!(found[0].moves, [moved]);
}

#[test]
fn a_group_whose_last_member_went_says_how_in_place_of_a_generation() {
    let instance = |state| {
        vec![Service {
            service: "g".to_owned(),
            instances: vec![ServiceInstance {
                instance: "g-1".to_owned(),
                url: String::new(),
                state,
                health: None,
            }],
        }]
    };
    for (services, reason) in [
        (instance(InstanceState::Crashed), Emptied::SessionTimedOut),
        (instance(InstanceState::Away), Emptied::Gone),
        (instance(InstanceState::Stopping), Emptied::Left),
        (instance(InstanceState::Stopped), Emptied::Left),
        (Vec::new(), Emptied::Gone),
    ] {
        let mut rebalances = Rebalances::default();
        let looks = [
            group("Stable", Some(1), &[("a", Some("g-1"), &[0])]),
            // It does not answer any more.
            group("Stable", None, &[("a", None, &[0])]),
            group("Empty", None, &[]),
            group("Stable", Some(2), &[("b", Some("g-1"), &[0])]),
        ];
        for (at, groups) in (0..).zip(&looks) {
            rebalances.see(at, groups, &services);
        }
        let told = rebalances.told();
        assert_eq!(told[1].moves, [move_of(0, Some("g-1"), None)]);
        let told: Vec<_> = told
            .iter()
            .map(|it| (it.was, it.generation, it.reason))
            .collect();
        assert_eq!(
            told,
            [(Some(1), Some(2), None), (Some(1), Some(1), Some(reason))]
        );
    }
}

#[test]
fn what_was_not_told_is_no_change() {
    let mut untold = group("Stable", None, &[]);
    untold[0].note = Some("it could not be asked".to_owned());
    let there = group("Stable", Some(1), &[("a", Some("g-1"), &[0])]);
    assert_eq!(found(&[there.clone(), untold, there]), []);
}

#[test]
fn the_last_thirty_are_remembered() {
    let looks: Vec<_> = (0..40)
        .map(|n| {
            let holder: Held<'_> = if n % 2 == 0 {
                ("a", None, &[0])
            } else {
                ("b", None, &[0])
            };
            group("Stable", Some(n), &[holder])
        })
        .collect();
    let found = found(&looks);
    assert_eq!((found.len(), found[0].at, found[29].at), (30, 39, 10));
}
