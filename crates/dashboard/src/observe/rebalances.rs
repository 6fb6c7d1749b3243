//! Rebalances: found by comparing who reads what now with who read it before.

use std::collections::{BTreeMap, VecDeque};

use crate::controls::InstanceState;
use crate::snapshot::{Emptied, Group, Member, Move, Rebalance, Service, TopicPartition};

/// How many are remembered.
const MOST: usize = 30;
/// The most moves that are told of one.
const MOST_MOVES: usize = 500;

/// Who reads a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reader {
    member_id: String,
    /// The instance of a service that it is, if it is one that is known.
    instance: Option<String>,
    /// Its `group.instance.id`.
    instance_id: Option<String>,
    client_id: String,
}

/// Who reads what in a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Assignment {
    generation: Option<i32>,
    readers: BTreeMap<TopicPartition, Reader>,
    is_empty: bool,
}

/// What was seen of each group, and the rebalances that this showed.
#[derive(Debug, Default)]
pub(super) struct Rebalances {
    groups: BTreeMap<String, Assignment>,
    /// The newest first.
    found: VecDeque<Rebalance>,
}

impl Rebalances {
    /// Compares with the look before. A group that is seen for the first time has not changed.
    pub(super) fn see(&mut self, at: i64, groups: &[Group], services: &[Service]) {
        self.groups
            .retain(|known, _| groups.iter().any(|group| group.group == *known));
        for group in groups {
            // In between nobody holds anything, as far as the coordinator tells.
            if !["Stable", "Empty", "Dead"].contains(&group.state.as_str()) {
                continue;
            }
            // Who reads what in it was not told now.
            if group.note.is_some() {
                continue;
            }
            let mut now = Assignment::of(group);
            let before = self.groups.get(&group.group);
            // A member may be slower to tell than the coordinator.
            now.generation = now.generation.or(before.and_then(|it| it.generation));
            if let Some(before) = before {
                self.note(at, &group.group, before.clone(), &now, services);
            }
            self.groups.insert(group.group.clone(), now);
        }
    }

    fn note(
        &mut self,
        at: i64,
        group: &str,
        before: Assignment,
        now: &Assignment,
        services: &[Service],
    ) {
        let moves = moves(&before, now);
        let went_on = before.generation.is_some() && before.generation != now.generation;
        if moves.is_empty() && !went_on {
            return;
        }
        // The coordinator is asked a moment before the members, so a rebalance may be seen in two looks.
        let last = self.found.iter_mut().find(|found| found.group == group);
        if let Some(last) = last.filter(|last| last.is_continued_by(&moves, &before, now)) {
            last.generation = now.generation;
            if !moves.is_empty() {
                last.moves = moves;
            }
            return;
        }
        self.found.push_front(Rebalance {
            at,
            group: group.to_owned(),
            generation: now.generation,
            was: before.generation,
            reason: emptied(&before, now, services),
            moves,
        });
        self.found.truncate(MOST);
    }

    /// Forgets who read what: nobody looks for a while, and what changes by then happened at no moment that is known.
    pub(super) fn rest(&mut self) {
        self.groups.clear();
    }

    /// Those that were found, the newest first.
    pub(super) fn told(&self) -> Vec<Rebalance> {
        self.found.iter().cloned().collect()
    }
}

impl Rebalance {
    /// Whether this is the other half of it: the moves to a generation that was seen without any, or the generation of moves
    /// that were seen without a new one.
    fn is_continued_by(&self, moves: &[Move], before: &Assignment, now: &Assignment) -> bool {
        if self.generation != before.generation || self.reason.is_some() {
            return false;
        }
        let moves_follow = self.moves.is_empty() && now.generation == before.generation;
        let generation_follows =
            moves.is_empty() && !self.moves.is_empty() && self.was == self.generation;
        moves_follow || generation_follows
    }
}

impl Assignment {
    fn of(group: &Group) -> Self {
        let readers = group.members.iter().flat_map(|member| {
            let held = member.partitions.iter();
            held.map(|place| (place.clone(), Reader::of(member)))
        });
        Self {
            generation: group.generation,
            readers: readers.collect(),
            is_empty: group.members.is_empty(),
        }
    }
}

impl Reader {
    fn of(member: &Member) -> Self {
        Self {
            member_id: member.member_id.clone(),
            instance: member.instance.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
        }
    }

    /// What it is called. A client id tells more to a reader than a member id, which ends in random letters, but several may share it.
    fn name(&self) -> &str {
        let client_id = Some(&self.client_id).filter(|id| !id.is_empty());
        let known = self.instance.as_ref().or(self.instance_id.as_ref());
        known.or(client_id).unwrap_or(&self.member_id)
    }

    /// Whether it is the same one, be it as a new member.
    fn is(&self, other: &Self) -> bool {
        let same = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
        self.member_id == other.member_id
            || same(&self.instance, &other.instance)
            || same(&self.instance_id, &other.instance_id)
    }
}

/// How the last member went, where nobody is left who could tell a generation.
fn emptied(before: &Assignment, now: &Assignment, services: &[Service]) -> Option<Emptied> {
    if !now.is_empty || before.generation != now.generation {
        return None;
    }
    let instances = || services.iter().flat_map(|service| &service.instances);
    let states = before.readers.values().map(|reader| {
        let name = reader.instance.as_deref().or(reader.instance_id.as_deref());
        let found = instances().find(|found| Some(found.instance.as_str()) == name);
        found.map(|found| found.state)
    });
    let states: Vec<Option<InstanceState>> = states.collect();
    let any =
        |wanted: &[InstanceState]| states.iter().flatten().any(|state| wanted.contains(state));
    Some(if any(&[InstanceState::Crashed]) {
        Emptied::SessionTimedOut
    } else if any(&[InstanceState::Stopped, InstanceState::Running]) {
        Emptied::Left
    } else {
        Emptied::Gone
    })
}

/// The partitions that have another reader, by topic and partition. One that is only called differently now is the same.
fn moves(before: &Assignment, now: &Assignment) -> Vec<Move> {
    let mut places: Vec<&TopicPartition> =
        before.readers.keys().chain(now.readers.keys()).collect();
    places.sort();
    places.dedup();
    let moved = places.into_iter().filter_map(|place| {
        let (from, to) = (before.readers.get(place), now.readers.get(place));
        let same = match (from, to) {
            (Some(from), Some(to)) => from.is(to),
            (from, to) => from.is_none() && to.is_none(),
        };
        (!same).then(|| Move {
            topic: place.topic.clone(),
            partition: place.partition,
            from: from.map(|reader| reader.name().to_owned()),
            to: to.map(|reader| reader.name().to_owned()),
        })
    });
    moved.take(MOST_MOVES).collect()
}

#[cfg(test)]
mod tests {
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
            (instance(InstanceState::Stopped), Emptied::Left),
            (Vec::new(), Emptied::Gone),
        ] {
            let mut rebalances = Rebalances::default();
            let looks = [
                group("Stable", Some(1), &[("a", Some("g-1"), &[0])]),
                group("Empty", None, &[]),
                group("Stable", Some(2), &[("b", Some("g-1"), &[0])]),
            ];
            for (at, groups) in (0..).zip(&looks) {
                rebalances.see(at, groups, &services);
            }
            let told = rebalances.told();
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
}
