//! What a member of a group does next: a pure function from what happened to what is to be done.
//!
//! The life of a member under the classic protocol (KIP-62, KIP-345, KIP-394, KIP-429):
//!
//! ```text
//!  Idle ──start──▶ Joining ──generation──▶ Syncing ──assignment──▶ Stable
//!                   ▲ ▲ └─ again: MEMBER_ID_REQUIRED,     │           │
//!                   │ │    no answer, a code to retry     │           │
//!                   │ └──── Draining ◀────────────────────┴───────────┤  revoked by a rebalance or by close, or lost with the session
//!                   │          └──▶ Leaving ──▶ Closed                │  after close
//!                   └────── Expelled ◀────────────────────────────────┤  not polled in time
//!                           Failed ◀──────────────────────────────────┘  fenced, or a code that is final
//! ```
//!
//! A cooperative member rejoins from Stable without draining, and drains from Syncing what it is to give up (KIP-429). Each rule with its
//! reason is in `docs/consumer-groups.md`.

mod leaving;
mod step;

use std::collections::BTreeSet;
use std::sync::Arc;

use kafka_wire::ResponseError;

pub(crate) use self::step::{Action, Input, Joined};
use super::state::GroupPhase;
use crate::consumer::{LostReason, TopicPartition};
use crate::error::GroupVerdict;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Joining,
    Syncing,
    Stable,
    /// Partitions are being let go of; then it goes on by joining anew or by leaving.
    Draining {
        then_leave: bool,
    },
    /// Out of the group until the holders have let go of what they lost, and the coordinator knows.
    Expelled {
        leave: Leave,
        released: bool,
    },
    Leaving,
    Closed,
    Failed,
}

/// How far the coordinator knows that a member is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leave {
    /// It is not told: the member's place waits for it (KIP-345).
    Untold,
    UnderWay,
    Told,
}

/// The state of a member.
#[derive(Debug, Clone)]
pub(crate) struct Membership {
    /// Members keep their partitions while they rejoin (KIP-429), which all of their assignors must know.
    cooperative: bool,
    /// It has a group instance id, by which the coordinator knows it also before it knows its own member id (KIP-345).
    is_static: bool,
    /// Whether it leaves the group when it is closed. A static member does not, by default (KIP-345).
    leaves: bool,
    phase: Phase,
    member_id: Arc<str>,
    generation: i32,
    is_leader: bool,
    owned: BTreeSet<TopicPartition>,
    /// The part of `owned` that is being let go of.
    leaving: BTreeSet<TopicPartition>,
    /// Whether what is being let go of is lost already.
    lost: bool,
    /// Whether a join or sync is under way while partitions are let go of: that of a member that was closed meanwhile.
    rejoins: bool,
}

/// The generation of a member that is in none.
pub(crate) const NO_GENERATION: i32 = -1;

impl Membership {
    pub(crate) fn new(cooperative: bool, is_static: bool) -> Self {
        Self {
            cooperative,
            is_static,
            leaves: !is_static,
            phase: Phase::Idle,
            member_id: Arc::from(""),
            generation: NO_GENERATION,
            is_leader: false,
            owned: BTreeSet::new(),
            leaving: BTreeSet::new(),
            lost: false,
            rejoins: false,
        }
    }

    pub(crate) fn member_id(&self) -> &Arc<str> {
        &self.member_id
    }

    pub(crate) fn generation(&self) -> i32 {
        self.generation
    }

    /// The generation to commit in; none while there is none to commit in. Between a join and the end of its sync the
    /// coordinator refuses all commits with REBALANCE_IN_PROGRESS, which afterwards could not be told from the next rebalance.
    pub(crate) fn commits_in(&self) -> Option<i32> {
        let is_member = self.generation != NO_GENERATION;
        (is_member && self.phase != Phase::Syncing).then_some(self.generation)
    }

    pub(crate) fn is_leader(&self) -> bool {
        self.is_leader
    }

    /// What the member has, including what it is letting go of.
    pub(crate) fn owned(&self) -> &BTreeSet<TopicPartition> {
        &self.owned
    }

