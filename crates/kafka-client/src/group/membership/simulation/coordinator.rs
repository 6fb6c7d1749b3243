//! A group coordinator as Kafka has it, for simulated members.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kafka_wire::ResponseError as E;

use super::{Claims, Id, Partitions, Who};
use crate::consumer::TopicPartition;
use crate::group::assignor::Member;
use crate::group::membership::{Input, Joined};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Phase {
    Stable,
    Preparing,
    Completing,
}

/// As Kafka's group coordinator, without its clock: what it would do by time is an event of its own.
pub(super) struct Coordinator {
    pub(super) phase: Phase,
    pub(super) generation: i32,
    pub(super) ids: u32,
    /// Ids that were given to members that have not joined with them yet (KIP-394).
    pub(super) pending: BTreeSet<Id>,
    /// What each member says it owns, and since when.
    pub(super) members: BTreeMap<Id, Claims>,
    /// The member that goes by each instance id (KIP-345).
    pub(super) instances: BTreeMap<Id, Id>,
    /// Members whose instance id another took over.
    pub(super) fenced: BTreeSet<Id>,
    /// Members that wait for an answer, each with the number of the exchange.
    pub(super) joining: BTreeMap<Id, u32>,
    pub(super) syncing: BTreeMap<Id, u32>,
    pub(super) leader: Id,
    pub(super) assignments: BTreeMap<Id, Partitions>,
    pub(super) committed: BTreeMap<TopicPartition, i64>,
    /// Answers on their way, by the number of the exchange.
    pub(super) answers: Vec<(u32, Input)>,
}

