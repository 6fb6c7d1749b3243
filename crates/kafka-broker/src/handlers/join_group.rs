//! JoinGroup.

use std::ops::RangeInclusive;
use std::time::Duration;

use kafka_wire::ResponseError;
use kafka_wire::messages::join_group_response::JoinGroupResponseMember;
use kafka_wire::messages::{JoinGroupRequest, JoinGroupResponse};

use super::{Context, Handle, NoAnswer, code, text};
use crate::faults::Target;
use crate::group::{JoinAnswer, JoinRequest};
use crate::shape::{BYTES, Field, INT32, STRING, array};

pub(super) const VERSIONS: RangeInclusive<i16> = 2..=9;

const FIRST_VERSION_WITH_KNOWN_IDS: i16 = 4;
const FIRST_VERSION_WITH_PROTOCOL_TYPE: i16 = 7;
const FIRST_VERSION_WITH_SKIPPED_ASSIGNMENT: i16 = 9;

impl Handle for JoinGroupRequest {
    type Response = JoinGroupResponse;
    const SHAPE: &'static [Field] = &[
        STRING,
        INT32,
        INT32,
        STRING,
        STRING.from(5),
        STRING,
        array(&[STRING, BYTES]),
        STRING.from(8),
    ];

    fn targets(&self, visit: &mut dyn FnMut(Target<'_>)) {
        visit(Target::group(&self.group_id));
    }

    fn refuse(&self, error: ResponseError, version: i16) -> Option<JoinGroupResponse> {
        let answer = JoinAnswer::error(self.member_id.clone(), error);
        Some(respond(answer, version))
    }

    async fn handle(self, context: &Context) -> Result<JoinGroupResponse, NoAnswer> {
        let member_id = self.member_id.clone();
        let answer = match join(context, self).await {
            Ok(answer) => answer,
            Err(error) => JoinAnswer::error(member_id, error),
        };
        Ok(respond(answer, context.version))
    }
}

async fn join(context: &Context, request: JoinGroupRequest) -> Result<JoinAnswer, ResponseError> {
    context.check_coordinator(&request.group_id)?;
    let session_timeout = millis(request.session_timeout_ms);
    let rebalance_timeout = if request.rebalance_timeout_ms < 0 {
        session_timeout
    } else {
        millis(request.rebalance_timeout_ms)
    };
    let group_id = request.group_id;
    let request = JoinRequest {
        needs_known_id: context.version >= FIRST_VERSION_WITH_KNOWN_IDS,
        can_skip_assignment: context.version >= FIRST_VERSION_WITH_SKIPPED_ASSIGNMENT,
        member_id: request.member_id,
        instance_id: request.group_instance_id,
        client_id: context.client_id.clone(),
        client_host: text(format!("/{}", context.peer.ip())),
        session_timeout,
        rebalance_timeout,
        protocol_type: request.protocol_type,
        protocols: request
            .protocols
            .into_iter()
            .map(|protocol| (protocol.name, protocol.metadata))
            .collect(),
    };
    context
        .cluster
        .groups
        .join(&group_id, request)?
        .await
        .map_err(|_| ResponseError::CoordinatorNotAvailable)
}

fn millis(millis: i32) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}

fn respond(answer: JoinAnswer, version: i16) -> JoinGroupResponse {
    let protocol = match answer.protocol {
        // The name could not be null before v7.
        None if version < FIRST_VERSION_WITH_PROTOCOL_TYPE => Some(text("")),
        protocol => protocol,
    };
    let members = answer
        .members
        .into_iter()
        .map(|member| {
            JoinGroupResponseMember::default()
                .with_member_id(member.member_id)
                .with_group_instance_id(member.instance_id)
                .with_metadata(member.metadata)
        })
        .collect();
    JoinGroupResponse::default()
        .with_error_code(code(answer.error))
        .with_generation_id(answer.generation)
        .with_protocol_type(answer.protocol_type)
        .with_protocol_name(protocol)
        .with_leader(answer.leader)
        .with_skip_assignment(answer.skip_assignment)
        .with_member_id(answer.member_id)
        .with_members(members)
}
