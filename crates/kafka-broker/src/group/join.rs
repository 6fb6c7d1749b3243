//! JoinGroup: who may join, under which id, and whether the group has to rebalance for it.

use std::time::Duration;

use bytes::Bytes;
use kafka_wire::{ResponseError, StrBytes};

use super::member::Member;
use super::state::{Group, Phase};
use super::{Effect, JoinAnswer, SyncAnswer, Time, Token, owned};

/// A JoinGroup request.
#[derive(Debug, Clone)]
pub(crate) struct JoinRequest {
    /// Empty at first.
    pub(crate) member_id: StrBytes,
    pub(crate) instance_id: Option<StrBytes>,
    pub(crate) client_id: StrBytes,
    pub(crate) client_host: StrBytes,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) protocol_type: StrBytes,
    pub(crate) protocols: Vec<(StrBytes, Bytes)>,
    /// From v4 on a new member has to come again with the id it is given, so that a join whose answer is lost leaves no
    /// member behind (KIP-394).
    pub(crate) needs_known_id: bool,
    /// From v9 on a static leader may be told to keep the assignment (KIP-814).
    pub(crate) can_skip_assignment: bool,
}

impl Group {
    /// A member joins. `fresh_id` is the id that it gets if it has none. The answer comes as an effect, now or later.
    pub(crate) fn join(
        &mut self,
        now: Time,
        request: JoinRequest,
        fresh_id: StrBytes,
        token: Token,
        out: &mut Vec<Effect>,
    ) {
        let member_id = request.member_id.clone();
        let result = self.check_join(&request).and_then(|()| {
            if request.member_id.is_empty() {
                self.join_unknown(now, request, fresh_id, token, out)
            } else {
                self.join_known(now, request, token, out)
            }
        });
        match result {
            Ok(()) => self.complete_join_if_all_joined(now, out),
            Err(e) => out.push(Effect::Join(token, JoinAnswer::error(member_id, e))),
        }
    }

