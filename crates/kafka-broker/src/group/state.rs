//! What a group is, and what can be asked of it.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_wire::{ResponseError, StrBytes};

use super::member::Member;
use super::{Effect, JoinAnswer, JoinedMember, SyncAnswer, Time, Token};

/// The bounds that the broker's settings put on groups.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) min_session_timeout: Duration,
    pub(crate) max_session_timeout: Duration,
    pub(crate) initial_rebalance_delay: Duration,
    pub(crate) max_size: usize,
}

/// Where a group stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Empty,
    /// Members are joining, until all did or the time is up.
    Preparing {
        deadline: Time,
        /// Set in an empty group that waits for more members: what may be added to the wait.
        initial: Option<Duration>,
    },
    /// The members know the generation and wait for the leader's assignment.
    Completing,
    Stable,
    /// Deleted; whoever still holds it has to look the group up again.
    Dead,
}

impl Phase {
    /// The name that Kafka's tools show.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Preparing { .. } => "PreparingRebalance",
            Self::Completing => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(super) limits: Limits,
    pub(super) phase: Phase,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<StrBytes>,
    pub(super) protocol: Option<StrBytes>,
    pub(super) leader: Option<StrBytes>,
    pub(super) members: BTreeMap<StrBytes, Member>,
    /// Instance id to member id (KIP-345).
    pub(super) static_members: BTreeMap<StrBytes, StrBytes>,
    /// Ids that were handed out and not used yet (KIP-394), and until when they may be.
    pub(super) pending: BTreeMap<StrBytes, Time>,
    /// When members that did not sync are given up.
    pub(super) sync_deadline: Option<Time>,
    /// A member came during the first generation's initial delay.
    pub(super) joined_during_delay: bool,
    pub(super) stored: Option<Stored>,
    /// No node coordinates it, so that its time stands still.
    pub(super) suspended: bool,
}

/// What Kafka would have written to `__consumer_offsets`, and a new coordinator would read from there.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    generation: i32,
    protocol_type: Option<StrBytes>,
    protocol: Option<StrBytes>,
    leader: Option<StrBytes>,
    members: BTreeMap<StrBytes, Member>,
}

