//! How a member loses what it has, and how it comes to its end.

use std::sync::Arc;

use kafka_wire::ResponseError;

use super::{Action, Leave, Membership, NO_GENERATION, Phase};
use crate::consumer::LostReason;
use crate::error::GroupVerdict;
use crate::group::state::GroupMembershipOperation;

impl Membership {
    /// The coordinator has given the partitions away: nothing may be committed, and membership begins anew, without the
    /// id if the coordinator does not know it.
    pub(super) fn start_over(&mut self, reason: LostReason, forget_id: bool) -> Vec<Action> {
        if forget_id {
            self.member_id = Arc::from("");
        }
        self.lose_all(reason)
    }

    /// A holder is stuck: others take over. A member that does not leave is found out by its session.
    pub(super) fn expel(&mut self) -> Vec<Action> {
        self.generation = NO_GENERATION;
        self.is_leader = false;
        self.leaving = self.owned.clone();
        self.lost = true;
        self.rejoins = false;
        let leave = if self.leaves {
            Leave::UnderWay
        } else {
            Leave::Untold
        };
        let released = false;
        self.phase = Phase::Expelled { leave, released };
        let reason = LostReason::MaxPollIntervalExceeded;
        let mut actions = vec![
            Action::Heartbeat(false),
            Action::Lose(self.owned.clone(), reason),
        ];
        if self.leaves {
            actions.push(Action::Leave);
        }
        actions
    }

    pub(super) fn expelled(&mut self, leave: Leave, released: bool) -> Vec<Action> {
        self.phase = Phase::Expelled { leave, released };
        if leave == Leave::UnderWay || !released {
            return Vec::new();
        }
        if leave == Leave::Told {
            self.member_id = Arc::from("");
        }
        self.released(false)
    }

    pub(super) fn lose_all(&mut self, reason: LostReason) -> Vec<Action> {
        let then_leave = matches!(self.phase, Phase::Draining { then_leave: true });
        self.generation = NO_GENERATION;
        self.is_leader = false;
        if self.owned.is_empty() {
            return if then_leave {
                self.leave()
            } else {
                self.join(true)
            };
        }
        self.phase = Phase::Draining { then_leave };
        self.leaving = self.owned.clone();
        self.lost = true;
        self.rejoins = false;
        vec![
            Action::Heartbeat(false),
            Action::Lose(self.owned.clone(), reason),
        ]
    }

    pub(super) fn close(&mut self, operation: GroupMembershipOperation) -> Vec<Action> {
        match operation {
            GroupMembershipOperation::Default => {}
            GroupMembershipOperation::LeaveGroup => self.leaves = true,
            GroupMembershipOperation::RemainInGroup => self.leaves = false,
        }
        match self.phase {
            Phase::Draining { .. } if self.lost => {
                self.phase = Phase::Draining { then_leave: true };
                Vec::new()
            }
            Phase::Idle
            | Phase::Joining
            | Phase::Syncing
            | Phase::Stable
            | Phase::Draining { .. } => {
                if self.owned.is_empty() {
                    return self.leave();
                }
                let rejoins = matches!(self.phase, Phase::Joining | Phase::Syncing);
                let actions = self.drain(self.owned.clone(), true);
                self.rejoins = rejoins;
                actions
            }
            Phase::Expelled { leave, .. } => match leave {
                Leave::Untold => self.leave(),
                Leave::UnderWay => {
                    self.phase = Phase::Leaving;
                    Vec::new()
                }
                Leave::Told => self.end(None),
            },
            Phase::Leaving | Phase::Closed | Phase::Failed => Vec::new(),
        }
    }

    pub(super) fn leave(&mut self) -> Vec<Action> {
        // The place of a member that does not leave waits for it until its session times out (KIP-345). One with an instance id
        // leaves by that, where it has not heard yet whether its join was taken; any other gets its member id before it joins.
        if !self.leaves || (self.member_id.is_empty() && !self.is_static) {
            return self.end(None);
        }
        self.phase = Phase::Leaving;
        vec![Action::Heartbeat(false), Action::Leave]
    }

    pub(super) fn fail(&mut self, code: ResponseError) -> Vec<Action> {
        let reason = match GroupVerdict::of(code) {
            GroupVerdict::Fenced => LostReason::Fenced,
            _ => LostReason::GroupFailed,
        };
        let owned = std::mem::take(&mut self.owned);
        let mut actions = Vec::new();
        if !owned.is_empty() {
            actions.push(Action::Lose(owned, reason));
        }
        actions.extend(self.end(Some(code)));
        actions
    }

    pub(super) fn end(&mut self, code: Option<ResponseError>) -> Vec<Action> {
        self.phase = if code.is_some() {
            Phase::Failed
        } else {
            Phase::Closed
        };
        self.generation = NO_GENERATION;
        vec![Action::Heartbeat(false), Action::End(code)]
    }
}
