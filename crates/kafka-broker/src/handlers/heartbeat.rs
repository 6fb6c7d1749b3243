//! Heartbeat.

use std::ops::RangeInclusive;

use kafka_wire::ResponseError;
use kafka_wire::messages::{HeartbeatRequest, HeartbeatResponse};

use super::{Context, Handle, NoAnswer, code};
use crate::faults::Target;
use crate::group::GenerationOf;
use crate::shape::{Field, INT32, STRING};

pub(super) const VERSIONS: RangeInclusive<i16> = 0..=4;

impl Handle for HeartbeatRequest {
    type Response = HeartbeatResponse;
    const SHAPE: &'static [Field] = &[STRING, INT32, STRING, STRING.from(3)];

    fn targets(&self, visit: &mut dyn FnMut(Target<'_>)) {
        visit(Target::group(&self.group_id));
    }

    fn refuse(&self, error: ResponseError, _version: i16) -> Option<HeartbeatResponse> {
        Some(HeartbeatResponse::default().with_error_code(error.code()))
    }

    async fn handle(self, context: &Context) -> Result<HeartbeatResponse, NoAnswer> {
        let error = beat(context, self).err();
        Ok(HeartbeatResponse::default().with_error_code(code(error)))
    }
}

fn beat(context: &Context, request: HeartbeatRequest) -> Result<(), ResponseError> {
    context.check_coordinator(&request.group_id)?;
    let from = GenerationOf {
        member_id: request.member_id,
        instance_id: request.group_instance_id,
        generation: request.generation_id,
    };
    context
        .cluster
        .groups
        .with(&request.group_id, |held| {
            held.group.heartbeat(held.now, &from)
        })
        .unwrap_or(Err(ResponseError::UnknownMemberId))
}
