//! LeaveGroup.

use std::ops::RangeInclusive;

use kafka_wire::ResponseError;
use kafka_wire::messages::leave_group_request::MemberIdentity;
use kafka_wire::messages::leave_group_response::MemberResponse;
use kafka_wire::messages::{LeaveGroupRequest, LeaveGroupResponse};

use super::{Context, Handle, NoAnswer, code};
use crate::faults::Target;
use crate::group::MemberToLeave;
use crate::shape::{Field, STRING, array};

pub(super) const VERSIONS: RangeInclusive<i16> = 0..=5;

/// From here on several members may leave at once (KIP-345).
const FIRST_VERSION_WITH_MEMBERS: i16 = 3;

impl Handle for LeaveGroupRequest {
    type Response = LeaveGroupResponse;
    const SHAPE: &'static [Field] = &[
        STRING,
        STRING.to(2),
        array(&[STRING, STRING, STRING.from(5)]).from(3),
    ];

    fn targets(&self, visit: &mut dyn FnMut(Target<'_>)) {
        visit(Target::group(&self.group_id));
    }

    fn refuse(&self, error: ResponseError, _version: i16) -> Option<LeaveGroupResponse> {
        Some(LeaveGroupResponse::default().with_error_code(error.code()))
    }

    async fn handle(mut self, context: &Context) -> Result<LeaveGroupResponse, NoAnswer> {
        if let Err(error) = context.check_coordinator(&self.group_id) {
            return Ok(LeaveGroupResponse::default().with_error_code(error.code()));
        }
        let single = context.version < FIRST_VERSION_WITH_MEMBERS;
        if single {
            self.members = vec![MemberIdentity::default().with_member_id(self.member_id)];
        }
        let group_id = self.group_id;
        let left: Vec<_> = context
            .cluster
            .groups
            .with(&group_id, |held| {
                let mut leave = |member: &MemberIdentity| {
                    let leaver = MemberToLeave {
                        member_id: member.member_id.clone(),
                        instance_id: member.group_instance_id.clone(),
                    };
                    held.group.leave(held.now, &leaver, &mut held.effects).err()
                };
                self.members.iter().map(&mut leave).collect()
            })
            .unwrap_or_else(|| vec![Some(ResponseError::UnknownMemberId); self.members.len()]);
        if single {
            let error = left.into_iter().flatten().next();
            return Ok(LeaveGroupResponse::default().with_error_code(code(error)));
        }
        let members = self
            .members
            .into_iter()
            .zip(left)
            .map(|(member, error)| {
                MemberResponse::default()
                    .with_member_id(member.member_id)
                    .with_group_instance_id(member.group_instance_id)
                    .with_error_code(code(error))
            })
            .collect();
        Ok(LeaveGroupResponse::default().with_members(members))
    }
}
