//! SyncGroup.

use std::ops::RangeInclusive;

use kafka_wire::ResponseError;
use kafka_wire::messages::{SyncGroupRequest, SyncGroupResponse};

use super::{Context, Handle, NoAnswer, code};
use crate::faults::Target;
use crate::group::{GenerationOf, SyncAnswer, SyncRequest};
use crate::shape::{BYTES, Field, INT32, STRING, array};

pub(super) const VERSIONS: RangeInclusive<i16> = 0..=5;

const FIRST_VERSION_WITH_PROTOCOL: i16 = 5;

impl Handle for SyncGroupRequest {
    type Response = SyncGroupResponse;
    const SHAPE: &'static [Field] = &[
        STRING,
        INT32,
        STRING,
        STRING.from(3),
        STRING.from(5),
        STRING.from(5),
        array(&[STRING, BYTES]),
    ];

    fn targets(&self, visit: &mut dyn FnMut(Target<'_>)) {
        visit(Target::group(&self.group_id));
    }

    fn refuse(&self, error: ResponseError, _version: i16) -> Option<SyncGroupResponse> {
        Some(respond(SyncAnswer::error(error)))
    }

    async fn handle(self, context: &Context) -> Result<SyncGroupResponse, NoAnswer> {
        let answer = sync(context, self).await;
        Ok(respond(answer.unwrap_or_else(SyncAnswer::error)))
    }
}

async fn sync(context: &Context, request: SyncGroupRequest) -> Result<SyncAnswer, ResponseError> {
    context.check_coordinator(&request.group_id)?;
    let has_protocol = request.protocol_type.is_some() && request.protocol_name.is_some();
    if context.version >= FIRST_VERSION_WITH_PROTOCOL && !has_protocol {
        return Err(ResponseError::InconsistentGroupProtocol);
    }
    let group_id = request.group_id;
    let request = SyncRequest {
        from: GenerationOf {
            member_id: request.member_id,
            instance_id: request.group_instance_id,
            generation: request.generation_id,
        },
        protocol_type: request.protocol_type,
        protocol: request.protocol_name,
        assignments: request
            .assignments
            .into_iter()
            .map(|assignment| (assignment.member_id, assignment.assignment))
            .collect(),
    };
    context
        .cluster
        .groups
        .sync(&group_id, request)
        .ok_or(ResponseError::UnknownMemberId)?
        .await
        .map_err(|_| ResponseError::CoordinatorNotAvailable)
}

fn respond(answer: SyncAnswer) -> SyncGroupResponse {
    SyncGroupResponse::default()
        .with_error_code(code(answer.error))
        .with_protocol_type(answer.protocol_type)
        .with_protocol_name(answer.protocol)
        .with_assignment(answer.assignment)
}