impl Group {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            phase: Phase::Empty,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending: BTreeMap::new(),
            sync_deadline: None,
            joined_during_delay: false,
            stored: None,
            suspended: false,
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.phase == Phase::Dead
    }

    /// The earliest time at which [`tick`](Self::tick) has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        if self.suspended {
            return None;
        }
        let phase = match self.phase {
            Phase::Preparing { deadline, .. } => Some(deadline),
            Phase::Completing | Phase::Stable => self.sync_deadline,
            Phase::Empty | Phase::Dead => None,
        };
        let members = self.members.values().filter_map(Member::expires).min();
        let pending = self.pending.values().min().copied();
        [phase, members, pending].into_iter().flatten().min()
    }

    /// Checks that the member is one, and under its instance id the present one.
    pub(super) fn check_member(
        &self,
        member_id: &StrBytes,
        instance_id: Option<&StrBytes>,
    ) -> Result<(), ResponseError> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(ResponseError::UnknownMemberId),
                Some(current) if current != member_id => {
                    return Err(ResponseError::FencedInstanceId);
                }
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) {
            Ok(())
        } else {
            Err(ResponseError::UnknownMemberId)
        }
    }

    /// The longest time that a member wants to have for a rejoin.
    pub(super) fn rebalance_timeout(&self) -> Duration {
        self.members
            .values()
            .map(|member| member.rebalance_timeout)
            .max()
            .unwrap_or_default()
    }

    /// The protocols that every member supports.
    pub(super) fn common_protocols(&self) -> Vec<&StrBytes> {
        let mut members = self.members.values();
        let Some(first) = members.next() else {
            return Vec::new();
        };
        first
            .protocols
            .iter()
            .map(|(name, _)| name)
            .filter(|name| {
                self.members
                    .values()
                    .skip(1)
                    .all(|member| member.supports(name))
            })
            .collect()
    }

    /// The protocol that most members prefer of those that all support. Of equal ones, the first in the alphabet, so that
    /// a run can be repeated.
    pub(super) fn elected_protocol(&self) -> Option<StrBytes> {
        let candidates = self.common_protocols();
        let mut votes: BTreeMap<&StrBytes, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some(choice) = member.vote(&candidates) {
                *votes.entry(choice).or_default() += 1;
            }
        }
        let most = votes.values().max().copied()?;
        votes
            .into_iter()
            .find(|(_, count)| *count == most)
            .map(|(name, _)| name.clone())
    }

    pub(super) fn is_leader(&self, member_id: &StrBytes) -> bool {
        self.leader.as_ref() == Some(member_id)
    }

    /// All members with their metadata for the chosen protocol.
    pub(super) fn joined_members(&self) -> Vec<JoinedMember> {
        self.members
            .values()
            .map(|member| JoinedMember {
                member_id: member.id.clone(),
                instance_id: member.instance_id.clone(),
                metadata: member.metadata(self.protocol.as_ref()),
            })
            .collect()
    }

    /// The present generation, as a member is told of it.
    pub(super) fn join_answer(&self, member_id: &StrBytes) -> JoinAnswer {
        JoinAnswer {
            error: None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            member_id: member_id.clone(),
            members: if self.is_leader(member_id) {
                self.joined_members()
            } else {
                Vec::new()
            },
        }
    }

    /// Notes what a new coordinator would find.
    pub(super) fn store(&mut self) {
        let mut members = self.members.clone();
        for member in members.values_mut() {
            member.awaiting_join = None;
            member.awaiting_sync = None;
            member.pending_sync = false;
            member.is_new = false;
        }
        self.stored = Some(Stored {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            members,
        });
    }

    /// The group moves to another coordinator: whoever waits is sent there, and the group stands as it was last stored,
    /// with every session starting anew.
    pub(crate) fn move_away(&mut self, now: Time, out: &mut Vec<Effect>) {
        self.answer_all(ResponseError::NotCoordinator, out);
        let limits = self.limits;
        let stored = self.stored.take();
        *self = Self::new(limits);
        let Some(stored) = stored else {
            return;
        };
        self.generation = stored.generation;
        self.protocol_type = stored.protocol_type;
        self.protocol = stored.protocol;
        self.leader = stored.leader;
        self.members = stored.members;
        for member in self.members.values_mut() {
            member.touch(now);
            if let Some(instance_id) = &member.instance_id {
                self.static_members
                    .insert(instance_id.clone(), member.id.clone());
            }
        }
        if !self.members.is_empty() {
            self.phase = Phase::Stable;
        }
        self.store();
    }

    /// The last node that could coordinate the group went down. Until [`move_away`](Self::move_away) gives it to another,
    /// no session ends: nobody is there to be heard by.
    pub(crate) fn suspend(&mut self, now: Time, out: &mut Vec<Effect>) {
        self.move_away(now, out);
        self.suspended = true;
    }

    /// Ends the group.
    pub(crate) fn kill(&mut self, out: &mut Vec<Effect>) {
        self.answer_all(ResponseError::UnknownMemberId, out);
        *self = Self::new(self.limits);
        self.phase = Phase::Dead;
    }

    fn answer_all(&mut self, error: ResponseError, out: &mut Vec<Effect>) {
        for member in self.members.values_mut() {
            let id = &member.id;
            out.extend(
                member
                    .awaiting_join
                    .take()
                    .map(|token| Effect::Join(token, JoinAnswer::error(id.clone(), error))),
            );
            out.extend(
                member
                    .awaiting_sync
                    .take()
                    .map(|token| Effect::Sync(token, SyncAnswer::error(error))),
            );
        }
    }

    /// Has a member wait for the join's end. A request that it sent before and gave up on is answered too.
    pub(super) fn await_join(&mut self, member_id: &StrBytes, token: Token, out: &mut Vec<Effect>) {
        if let Some(member) = self.members.get_mut(member_id)
            && let Some(given_up) = member.awaiting_join.replace(token)
        {
            let answer = JoinAnswer::error(member.id.clone(), ResponseError::RebalanceInProgress);
            out.push(Effect::Join(given_up, answer));
        }
    }
}
