//! Rebalances: found by comparing who reads what now with who read it before.

#[cfg(test)]
mod tests;

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
                now.remember_instances(before);
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

    /// A member whose instance does not answer any more is still the one that it was.
    fn remember_instances(&mut self, before: &Self) {
        let known = before.readers.values();
        let known: BTreeMap<&str, &String> = known
            .filter_map(|known| Some((known.member_id.as_str(), known.instance.as_ref()?)))
            .collect();
        for reader in self.readers.values_mut().filter(|it| it.instance.is_none()) {
            reader.instance = known.get(reader.member_id.as_str()).copied().cloned();
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
    } else if any(&[
        InstanceState::Stopping,
        InstanceState::Stopped,
        InstanceState::Running,
    ]) {
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