    pub(crate) fn phase(&self) -> GroupPhase {
        match self.phase {
            Phase::Idle | Phase::Joining => GroupPhase::Joining,
            Phase::Syncing => GroupPhase::Syncing,
            Phase::Stable => GroupPhase::Stable,
            Phase::Draining { .. } => GroupPhase::Draining,
            Phase::Expelled { .. } => GroupPhase::Expelled,
            Phase::Leaving => GroupPhase::Leaving,
            Phase::Closed => GroupPhase::Closed,
            Phase::Failed => GroupPhase::Failed,
        }
    }

    /// What to do now that `input` happened. What does not fit the phase is late and means nothing.
    pub(crate) fn step(&mut self, input: Input) -> Vec<Action> {
        match (self.phase, input) {
            (Phase::Closed | Phase::Failed, _) => Vec::new(),
            (Phase::Idle, Input::Start) => self.join(false),
            (Phase::Joining, Input::Joined(joined)) => self.joined(joined),
            (Phase::Joining, Input::JoinRefused { code, member_id }) => {
                self.join_refused(code, member_id)
            }
            (Phase::Syncing, Input::Synced(assignment)) => self.synced(assignment),
            (Phase::Syncing, Input::SyncRefused(code)) => self.sync_refused(code),
            // Whether the coordinator took the request is not known; joining again is right in either case.
            (Phase::Joining | Phase::Syncing, Input::Unanswered) => self.join(true),
            (_, Input::Refused { generation, code }) if generation == self.generation => {
                self.refused(code)
            }
            (
                Phase::Joining | Phase::Syncing | Phase::Stable | Phase::Draining { .. },
                Input::SessionExpired,
            ) if self.generation != NO_GENERATION => {
                // The coordinator may be the one that is away: then it knows the member still, by its id.
                self.lose_all(LostReason::SessionExpired)
            }
            (
                Phase::Joining
                | Phase::Syncing
                | Phase::Stable
                | Phase::Draining { then_leave: false },
                Input::PollOverdue,
            ) if !self.owned.is_empty() && !self.lost => self.expel(),
            (Phase::Expelled { released, .. }, Input::Left) => self.expelled(Leave::Told, released),
            (Phase::Expelled { leave, .. }, Input::Released) => self.expelled(leave, true),
            (Phase::Stable, Input::TopicsChanged) if self.is_leader => self.rejoin(),
            (Phase::Stable, Input::SubscriptionChanged) => self.rejoin(),
            (Phase::Draining { .. }, input) if self.rejoins && input.is_exchange() => {
                self.goes_along(input)
            }
            (Phase::Draining { then_leave }, Input::Released) => self.released(then_leave),
            (Phase::Draining { then_leave }, Input::DrainBudgetOver) => {
                let late = self.leaving.clone();
                let reason = LostReason::DrainBudgetExceeded;
                let mut actions = Vec::new();
                if !self.lost {
                    actions.push(Action::Lose(late, reason));
                }
                actions.extend(self.released(then_leave));
                actions
            }
            (Phase::Leaving, Input::Left) => self.end(None),
            (_, Input::Close(operation)) => self.close(operation),
            _ => Vec::new(),
        }
    }

    fn join(&mut self, retry: bool) -> Vec<Action> {
        self.phase = Phase::Joining;
        // The coordinator does not let the session of a member that joins expire (KIP-62).
        vec![Action::Heartbeat(false), Action::Join { retry }]
    }

    fn joined(&mut self, joined: Joined) -> Vec<Action> {
        self.phase = Phase::Syncing;
        self.take_generation(joined)
    }

    fn take_generation(&mut self, joined: Joined) -> Vec<Action> {
        self.member_id = joined.member_id;
        self.generation = joined.generation;
        self.is_leader = joined.lead.is_some();
        // From here on the session runs, while the leader takes its time.
        vec![Action::Heartbeat(true), Action::Sync { lead: joined.lead }]
    }

    /// The caller closed a cooperative member while it was joining. It goes along until it leaves, so that the others are
    /// not held up, and so that what its holders commit comes from the generation that the group is in by then. It claimed
    /// what it holds when it joined, so nobody else was given that.
    fn goes_along(&mut self, input: Input) -> Vec<Action> {
        match input {
            Input::Joined(joined) => self.take_generation(joined),
            Input::JoinRefused { code, .. } | Input::SyncRefused(code)
                if GroupVerdict::of(code) == GroupVerdict::UnknownMember =>
            {
                self.start_over(LostReason::UnknownMember, true)
            }
            _ => {
                self.rejoins = false;
                Vec::new()
            }
        }
    }

