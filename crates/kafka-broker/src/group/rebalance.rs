//! From one generation to the next, and what time does to a group.

use kafka_wire::{ResponseError, StrBytes};

use super::state::{Group, Phase};
use super::{Effect, JoinAnswer, SyncAnswer, Time};

impl Group {
    /// Starts a rebalance, unless one is starting already.
    pub(super) fn prepare_rebalance(&mut self, now: Time, out: &mut Vec<Effect>) {
        match self.phase {
            Phase::Preparing { .. } | Phase::Dead => return,
            Phase::Empty => {
                let delay = self.limits.initial_rebalance_delay;
                self.joined_during_delay = false;
                self.phase = Phase::Preparing {
                    deadline: now.saturating_add(delay),
                    initial: Some(self.rebalance_timeout().saturating_sub(delay)),
                };
                if delay.is_zero() {
                    self.complete_join(now, out);
                }
                return;
            }
            Phase::Completing => self.cancel_syncs(out),
            Phase::Stable => {}
        }
        self.sync_deadline = None;
        self.phase = Phase::Preparing {
            deadline: now.saturating_add(self.rebalance_timeout()),
            initial: None,
        };
        self.complete_join_if_all_joined(now, out);
    }

    /// Whoever waits for an assignment that will not come has to join again.
    fn cancel_syncs(&mut self, out: &mut Vec<Effect>) {
        for member in self.members.values_mut() {
            member.assignment.clear();
            member.pending_sync = false;
            out.extend(member.awaiting_sync.take().map(|token| {
                Effect::Sync(token, SyncAnswer::error(ResponseError::RebalanceInProgress))
            }));
        }
    }

    /// Ends the join when everybody joined, ids that were handed out included. An initial delay is waited out.
    pub(super) fn complete_join_if_all_joined(&mut self, now: Time, out: &mut Vec<Effect>) {
        let all_joined = self.pending.is_empty()
            && self
                .members
                .values()
                .all(|member| member.awaiting_join.is_some());
        if matches!(self.phase, Phase::Preparing { initial: None, .. }) && all_joined {
            self.complete_join(now, out);
        }
    }

    /// Ends the join: whoever is missing is out, static members excepted; the others learn the new generation.
    fn complete_join(&mut self, now: Time, out: &mut Vec<Effect>) {
        self.members
            .retain(|_, member| member.awaiting_join.is_some() || member.instance_id.is_some());
        if !self.elect_leader() && !self.members.is_empty() {
            // Only static members are left and none has come back yet: they keep their places for another round.
            self.phase = Phase::Preparing {
                deadline: now.saturating_add(self.rebalance_timeout()),
                initial: None,
            };
            return;
        }
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        if self.members.is_empty() {
            self.protocol = None;
            self.phase = Phase::Empty;
            self.store();
            return;
        }
        self.protocol = self.elected_protocol();
        self.phase = Phase::Completing;
        self.sync_deadline = Some(now.saturating_add(self.rebalance_timeout()));
        let ids: Vec<StrBytes> = self.members.keys().cloned().collect();
        for id in ids {
            let answer = self.join_answer(&id);
            if let Some(member) = self.members.get_mut(&id) {
                member.is_new = false;
                member.pending_sync = true;
                member.touch(now);
                let token = member.awaiting_join.take();
                out.extend(token.map(|token| Effect::Join(token, answer)));
            }
        }
    }

    /// Keeps the leader if it joined, or else makes one of those that did. `false` when nobody did.
    fn elect_leader(&mut self) -> bool {
        let joined = |id: &StrBytes| {
            self.members
                .get(id)
                .is_some_and(|member| member.awaiting_join.is_some())
        };
        if !self.leader.as_ref().is_some_and(joined) {
            let elected = self
                .members
                .values()
                .find(|member| member.awaiting_join.is_some())
                .map(|member| member.id.clone());
            if elected.is_none() && !self.members.is_empty() {
                return false;
            }
            self.leader = elected;
        }
        self.leader.is_some()
    }

    /// Takes a member out, and rebalances what is left.
    pub(super) fn remove_member(&mut self, now: Time, id: &StrBytes, out: &mut Vec<Effect>) {
        self.take_out(id, out);
        match self.phase {
            Phase::Completing | Phase::Stable => self.prepare_rebalance(now, out),
            Phase::Preparing { .. } => self.complete_join_if_all_joined(now, out),
            Phase::Empty | Phase::Dead => {}
        }
    }

    fn take_out(&mut self, id: &StrBytes, out: &mut Vec<Effect>) {
        let Some(member) = self.members.remove(id) else {
            return;
        };
        if let Some(instance_id) = &member.instance_id
            && self.static_members.get(instance_id) == Some(id)
        {
            self.static_members.remove(instance_id);
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        let error = ResponseError::UnknownMemberId;
        if let Some(token) = member.awaiting_join {
            out.push(Effect::Join(token, JoinAnswer::error(member.id, error)));
        }
        if let Some(token) = member.awaiting_sync {
            out.push(Effect::Sync(token, SyncAnswer::error(error)));
        }
    }

    /// Does what is due at `now`: sessions that ended, ids that nobody used, joins and syncs whose time is up.
    pub(crate) fn tick(&mut self, now: Time, out: &mut Vec<Effect>) {
        if self.suspended {
            return;
        }
        let handed_out = self.pending.len();
        self.pending.retain(|_, until| *until > now);
        if self.pending.len() < handed_out {
            self.complete_join_if_all_joined(now, out);
        }
        let expired: Vec<StrBytes> = self
            .members
            .values()
            .filter(|member| member.expires().is_some_and(|at| at <= now))
            .map(|member| member.id.clone())
            .collect();
        for id in expired {
            // An earlier one's removal may have ended the join, which starts the sessions anew.
            let still = self
                .members
                .get(&id)
                .and_then(|member| member.expires())
                .is_some_and(|at| at <= now);
            if still {
                self.remove_member(now, &id, out);
            }
        }
        match self.phase {
            Phase::Preparing { deadline, initial } if deadline <= now => {
                self.end_of_join(now, initial, out);
            }
            Phase::Completing | Phase::Stable if self.sync_deadline.is_some_and(|at| at <= now) => {
                self.end_of_sync(now, out);
            }
            _ => {}
        }
    }

    fn end_of_join(
        &mut self,
        now: Time,
        initial: Option<std::time::Duration>,
        out: &mut Vec<Effect>,
    ) {
        match initial {
            // Members are still coming: wait on, up to the rebalance timeout.
            Some(remaining) if self.joined_during_delay && !remaining.is_zero() => {
                let delay = self.limits.initial_rebalance_delay.min(remaining);
                self.joined_during_delay = false;
                self.phase = Phase::Preparing {
                    deadline: now.saturating_add(delay),
                    initial: Some(remaining - delay),
                };
            }
            _ => self.complete_join(now, out),
        }
    }

    /// Gives up the members that never asked for their assignment.
    fn end_of_sync(&mut self, now: Time, out: &mut Vec<Effect>) {
        self.sync_deadline = None;
        let missing: Vec<StrBytes> = self
            .members
            .values()
            .filter(|member| member.pending_sync)
            .map(|member| member.id.clone())
            .collect();
        for id in &missing {
            self.take_out(id, out);
        }
        if !missing.is_empty() {
            self.prepare_rebalance(now, out);
        }
    }
}
