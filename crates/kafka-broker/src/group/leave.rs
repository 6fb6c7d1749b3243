//! LeaveGroup.

use kafka_wire::{ResponseError, StrBytes};

use super::state::Group;
use super::{Effect, Time};

/// Who is to leave: a member by its id, or a static one by its instance id with the member id empty (KIP-345).
#[derive(Debug, Clone)]
pub(crate) struct MemberToLeave {
    pub(crate) member_id: StrBytes,
    pub(crate) instance_id: Option<StrBytes>,
}

impl Group {
    /// Takes a member out at its own wish or an administrator's.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_MEMBER_ID`, `FENCED_INSTANCE_ID`.
    pub(crate) fn leave(
        &mut self,
        now: Time,
        leaver: &MemberToLeave,
        out: &mut Vec<Effect>,
    ) -> Result<(), ResponseError> {
        if self.is_dead() {
            return Err(ResponseError::CoordinatorNotAvailable);
        }
        if self.pending.remove(&leaver.member_id).is_some() {
            self.complete_join_if_all_joined(now, out);
            return Ok(());
        }
        let id = match &leaver.instance_id {
            Some(instance_id) if leaver.member_id.is_empty() => self
                .static_members
                .get(instance_id)
                .cloned()
                .ok_or(ResponseError::UnknownMemberId)?,
            instance_id => {
                self.check_member(&leaver.member_id, instance_id.as_ref())?;
                leaver.member_id.clone()
            }
        };
        self.remove_member(now, &id, out);
        Ok(())
    }
}