    fn check_join(&self, request: &JoinRequest) -> Result<(), ResponseError> {
        let limits = &self.limits;
        if request.session_timeout < limits.min_session_timeout
            || request.session_timeout > limits.max_session_timeout
        {
            return Err(ResponseError::InvalidSessionTimeout);
        }
        let known = self.members.contains_key(&request.member_id)
            || self.pending.contains_key(&request.member_id)
            || request
                .instance_id
                .as_ref()
                .is_some_and(|instance_id| self.static_members.contains_key(instance_id));
        if !known && self.members.len() + self.pending.len() >= limits.max_size {
            return Err(ResponseError::GroupMaxSizeReached);
        }
        if request.protocol_type.is_empty() || request.protocols.is_empty() {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        let fits = self.members.is_empty()
            || (self.protocol_type.as_ref() == Some(&request.protocol_type)
                && self
                    .common_protocols()
                    .iter()
                    .any(|common| request.protocols.iter().any(|(name, _)| name == *common)));
        if fits {
            Ok(())
        } else {
            Err(ResponseError::InconsistentGroupProtocol)
        }
    }

    fn join_unknown(
        &mut self,
        now: Time,
        request: JoinRequest,
        fresh_id: StrBytes,
        token: Token,
        out: &mut Vec<Effect>,
    ) -> Result<(), ResponseError> {
        if let Some(instance_id) = &request.instance_id {
            if let Some(current) = self.static_members.get(instance_id).cloned() {
                self.replace_static_member(now, &current, request, fresh_id, token, out);
            } else {
                self.add_member(now, request, fresh_id, token, out);
            }
        } else if request.needs_known_id {
            let until = now.saturating_add(request.session_timeout);
            self.pending.insert(fresh_id.clone(), until);
            let answer = JoinAnswer::error(fresh_id, ResponseError::MemberIdRequired);
            out.push(Effect::Join(token, answer));
        } else {
            self.add_member(now, request, fresh_id, token, out);
        }
        Ok(())
    }

    fn join_known(
        &mut self,
        now: Time,
        request: JoinRequest,
        token: Token,
        out: &mut Vec<Effect>,
    ) -> Result<(), ResponseError> {
        if request.instance_id.is_none() && self.pending.contains_key(&request.member_id) {
            let id = owned(&request.member_id);
            self.add_member(now, request, id, token, out);
            return Ok(());
        }
        self.check_member(&request.member_id, request.instance_id.as_ref())?;
        let leads = self.is_leader(&request.member_id);
        let Some(member) = self.members.get_mut(&request.member_id) else {
            return Err(ResponseError::UnknownMemberId);
        };
        let unchanged = member.protocols == request.protocols;
        let id = member.id.clone();
        let rejoins = match self.phase {
            Phase::Empty | Phase::Dead => return Err(ResponseError::UnknownMemberId),
            Phase::Preparing { .. } => true,
            // The answer of its join was lost, and it asks again.
            Phase::Completing => !unchanged,
            // A leader rejoins to have the assignment made anew; a follower only if it brings something new.
            Phase::Stable => !unchanged || leads,
        };
        if !rejoins {
            member.touch(now);
            out.push(Effect::Join(token, self.join_answer(&id)));
            return Ok(());
        }
        update(member, &request);
        member.touch(now);
        self.await_join(&id, token, out);
        self.prepare_rebalance(now, out);
        Ok(())
    }

    fn add_member(
        &mut self,
        now: Time,
        request: JoinRequest,
        id: StrBytes,
        token: Token,
        out: &mut Vec<Effect>,
    ) {
        if self.generation == 0 && matches!(self.phase, Phase::Preparing { .. }) {
            self.joined_during_delay = true;
        }
        if self.members.is_empty() {
            self.protocol_type = Some(owned(&request.protocol_type));
        }
        let mut member = Member {
            id: id.clone(),
            instance_id: request.instance_id.as_ref().map(owned),
            client_id: owned(&request.client_id),
            client_host: request.client_host.clone(),
            session_timeout: request.session_timeout,
            rebalance_timeout: request.rebalance_timeout,
            protocols: Vec::new(),
            assignment: Bytes::new(),
            awaiting_join: Some(token),
            awaiting_sync: None,
            pending_sync: false,
            is_new: true,
            session_ends: now,
        };
        update(&mut member, &request);
        member.touch(now);
        self.pending.remove(&id);
        if let Some(instance_id) = &member.instance_id {
            self.static_members.insert(instance_id.clone(), id.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        self.members.insert(id, member);
        self.prepare_rebalance(now, out);
    }

    /// A static member comes back under its instance id (KIP-345): it takes the place of the one that was, without a
    /// rebalance if the group is stable and its protocol stays.
    fn replace_static_member(
        &mut self,
        now: Time,
        current: &StrBytes,
        request: JoinRequest,
        id: StrBytes,
        token: Token,
        out: &mut Vec<Effect>,
    ) {
        let Some(mut member) = self.members.remove(current) else {
            return;
        };
        let former_leader = self.leader.clone().unwrap_or_default();
        if self.is_leader(current) {
            self.leader = Some(id.clone());
        }
        fence(&mut member, out);
        member.id = id.clone();
        member.client_id = owned(&request.client_id);
        member.client_host = request.client_host.clone();
        update(&mut member, &request);
        member.touch(now);
        if let Some(instance_id) = &member.instance_id {
            self.static_members.insert(instance_id.clone(), id.clone());
        }
        self.members.insert(id.clone(), member);

        if self.phase != Phase::Stable || self.elected_protocol() != self.protocol {
            self.await_join(&id, token, out);
            // In `Completing` the leader may be assigning to the old id at this moment: its sync has to fail.
            self.prepare_rebalance(now, out);
            return;
        }
        self.store();
        let mut answer = self.join_answer(&id);
        if request.can_skip_assignment {
            answer.skip_assignment = self.is_leader(&id);
        } else {
            // Before v9 it must not take itself for the leader: what it would assign could not be handed out any more.
            answer.leader = former_leader;
            answer.members = Vec::new();
        }
        out.push(Effect::Join(token, answer));
    }
}

fn update(member: &mut Member, request: &JoinRequest) {
    member.session_timeout = request.session_timeout;
    member.rebalance_timeout = request.rebalance_timeout;
    member.protocols = request
        .protocols
        .iter()
        .map(|(name, metadata)| (owned(name), Bytes::copy_from_slice(metadata)))
        .collect();
}

/// Tells the instance that was replaced, if it waits for something.
fn fence(member: &mut Member, out: &mut Vec<Effect>) {
    let error = ResponseError::FencedInstanceId;
    if let Some(token) = member.awaiting_join.take() {
        let answer = JoinAnswer::error(member.id.clone(), error);
        out.push(Effect::Join(token, answer));
    }
    if let Some(token) = member.awaiting_sync.take() {
        out.push(Effect::Sync(token, SyncAnswer::error(error)));
    }
}
