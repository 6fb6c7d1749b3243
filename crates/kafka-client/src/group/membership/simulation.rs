//! Several members and a coordinator under random interleavings and losses.
//!
//! What must hold at each step: no partition has two owners in a generation, and no accepted commit goes back. And once
//! nothing more is done to them, they settle: each partition has one owner, or nobody is left.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kafka_wire::ResponseError as E;
use proptest::prelude::*;

use super::{Action, Input, Joined, Membership};
use crate::consumer::{LostReason, TopicPartition};
use crate::group::assignor::Member;
use crate::group::state::GroupPhase;

type Id = Arc<str>;
type Partitions = BTreeSet<TopicPartition>;

const PARTITIONS: i32 = 5;

pub(super) fn all_partitions() -> Partitions {
    (0..PARTITIONS)
        .map(|p| TopicPartition::new("t", p))
        .collect()
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    Stable,
    Preparing,
    Completing,
}

/// As Kafka's group coordinator, without its clock: what it would do by time is an event of its own.
struct Coordinator {
    phase: Phase,
    generation: i32,
    ids: u32,
    /// Ids that were given to members that have not joined with them yet (KIP-394).
    pending: BTreeSet<Id>,
    /// What each member says it owns.
    members: BTreeMap<Id, Partitions>,
    /// Members that wait for an answer, each with the number of the exchange.
    joining: BTreeMap<Id, u32>,
    syncing: BTreeMap<Id, u32>,
    leader: Id,
    assignments: BTreeMap<Id, Partitions>,
    committed: BTreeMap<TopicPartition, i64>,
    /// Answers on their way, by the number of the exchange.
    answers: Vec<(u32, Input)>,
}

impl Coordinator {
    fn join(
        &mut self,
        cooperative: bool,
        exchange: u32,
        id: &Id,
        owned: Partitions,
    ) -> Result<(), (E, Id)> {
        if id.is_empty() {
            self.ids += 1;
            let new: Id = Arc::from(format!("m{}", self.ids));
            self.pending.insert(Arc::clone(&new));
            return Err((E::MemberIdRequired, new));
        }
        if !self.pending.remove(id) && !self.members.contains_key(id) {
            return Err((E::UnknownMemberId, Arc::clone(id)));
        }
        let unchanged = self.members.insert(Arc::clone(id), owned.clone()) == Some(owned);
        let follower = unchanged && *id != self.leader && !cooperative;
        if (self.phase == Phase::Completing && unchanged)
            || (self.phase == Phase::Stable && follower)
        {
            let answer = self.generation_for(id);
            self.answers.push((exchange, answer));
        } else {
            self.joining.insert(Arc::clone(id), exchange);
            self.prepare();
        }
        Ok(())
    }

    fn prepare(&mut self) {
        self.phase = Phase::Preparing;
        for exchange in std::mem::take(&mut self.syncing).into_values() {
            self.answers
                .push((exchange, Input::SyncRefused(E::RebalanceInProgress)));
        }
    }

    /// All have joined, or the rebalance timeout is over and the others are out.
    fn complete(&mut self) {
        let joining = std::mem::take(&mut self.joining);
        self.members.retain(|id, _| joining.contains_key(id));
        self.generation += 1;
        self.phase = Phase::Completing;
        self.assignments.clear();
        if !self.members.contains_key(&self.leader) {
            self.leader = self.members.keys().next().cloned().unwrap_or_default();
        }
        for (id, exchange) in joining {
            let answer = self.generation_for(&id);
            self.answers.push((exchange, answer));
        }
    }

    fn generation_for(&self, id: &Id) -> Input {
        let members = self.members.iter().map(|(id, owned)| Member {
            id: Arc::clone(id),
            instance: None,
            topics: vec!["t".into()],
            owned: owned.iter().cloned().collect(),
            generation: -1,
            rack: None,
        });
        Input::Joined(Joined {
            generation: self.generation,
            member_id: Arc::clone(id),
            lead: (*id == self.leader).then(|| members.collect()),
        })
    }

    fn check(&self, id: &Id, generation: i32) -> Result<(), E> {
        if !self.members.contains_key(id) {
            Err(E::UnknownMemberId)
        } else if generation != self.generation {
            Err(E::IllegalGeneration)
        } else {
            Ok(())
        }
    }

