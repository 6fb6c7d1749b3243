//! Several members and a coordinator under random interleavings and losses.
//!
//! What must hold at each step: no partition has two owners in a generation, nor among those that are in the group, in
//! whatever generation; and no accepted commit goes back. And once
//! nothing more is done to them, they settle: each partition has one owner, or nobody is left.

mod coordinator;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use coordinator::{Coordinator, Phase};

use super::{Action, Input, Membership};
use crate::consumer::{LostReason, TopicPartition};
use crate::group::assignor::{Assignor, Member, Topics};
use crate::group::state::{GroupMembershipOperation, GroupPhase};

type Id = Arc<str>;
type Partitions = BTreeSet<TopicPartition>;

/// What a member's subscription says of its past.
type Claims = (Partitions, i32);

const PARTITIONS: i32 = 5;

pub(super) fn all_partitions() -> Partitions {
    (0..PARTITIONS)
        .map(|p| TopicPartition::new("t", p))
        .collect()
}

/// A member: the machine under test, and the I/O around it.
struct Sim {
    machine: Membership,
    /// The name that stays when the process restarts, if it has one (KIP-345).
    instance: Option<Id>,
    cooperative: bool,
    /// The process is no more.
    gone: bool,
    /// The join or sync that waits to be sent, and whether one is out.
    to_send: Option<Action>,
    awaits: Option<u32>,
    heartbeats: bool,
    draining: Partitions,
    /// What is read, and how far.
    holders: BTreeMap<TopicPartition, i64>,
    /// The last assignment, and its generation.
    last: Option<Claims>,
}

/// Who sends a request.
struct Who {
    id: Id,
    instance: Option<Id>,
    generation: i32,
}

struct World {
    assignor: Assignor,
    /// Whether every second member also knows an assignor that is not cooperative, and so is eager.
    mixed: bool,
    /// Whether members have instance ids: all but every third.
    has_static: bool,
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
    PollOverdue(usize),
    Close(usize, GroupMembershipOperation),
    /// The process is killed, and another comes up under its instance id.
    Restart(usize),
    /// Another comes up under its instance id while it still runs.
    TakeOver(usize),
}

impl World {
    fn new(assignor: Assignor, mixed: bool, has_static: bool) -> Self {
        Self {
            assignor,
            mixed,
            has_static,
            coordinator: Coordinator::new(),
            sims: Vec::new(),
            exchanges: 0,
        }
    }