    fn join_refused(&mut self, code: ResponseError, member_id: Arc<str>) -> Vec<Action> {
        match GroupVerdict::of(code) {
            // The id first, so that members that give up while joining leave nothing behind.
            GroupVerdict::MemberIdRequired => {
                self.member_id = member_id;
                self.join(false)
            }
            GroupVerdict::UnknownMember => self.start_over(LostReason::UnknownMember, true),
            GroupVerdict::IllegalGeneration => {
                self.start_over(LostReason::IllegalGeneration, false)
            }
            GroupVerdict::Rebalance | GroupVerdict::Retry => self.join(true),
            GroupVerdict::Fenced | GroupVerdict::Fatal => self.fail(code),
        }
    }

    fn synced(&mut self, assignment: BTreeSet<TopicPartition>) -> Vec<Action> {
        let added: BTreeSet<_> = assignment.difference(&self.owned).cloned().collect();
        // Under an eager protocol nothing is owned here.
        let removed: BTreeSet<_> = self.owned.difference(&assignment).cloned().collect();
        self.owned.extend(added.iter().cloned());
        let mut actions = vec![Action::Assign(added)];
        if removed.is_empty() {
            self.phase = Phase::Stable;
        } else {
            // KIP-429: only the difference is let go of; the rejoin that follows gives it to its new owner.
            actions.extend(self.drain(removed, false));
        }
        actions
    }

    fn sync_refused(&mut self, code: ResponseError) -> Vec<Action> {
        match GroupVerdict::of(code) {
            GroupVerdict::UnknownMember => self.start_over(LostReason::UnknownMember, true),
            GroupVerdict::IllegalGeneration => {
                self.start_over(LostReason::IllegalGeneration, false)
            }
            // Another rebalance began before this one was done.
            GroupVerdict::Rebalance => self.join(false),
            GroupVerdict::Retry => self.join(true),
            GroupVerdict::Fenced | GroupVerdict::Fatal | GroupVerdict::MemberIdRequired => {
                self.fail(code)
            }
        }
    }

    /// The answer to a heartbeat or commit of this generation.
    fn refused(&mut self, code: ResponseError) -> Vec<Action> {
        use GroupVerdict as V;
        match (self.phase, GroupVerdict::of(code)) {
            // A join or sync under way brings its own answer. While draining it is known.
            (Phase::Stable, V::Rebalance) => self.rejoin(),
            (_, V::Rebalance) | (Phase::Idle | Phase::Leaving, _) => Vec::new(),
            (_, V::Fenced) => self.fail(code),
            // A member that rejoins learns from the answer to that what became of its generation.
            (Phase::Joining, _) => Vec::new(),
            (Phase::Draining { .. }, _) if self.rejoins => Vec::new(),
            (_, V::UnknownMember) => self.start_over(LostReason::UnknownMember, true),
            (_, V::IllegalGeneration) => self.start_over(LostReason::IllegalGeneration, false),
            (_, V::Fatal | V::MemberIdRequired) => self.fail(code),
            (_, V::Retry) => Vec::new(),
        }
    }

    /// A rebalance has begun: eager members give up everything before they join (KIP-62), cooperative ones nothing (KIP-429).
    fn rejoin(&mut self) -> Vec<Action> {
        if self.cooperative || self.owned.is_empty() {
            self.join(false)
        } else {
            self.drain(self.owned.clone(), false)
        }
    }

    fn drain(&mut self, partitions: BTreeSet<TopicPartition>, then_leave: bool) -> Vec<Action> {
        self.phase = Phase::Draining { then_leave };
        self.leaving = partitions.clone();
        self.lost = false;
        self.rejoins = false;
        vec![Action::Revoke(partitions)]
    }

    fn released(&mut self, then_leave: bool) -> Vec<Action> {
        let released = std::mem::take(&mut self.leaving);
        self.owned.retain(|p| !released.contains(p));
        self.lost = false;
        let mut actions = vec![Action::Forget(released)];
        actions.extend(if then_leave {
            self.leave()
        } else {
            self.join(false)
        });
        actions
    }
}

#[cfg(test)]
mod rules;
#[cfg(test)]
mod simulation;