    fn sync(
        &mut self,
        exchange: u32,
        id: &Id,
        generation: i32,
        plan: Option<BTreeMap<Id, Partitions>>,
    ) {
        let refused = match (self.check(id, generation), self.phase) {
            (Err(code), _) => Some(code),
            (Ok(()), Phase::Preparing) => Some(E::RebalanceInProgress),
            (Ok(()), _) => None,
        };
        if let Some(code) = refused {
            self.answers.push((exchange, Input::SyncRefused(code)));
            return;
        }
        self.syncing.insert(Arc::clone(id), exchange);
        if let Some(plan) = plan.filter(|_| self.phase == Phase::Completing) {
            self.assignments = plan;
            self.phase = Phase::Stable;
        }
        if self.phase == Phase::Stable {
            for (id, exchange) in std::mem::take(&mut self.syncing) {
                let assignment = self.assignments.get(&id).cloned().unwrap_or_default();
                self.answers.push((exchange, Input::Synced(assignment)));
            }
        }
    }

    fn heartbeat(&self, id: &Id, generation: i32) -> Result<(), E> {
        self.check(id, generation)?;
        match self.phase {
            Phase::Preparing => Err(E::RebalanceInProgress),
            Phase::Completing | Phase::Stable => Ok(()),
        }
    }

    fn commit(
        &mut self,
        id: &Id,
        generation: i32,
        partition: &TopicPartition,
        offset: i64,
    ) -> Result<(), E> {
        self.check(id, generation)?;
        if self.phase == Phase::Completing {
            return Err(E::RebalanceInProgress);
        }
        let before = self
            .committed
            .insert(partition.clone(), offset)
            .unwrap_or(0);
        assert!(
            before <= offset,
            "a commit went back: {partition} from {before} to {offset}"
        );
        Ok(())
    }

    fn remove(&mut self, id: &Id) {
        self.pending.remove(id);
        self.joining.remove(id);
        self.syncing.remove(id);
        if self.members.remove(id).is_some() {
            self.prepare();
        }
    }
}

/// A member: the machine under test, and the I/O around it.
struct Sim {
    machine: Membership,
    /// The join or sync that waits to be sent, and whether one is out.
    to_send: Option<Action>,
    awaits: Option<u32>,
    heartbeats: bool,
    draining: Partitions,
    /// What is read, and how far.
    holders: BTreeMap<TopicPartition, i64>,
}

struct World {
    cooperative: bool,
    coordinator: Coordinator,
    sims: Vec<Sim>,
    exchanges: u32,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Start,
    Send(usize),
    Deliver(usize),
    LoseAnswers(usize),
    CompleteJoin,
    RebalanceTimeout,
    Heartbeat(usize),
    Work(usize),
    Release(usize),
    BudgetOver(usize),
    ExpireSession(usize),
    ExpireLocally(usize),
    TopicsChanged(usize),
    Close(usize),
}

impl World {
    fn new(cooperative: bool) -> Self {
        Self {
            cooperative,
            coordinator: Coordinator {
                phase: Phase::Stable,
                generation: 0,
                ids: 0,
                pending: BTreeSet::new(),
                members: BTreeMap::new(),
                joining: BTreeMap::new(),
                syncing: BTreeMap::new(),
                leader: Arc::from(""),
                assignments: BTreeMap::new(),
                committed: BTreeMap::new(),
                answers: Vec::new(),
            },
            sims: Vec::new(),
            exchanges: 0,
        }
    }