impl Coordinator {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Stable,
            generation: 0,
            ids: 0,
            pending: BTreeSet::new(),
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            fenced: BTreeSet::new(),
            joining: BTreeMap::new(),
            syncing: BTreeMap::new(),
            leader: Arc::from(""),
            assignments: BTreeMap::new(),
            committed: BTreeMap::new(),
            answers: Vec::new(),
        }
    }

    pub(super) fn join(
        &mut self,
        exchange: u32,
        id: &Id,
        instance: Option<&Id>,
        claims: Claims,
    ) -> Result<(), (E, Id)> {
        if let Some(instance) = instance {
            if id.is_empty() {
                self.join_static(exchange, instance, claims);
                return Ok(());
            }
            self.check_instance(id, Some(instance))
                .map_err(|code| (code, Arc::clone(id)))?;
        } else if id.is_empty() {
            self.ids += 1;
            let new: Id = Arc::from(format!("m{}", self.ids));
            self.pending.insert(Arc::clone(&new));
            return Err((E::MemberIdRequired, new));
        }
        if !self.pending.remove(id) && !self.members.contains_key(id) {
            return Err((E::UnknownMemberId, Arc::clone(id)));
        }
        let unchanged = self.members.insert(Arc::clone(id), claims.clone()) == Some(claims);
        let follower = unchanged && *id != self.leader;
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

    /// A process that does not know its member yet: it takes the place of the one that had its instance id, if there is one,
    /// and what that one was assigned.
    fn join_static(&mut self, exchange: u32, instance: &Id, claims: Claims) {
        self.ids += 1;
        let new: Id = Arc::from(format!("s{}", self.ids));
        self.members.insert(Arc::clone(&new), claims);
        let old = self
            .instances
            .insert(Arc::clone(instance), Arc::clone(&new));
        if let Some(old) = old {
            self.replace(&old, &new);
            if self.phase == Phase::Stable {
                let answer = self.generation_for(&new);
                self.answers.push((exchange, answer));
                return;
            }
        }
        self.joining.insert(new, exchange);
        self.prepare();
    }

    fn replace(&mut self, old: &Id, new: &Id) {
        self.members.remove(old);
        self.fenced.insert(Arc::clone(old));
        let fenced = E::FencedInstanceId;
        if let Some(exchange) = self.joining.remove(old) {
            let member_id = Arc::clone(old);
            let code = fenced;
            self.answers
                .push((exchange, Input::JoinRefused { code, member_id }));
        }
        if let Some(exchange) = self.syncing.remove(old) {
            self.answers.push((exchange, Input::SyncRefused(fenced)));
        }
        if let Some(assignment) = self.assignments.remove(old) {
            self.assignments.insert(Arc::clone(new), assignment);
        }
        if self.leader == *old {
            self.leader = Arc::clone(new);
        }
    }

    pub(super) fn prepare(&mut self) {
        self.phase = Phase::Preparing;
        for exchange in std::mem::take(&mut self.syncing).into_values() {
            self.answers
                .push((exchange, Input::SyncRefused(E::RebalanceInProgress)));
        }
    }

    /// All have joined, or the rebalance timeout is over and the others are out, except for those that are to stay.
    pub(super) fn complete(&mut self, stay: &BTreeSet<Id>) {
        let joining = std::mem::take(&mut self.joining);
        let members = std::mem::take(&mut self.members).into_iter();
        let (members, out): (_, BTreeMap<Id, Claims>) =
            members.partition(|(id, _)| joining.contains_key(id) || stay.contains(id));
        self.members = members;
        self.instances.retain(|_, id| !out.contains_key(id));
        self.generation += 1;
        self.phase = Phase::Completing;
        self.assignments.clear();
        if !joining.contains_key(&self.leader) {
            self.leader = joining.keys().next().cloned().unwrap_or_default();
        }
        for (id, exchange) in joining {
            let answer = self.generation_for(&id);
            self.answers.push((exchange, answer));
        }
    }

    pub(super) fn generation_for(&self, id: &Id) -> Input {
        let members = self.members.iter().map(|(id, (owned, generation))| Member {
            id: Arc::clone(id),
            instance: None,
            topics: vec!["t".into()],
            owned: owned.iter().cloned().collect(),
            generation: *generation,
            rack: None,
        });
        Input::Joined(Joined {
            generation: self.generation,
            member_id: Arc::clone(id),
            lead: (*id == self.leader).then(|| members.collect()),
        })
    }

    fn check_instance(&self, id: &Id, instance: Option<&Id>) -> Result<(), E> {
        match instance.map(|instance| self.instances.get(instance)) {
            Some(Some(current)) if current != id => Err(E::FencedInstanceId),
            Some(None) => Err(E::UnknownMemberId),
            Some(Some(_)) | None => Ok(()),
        }
    }

    pub(super) fn check(&self, who: &Who) -> Result<(), E> {
        let Who { id, generation, .. } = who;
        self.check_instance(id, who.instance.as_ref())?;
        if !self.members.contains_key(id) {
            Err(E::UnknownMemberId)
        } else if *generation != self.generation {
            Err(E::IllegalGeneration)
        } else {
            Ok(())
        }
    }

    pub(super) fn sync(
        &mut self,
        exchange: u32,
        who: &Who,
        plan: Option<BTreeMap<Id, Partitions>>,
    ) {
        let refused = match (self.check(who), self.phase) {
            (Err(code), _) => Some(code),
            (Ok(()), Phase::Preparing) => Some(E::RebalanceInProgress),
            (Ok(()), _) => None,
        };
        if let Some(code) = refused {
            self.answers.push((exchange, Input::SyncRefused(code)));
            return;
        }
        self.syncing.insert(Arc::clone(&who.id), exchange);
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

    pub(super) fn heartbeat(&self, who: &Who) -> Result<(), E> {
        self.check(who)?;
        match self.phase {
            Phase::Preparing => Err(E::RebalanceInProgress),
            Phase::Completing | Phase::Stable => Ok(()),
        }
    }

    pub(super) fn commit(
        &mut self,
        who: &Who,
        partition: &TopicPartition,
        offset: i64,
    ) -> Result<(), E> {
        self.check(who)?;
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

    /// A static member may leave by its instance id, with an empty member id (KIP-345).
    pub(super) fn leave(&mut self, who: &Who) {
        let by_instance = who.instance.as_ref().filter(|_| who.id.is_empty());
        match by_instance.map(|instance| self.instances.get(instance)) {
            Some(Some(id)) => self.remove(&Arc::clone(id)),
            Some(None) => {}
            None => self.remove(&who.id),
        }
    }

    pub(super) fn remove(&mut self, id: &Id) {
        self.pending.remove(id);
        self.instances.retain(|_, member| member != id);
        // Whoever waits as this member learns that it is out: another that goes by its instance id may have left in its name.
        let code = E::UnknownMemberId;
        let member_id = Arc::clone(id);
        let join = self.joining.remove(id);
        let join = join.map(|to| (to, Input::JoinRefused { code, member_id }));
        let sync = self.syncing.remove(id);
        let sync = sync.map(|to| (to, Input::SyncRefused(code)));
        self.answers.extend(join.into_iter().chain(sync));
        if self.members.remove(id).is_some() {
            self.prepare();
        }
    }
}
