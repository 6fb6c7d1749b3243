//! A group coordinator as Kafka has it, for simulated members.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kafka_wire::ResponseError as E;

use super::{Claims, Id, Partitions};
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
            joining: BTreeMap::new(),
            syncing: BTreeMap::new(),
            leader: Arc::from(""),
            assignments: BTreeMap::new(),
            committed: BTreeMap::new(),
            answers: Vec::new(),
        }
    }

    pub(super) fn join(&mut self, exchange: u32, id: &Id, claims: Claims) -> Result<(), (E, Id)> {
        if id.is_empty() {
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

    pub(super) fn prepare(&mut self) {
        self.phase = Phase::Preparing;
        for exchange in std::mem::take(&mut self.syncing).into_values() {
            self.answers
                .push((exchange, Input::SyncRefused(E::RebalanceInProgress)));
        }
    }

    /// All have joined, or the rebalance timeout is over and the others are out.
    pub(super) fn complete(&mut self) {
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

    pub(super) fn check(&self, id: &Id, generation: i32) -> Result<(), E> {
        if !self.members.contains_key(id) {
            Err(E::UnknownMemberId)
        } else if generation != self.generation {
            Err(E::IllegalGeneration)
        } else {
            Ok(())
        }
    }

    pub(super) fn sync(
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

    pub(super) fn heartbeat(&self, id: &Id, generation: i32) -> Result<(), E> {
        self.check(id, generation)?;
        match self.phase {
            Phase::Preparing => Err(E::RebalanceInProgress),
            Phase::Completing | Phase::Stable => Ok(()),
        }
    }

    pub(super) fn commit(
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

    pub(super) fn remove(&mut self, id: &Id) {
        self.pending.remove(id);
        self.joining.remove(id);
        self.syncing.remove(id);
        if self.members.remove(id).is_some() {
            self.prepare();
        }
    }
}