    /// What can happen now; with `trouble` also what should not have to.
    fn enabled(&self, trouble: bool) -> Vec<Event> {
        let mut events = Vec::new();
        for (i, sim) in self.sims.iter().enumerate() {
            if sim.to_send.is_some() {
                events.push(Event::Send(i));
            }
            if let Some(exchange) = sim.awaits
                && self
                    .coordinator
                    .answers
                    .iter()
                    .any(|(to, _)| *to == exchange)
            {
                events.push(Event::Deliver(i));
            }
            if sim.heartbeats {
                events.push(Event::Heartbeat(i));
            }
            if !sim.draining.is_empty() {
                events.push(Event::Release(i));
            }
            if trouble {
                events.extend([
                    Event::Work(i),
                    Event::LoseAnswers(i),
                    Event::ExpireSession(i),
                    Event::ExpireLocally(i),
                    Event::TopicsChanged(i),
                ]);
                if !sim.draining.is_empty() {
                    events.push(Event::BudgetOver(i));
                }
                if i > 0 {
                    events.push(Event::Close(i));
                }
            }
        }
        let c = &self.coordinator;
        if c.phase == Phase::Preparing && !c.joining.is_empty() {
            if c.members.keys().all(|id| c.joining.contains_key(id)) {
                events.push(Event::CompleteJoin);
            } else if trouble {
                events.push(Event::RebalanceTimeout);
            }
        }
        if trouble && self.sims.len() < 4 {
            events.push(Event::Start);
        }
        events
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Start => {
                self.sims.push(Sim {
                    machine: Membership::new(self.cooperative, false),
                    to_send: None,
                    awaits: None,
                    heartbeats: false,
                    draining: BTreeSet::new(),
                    holders: BTreeMap::new(),
                });
                self.step(self.sims.len() - 1, Input::Start);
            }
            Event::Send(i) => self.send(i),
            Event::Deliver(i) => {
                let exchange = self.sims[i].awaits.take().unwrap();
                let at = self
                    .coordinator
                    .answers
                    .iter()
                    .position(|(to, _)| *to == exchange);
                let (_, input) = self.coordinator.answers.remove(at.unwrap());
                self.step(i, input);
            }
            Event::LoseAnswers(i) => {
                if self.sims[i].awaits.take().is_some() {
                    self.step(i, Input::Unanswered);
                }
            }
            Event::CompleteJoin | Event::RebalanceTimeout => self.coordinator.complete(),
            Event::Heartbeat(i) => {
                let (id, generation) = self.identity(i);
                if let Err(code) = self.coordinator.heartbeat(&id, generation) {
                    self.step(i, Input::Refused { generation, code });
                }
            }
            Event::Work(i) => self.work(i),
            Event::Release(i) => self.step(i, Input::Released),
            Event::BudgetOver(i) => self.step(i, Input::DrainBudgetOver),
            Event::ExpireSession(i) => {
                let (id, _) = self.identity(i);
                // The session of a member that joins does not run (KIP-62).
                if !self.coordinator.joining.contains_key(&id) {
                    self.coordinator.remove(&id);
                }
            }
            Event::ExpireLocally(i) if self.sims[i].heartbeats => {
                self.step(i, Input::SessionExpired)
            }
            Event::ExpireLocally(_) => {}
            Event::TopicsChanged(i) => self.step(i, Input::TopicsChanged),
            Event::Close(i) => self.step(i, Input::Close),
        }
    }

    fn identity(&self, i: usize) -> (Id, i32) {
        let machine = &self.sims[i].machine;
        (Arc::clone(machine.member_id()), machine.generation())
    }

    fn send(&mut self, i: usize) {
        let (id, generation) = self.identity(i);
        let Some(action) = self.sims[i].to_send.take() else {
            return;
        };
        self.exchanges += 1;
        let exchange = self.exchanges;
        match action {
            Action::Join { .. } => {
                let owned = self.sims[i].machine.owned().clone();
                let joined = self
                    .coordinator
                    .join(self.cooperative, exchange, &id, owned);
                match joined {
                    Ok(()) => self.sims[i].awaits = Some(exchange),
                    Err((code, member_id)) => self.step(i, Input::JoinRefused { code, member_id }),
                }
            }
            Action::Sync { lead } => {
                let plan = lead.map(|members| self.plan(&members));
                self.sims[i].awaits = Some(exchange);
                self.coordinator.sync(exchange, &id, generation, plan);
            }
            Action::Leave => {
                self.coordinator.remove(&id);
                self.step(i, Input::Left);
            }
            other => panic!("{other:?} is not sent"),
        }
    }

    /// Deals the partitions out; a cooperative leader holds back those that another member still has (KIP-429).
    fn plan(&self, members: &[Member]) -> BTreeMap<Id, Partitions> {
        let mut plan: BTreeMap<Id, Partitions> = members
            .iter()
            .map(|m| (Arc::clone(&m.id), BTreeSet::new()))
            .collect();
        for (partition, member) in all_partitions().into_iter().zip(members.iter().cycle()) {
            let held_by_other = members
                .iter()
                .any(|m| m.id != member.id && m.owned.contains(&partition));
            if !(self.cooperative && held_by_other) {
                plan.get_mut(&member.id).unwrap().insert(partition);
            }
        }
        plan
    }

    fn work(&mut self, i: usize) {
        let (id, generation) = self.identity(i);
        let Some((partition, position)) = self.sims[i].holders.iter_mut().next() else {
            return;
        };
        let (partition, offset) = (partition.clone(), *position + 1);
        match self.coordinator.commit(&id, generation, &partition, offset) {
            Ok(()) => *position = offset,
            Err(code) => self.step(i, Input::Refused { generation, code }),
        }
    }

    fn step(&mut self, i: usize, input: Input) {
        let actions = self.sims[i].machine.step(input.clone());
        for action in actions {
            self.act(i, action);
        }
        self.check(&input);
    }

    fn act(&mut self, i: usize, action: Action) {
        let sim = &mut self.sims[i];
        match action {
            Action::Join { .. } | Action::Sync { .. } | Action::Leave => {
                // Whatever was under way is given up with its connection.
                sim.awaits = None;
                sim.to_send = Some(action);
            }
            Action::Heartbeat(on) => sim.heartbeats = on,
            Action::Revoke(partitions) => {
                assert!(partitions.iter().all(|p| sim.holders.contains_key(p)));
                sim.draining = partitions;
            }
            Action::Lose(partitions, reason) => {
                // Their holders' commits are not sent any more.
                sim.holders.retain(|p, _| !partitions.contains(p));
                if reason != LostReason::DrainBudgetExceeded {
                    sim.draining = partitions;
                }
            }
            Action::Forget(partitions) => {
                sim.holders.retain(|p, _| !partitions.contains(p));
                sim.draining.clear();
            }
            Action::Assign(partitions) => {
                for p in partitions {
                    let position = self.coordinator.committed.get(&p).copied().unwrap_or(0);
                    assert!(sim.holders.insert(p, position).is_none());
                }
            }
            Action::End(_) => {
                sim.to_send = None;
                sim.awaits = None;
                sim.draining.clear();
                assert!(sim.holders.is_empty(), "ended with partitions");
            }
        }
    }

    fn check(&self, after: &Input) {
        let mut owners: BTreeMap<(i32, &TopicPartition), usize> = BTreeMap::new();
        for (i, sim) in self.sims.iter().enumerate() {
            for p in sim.holders.keys() {
                assert!(
                    sim.machine.owned().contains(p),
                    "held but not owned, after {after:?}"
                );
                let other = owners.insert((sim.machine.generation(), p), i);
                assert_eq!(other, None, "{p} has two owners after {after:?}");
            }
        }
    }

    /// Lets everything that is under way come to its end, and nothing else happen.
    fn settle(&mut self) {
        for round in 0..10_000 {
            let events = self.enabled(false);
            let heartbeats_only = events.iter().all(|e| matches!(e, Event::Heartbeat(_)));
            if heartbeats_only {
                let before = self.coordinator.generation;
                for event in events {
                    self.happen(event);
                }
                let more = self.enabled(false);
                if more.iter().all(|e| matches!(e, Event::Heartbeat(_)))
                    && self.coordinator.generation == before
                {
                    if self.coordinator.phase == Phase::Preparing
                        && !self.coordinator.joining.is_empty()
                    {
                        // Members that are gone without a word hold the rebalance up until its timeout.
                        self.coordinator.complete();
                        continue;
                    }
                    if self.coordinator.phase == Phase::Completing {
                        // So does a leader that is gone; its session times out.
                        let leader = Arc::clone(&self.coordinator.leader);
                        self.coordinator.remove(&leader);
                        continue;
                    }
                    return;
                }
                continue;
            }
            let acts: Vec<_> = events
                .into_iter()
                .filter(|e| !matches!(e, Event::Heartbeat(_)))
                .collect();
            self.happen(acts[round % acts.len()]);
        }
        panic!("does not settle");
    }

    fn assert_settled(&self) {
        let live: Vec<_> = self
            .sims
            .iter()
            .filter(|s| s.machine.phase() != GroupPhase::Closed)
            .collect();
        let mut owned = Vec::new();
        for sim in &live {
            assert_eq!(sim.machine.phase(), GroupPhase::Stable);
            assert_eq!(sim.machine.generation(), self.coordinator.generation);
            owned.extend(sim.holders.keys().cloned());
        }
        if !live.is_empty() {
            let count = owned.len();
            let owned: Partitions = owned.into_iter().collect();
            assert_eq!(count, owned.len(), "a partition has two owners");
            assert_eq!(owned, all_partitions());
        }
    }
}

fn run(cooperative: bool, choices: &[u16]) {
    let mut world = World::new(cooperative);
    world.happen(Event::Start);
    for choice in choices {
        let events = world.enabled(true);
        world.happen(events[usize::from(*choice) % events.len()]);
    }
    world.settle();
    world.assert_settled();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn eager_members_never_share_a_partition_and_always_settle(
        choices in proptest::collection::vec(any::<u16>(), 0..400)
    ) {
        run(false, &choices);
    }

    #[test]
    fn cooperative_members_never_share_a_partition_and_always_settle(
        choices in proptest::collection::vec(any::<u16>(), 0..400)
    ) {
        run(true, &choices);
    }
}
