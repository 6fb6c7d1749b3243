//! SyncGroup, Heartbeat, and the check of a commit: what members do within a generation.

use bytes::Bytes;
use kafka_wire::{ResponseError, StrBytes};

use super::state::{Group, Phase};
use super::{Effect, SyncAnswer, Time, Token};

/// Who speaks, and of which generation.
#[derive(Debug, Clone)]
pub(crate) struct GenerationOf {
    pub(crate) member_id: StrBytes,
    pub(crate) instance_id: Option<StrBytes>,
    pub(crate) generation: i32,
}

/// A SyncGroup request.
#[derive(Debug, Clone)]
pub(crate) struct SyncRequest {
    pub(crate) from: GenerationOf,
    /// From v5 on (KIP-559).
    pub(crate) protocol_type: Option<StrBytes>,
    /// From v5 on (KIP-559).
    pub(crate) protocol: Option<StrBytes>,
    /// Member id and assignment; only the leader sends them.
    pub(crate) assignments: Vec<(StrBytes, Bytes)>,
}

impl Group {
    fn check_generation(&self, from: &GenerationOf) -> Result<(), ResponseError> {
        if self.is_dead() {
            return Err(ResponseError::CoordinatorNotAvailable);
        }
        self.check_member(&from.member_id, from.instance_id.as_ref())?;
        if from.generation == self.generation {
            Ok(())
        } else {
            Err(ResponseError::IllegalGeneration)
        }
    }

    /// A member asks for its assignment, the leader bringing everybody's. The answer comes as an effect, now or later.
    pub(crate) fn sync(
        &mut self,
        now: Time,
        request: SyncRequest,
        token: Token,
        out: &mut Vec<Effect>,
    ) {
        if let Err(e) = self.check_sync(&request) {
            out.push(Effect::Sync(token, SyncAnswer::error(e)));
            return;
        }
        let id = &request.from.member_id;
        let leads = self.is_leader(id);
        let Some(member) = self.members.get_mut(id) else {
            return;
        };
        member.pending_sync = false;
        member.touch(now);
        if self.phase == Phase::Stable {
            let answer = SyncAnswer {
                error: None,
                protocol_type: self.protocol_type.clone(),
                protocol: self.protocol.clone(),
                assignment: member.assignment.clone(),
            };
            out.push(Effect::Sync(token, answer));
        } else {
            if let Some(given_up) = member.awaiting_sync.replace(token) {
                let answer = SyncAnswer::error(ResponseError::RebalanceInProgress);
                out.push(Effect::Sync(given_up, answer));
            }
            if leads {
                self.assign(now, &request.assignments, out);
            }
        }
        if !self.members.values().any(|member| member.pending_sync) {
            self.sync_deadline = None;
        }
    }

    fn check_sync(&self, request: &SyncRequest) -> Result<(), ResponseError> {
        self.check_generation(&request.from)?;
        let differs = |theirs: &Option<StrBytes>, ours: &Option<StrBytes>| {
            theirs.is_some() && ours.is_some() && theirs != ours
        };
        if differs(&request.protocol_type, &self.protocol_type)
            || differs(&request.protocol, &self.protocol)
        {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        match self.phase {
            Phase::Completing | Phase::Stable => Ok(()),
            Phase::Preparing { .. } => Err(ResponseError::RebalanceInProgress),
            Phase::Empty | Phase::Dead => Err(ResponseError::UnknownMemberId),
        }
    }

    /// The leader's assignment ends the rebalance. Members that it left out get an empty one.
    fn assign(&mut self, now: Time, assignments: &[(StrBytes, Bytes)], out: &mut Vec<Effect>) {
        for member in self.members.values_mut() {
            member.assignment = assignments
                .iter()
                .find(|(id, _)| *id == member.id)
                .map(|(_, assignment)| Bytes::copy_from_slice(assignment))
                .unwrap_or_default();
            if let Some(token) = member.awaiting_sync.take() {
                member.touch(now);
                let answer = SyncAnswer {
                    error: None,
                    protocol_type: self.protocol_type.clone(),
                    protocol: self.protocol.clone(),
                    assignment: member.assignment.clone(),
                };
                out.push(Effect::Sync(token, answer));
            }
        }
        self.phase = Phase::Stable;
        self.store();
    }

    /// A sign of life.
    ///
    /// # Errors
    ///
    /// `REBALANCE_IN_PROGRESS` asks the member to join again; the others say that it is out or of another generation.
    pub(crate) fn heartbeat(
        &mut self,
        now: Time,
        from: &GenerationOf,
    ) -> Result<(), ResponseError> {
        self.check_generation(from)?;
        match self.phase {
            Phase::Empty | Phase::Dead => return Err(ResponseError::UnknownMemberId),
            Phase::Preparing { .. } | Phase::Completing | Phase::Stable => {}
        }
        self.touch(now, &from.member_id);
        if matches!(self.phase, Phase::Preparing { .. }) {
            Err(ResponseError::RebalanceInProgress)
        } else {
            Ok(())
        }
    }

    /// Whether offsets may be committed by `from`. A generation of −1 is a commit from outside of the group, which is
    /// right only while it has no members.
    pub(crate) fn check_commit(
        &mut self,
        now: Time,
        from: &GenerationOf,
    ) -> Result<(), ResponseError> {
        if self.is_dead() {
            return Err(ResponseError::CoordinatorNotAvailable);
        }
        if from.generation < 0 && self.phase == Phase::Empty {
            return Ok(());
        }
        self.check_generation(from)?;
        match self.phase {
            Phase::Stable | Phase::Preparing { .. } => {
                self.touch(now, &from.member_id);
                Ok(())
            }
            // The member learnt of the generation by its join, but owns nothing in it yet.
            Phase::Completing => Err(ResponseError::RebalanceInProgress),
            Phase::Empty | Phase::Dead => Err(ResponseError::UnknownMemberId),
        }
    }

    fn touch(&mut self, now: Time, member_id: &StrBytes) {
        if let Some(member) = self.members.get_mut(member_id) {
            member.touch(now);
        }
    }
}