    /// What can happen now; with `trouble` also what should not have to.
    fn enabled(&self, trouble: bool) -> Vec<Event> {
        let mut events = Vec::new();
        for (i, sim) in self.sims.iter().enumerate().filter(|(_, sim)| !sim.gone) {
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
                    Event::PollOverdue(i),
                ]);
                if !sim.draining.is_empty() {
                    events.push(Event::BudgetOver(i));
                }
                if i > 0 {
                    let operations = [
                        GroupMembershipOperation::Default,
                        GroupMembershipOperation::LeaveGroup,
                        GroupMembershipOperation::RemainInGroup,
                    ];
                    events.extend(operations.map(|operation| Event::Close(i, operation)));
                }
                if sim.instance.is_some() && self.sims.len() < 8 {
                    events.extend([Event::Restart(i), Event::TakeOver(i)]);
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
                let number = self.sims.len();
                let is_eager = self.mixed && number % 2 == 1;
                let cooperative = self.assignor.is_cooperative() && !is_eager;
                let is_static = self.has_static && number % 3 != 2;
                let instance = is_static.then(|| Id::from(format!("i{number}")));
                self.start(cooperative, instance);
            }
            Event::Restart(i) => {
                let sim = &mut self.sims[i];
                sim.gone = true;
                sim.awaits = None;
                sim.holders.clear();
                self.happen(Event::TakeOver(i));
            }
            Event::TakeOver(i) => {
                let sim = &self.sims[i];
                self.start(sim.cooperative, sim.instance.clone());
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
                if let Input::Synced(assignment) = &input {
                    let sim = &mut self.sims[i];
                    sim.last = Some((assignment.clone(), sim.machine.generation()));
                }
                self.step(i, input);
            }
            Event::LoseAnswers(i) => {
                if self.sims[i].awaits.take().is_some() {
                    self.step(i, Input::Unanswered);
                }
            }
            Event::CompleteJoin | Event::RebalanceTimeout => self.complete(),
            Event::Heartbeat(i) => {
                let who = self.who(i);
                let generation = who.generation;
                if let Err(code) = self.coordinator.heartbeat(&who) {
                    self.step(i, Input::Refused { generation, code });
                }
            }
            Event::Work(i) => self.work(i),
            Event::Release(i) => self.step(i, Input::Released),
            Event::BudgetOver(i) => self.step(i, Input::DrainBudgetOver),
            Event::ExpireSession(i) => {
                let id = self.who(i).id;
                // The session of a member that joins does not run (KIP-62).
                if !self.coordinator.joining.contains_key(&id) {
                    self.coordinator.remove(&id);
                }
            }
            // While it joins, a member notices by joins that are not answered.
            Event::ExpireLocally(i) => {
                let sim = &self.sims[i];
                let joins = sim.machine.phase() == GroupPhase::Joining;
                if sim.heartbeats || joins && !sim.holders.is_empty() {
                    self.step(i, Input::SessionExpired);
                }
            }
            Event::PollOverdue(i) => self.step(i, Input::PollOverdue),
            Event::TopicsChanged(i) => {
                self.step(i, Input::TopicsChanged);
                self.step(i, Input::SubscriptionChanged);
            }
            Event::Close(i, operation) => self.step(i, Input::Close(operation)),
        }
    }

    fn start(&mut self, cooperative: bool, instance: Option<Id>) {
        self.sims.push(Sim {
            machine: Membership::new(cooperative, instance.is_some()),
            instance,
            cooperative,
            gone: false,
            to_send: None,
            awaits: None,
            heartbeats: false,
            draining: BTreeSet::new(),
            holders: BTreeMap::new(),
            last: None,
        });
        self.step(self.sims.len() - 1, Input::Start);
    }

    fn who(&self, i: usize) -> Who {
        let sim = &self.sims[i];
        Who {
            id: Arc::clone(sim.machine.member_id()),
            instance: sim.instance.clone(),
            generation: sim.machine.generation(),
        }
    }

    /// Static members stay in the group until their session is over. Of one that still runs that is so before the rebalance
    /// timeout: it would have heard of the rebalance by its heartbeats.
    fn complete(&mut self) {
        let is_static = |id: &&Id| self.coordinator.instances.values().any(|i| i == *id);
        let nobodys = self.nobodys();
        let stay = nobodys.iter().filter(is_static).cloned().collect();
        self.coordinator.complete(&stay);
    }

    /// The members that no process goes by any more, or is about to.
    fn nobodys(&self) -> Vec<Id> {
        let is_live = |id: &&Id| {
            let joining = self.coordinator.joining.get(*id).copied();
            let is_told = |sim: &Sim| joining.is_some() && sim.awaits == joining;
            self.live()
                .any(|sim| sim.machine.member_id() == *id || is_told(sim))
        };
        let members = self.coordinator.members.keys();
        members.filter(|id| !is_live(id)).cloned().collect()
    }

    fn live(&self) -> impl Iterator<Item = &Sim> {
        let is_live = |sim: &&Sim| {
            let ended = matches!(sim.machine.phase(), GroupPhase::Closed | GroupPhase::Failed);
            !sim.gone && !ended
        };
        self.sims.iter().filter(is_live)
    }

    fn send(&mut self, i: usize) {
        let who = self.who(i);
        let Some(action) = self.sims[i].to_send.take() else {
            return;
        };
        self.exchanges += 1;
        let exchange = self.exchanges;
        match action {
            Action::Join { .. } => {
                let claims = self.claims(i);
                let instance = who.instance.as_ref();
                match self.coordinator.join(exchange, &who.id, instance, claims) {
                    Ok(()) => self.sims[i].awaits = Some(exchange),
                    Err((code, member_id)) => self.step(i, Input::JoinRefused { code, member_id }),
                }
            }
            Action::Sync { lead } => {
                let plan = lead.map(|members| plan(self.assignor, &members));
                self.sims[i].awaits = Some(exchange);
                self.coordinator.sync(exchange, &who, plan);
            }
            Action::Leave => {
                self.coordinator.leave(&who);
                self.step(i, Input::Left);
            }
            other => panic!("{other:?} is not sent"),
        }
    }

    /// What the subscription says, as `Past` has it.
    fn claims(&self, i: usize) -> Claims {
        let sim = &self.sims[i];
        let (last, generation) = sim.last.clone().unwrap_or((Partitions::new(), -1));
        let owned = match self.assignor {
            Assignor::Sticky => last,
            Assignor::CooperativeSticky => sim.machine.owned().clone(),
            _ => Partitions::new(),
        };
        (owned, generation)
    }

    fn work(&mut self, i: usize) {
        let who = self.who(i);
        // Until then it waits to be sent.
        let Some(generation) = self.sims[i].machine.commits_in() else {
            return;
        };
        let Some((partition, position)) = self.sims[i].holders.iter_mut().next() else {
            return;
        };
        let (partition, offset) = (partition.clone(), *position + 1);
        match self.coordinator.commit(&who, &partition, offset) {
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
        let mut by_generation = BTreeSet::new();
        let mut by_members = BTreeSet::new();
        for sim in &self.sims {
            let is_member = self
                .coordinator
                .members
                .contains_key(sim.machine.member_id());
            for p in sim.holders.keys() {
                let owned = sim.machine.owned().contains(p);
                assert!(owned, "held but not owned, after {after:?}");
                let generation = sim.machine.generation();
                // One that another took over from has not noticed yet; nobody takes its commits.
                let is_fenced = self.coordinator.fenced.contains(sim.machine.member_id());
                let alone = is_fenced || by_generation.insert((generation, p));
                assert!(alone, "{p} has two owners in {generation} after {after:?}");
                // Whoever is out of the group may not have noticed yet; nobody takes its commits.
                let alone = !is_member || by_members.insert(p);
                assert!(alone, "{p} is held by two members after {after:?}");
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
                    if let Some(nobody) = self.nobodys().first() {
                        // Nobody keeps its session up.
                        self.coordinator.remove(nobody);
                        continue;
                    }
                    if self.coordinator.phase == Phase::Preparing
                        && !self.coordinator.joining.is_empty()
                    {
                        // Members that are gone without a word hold the rebalance up until its timeout.
                        self.complete();
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
        for failed in &self.sims {
            let name = &failed.instance;
            let has_failed = failed.machine.phase() == GroupPhase::Failed;
            let taken_over = || self.sims.iter().filter(|s| s.instance == *name).count() > 1;
            assert!(!has_failed || name.is_some() && taken_over());
        }
        let live: Vec<_> = self.live().collect();
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

fn plan(assignor: Assignor, members: &[Member]) -> BTreeMap<Id, Partitions> {
    let topics = Topics {
        counts: [("t".into(), PARTITIONS)].into(),
        ..Topics::default()
    };
    let plan = assignor.assign(members, &topics).into_iter();
    plan.map(|(member, partitions)| (member, partitions.into_iter().collect()))
        .collect()
}

fn run(assignor: Assignor, mixed: bool, has_static: bool, choices: &[u16]) {
    let mut world = World::new(assignor, mixed, has_static);
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
        run(Assignor::Range, false, false, &choices);
        run(Assignor::Sticky, false, false, &choices);
    }

    #[test]
    fn cooperative_members_never_share_a_partition_and_always_settle(
        choices in proptest::collection::vec(any::<u16>(), 0..400)
    ) {
        run(Assignor::CooperativeSticky, false, false, &choices);
    }

    /// As in the second half of a rolling upgrade: the group is cooperative already, and some members are eager still.
    #[test]
    fn cooperative_and_eager_members_never_share_a_partition_and_always_settle(
        choices in proptest::collection::vec(any::<u16>(), 0..400)
    ) {
        run(Assignor::CooperativeSticky, true, false, &choices);
    }

    /// Processes are killed and come back, others take their names, and they are closed with and without leaving.
    #[test]
    fn static_members_never_share_a_partition_and_always_settle(
        choices in proptest::collection::vec(any::<u16>(), 0..400)
    ) {
        run(Assignor::Range, false, true, &choices);
        run(Assignor::Sticky, false, true, &choices);
        run(Assignor::CooperativeSticky, false, true, &choices);
        run(Assignor::CooperativeSticky, true, true, &choices);
    }
}
