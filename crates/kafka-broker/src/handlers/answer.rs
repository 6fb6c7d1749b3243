//! From the bytes of a request to those of its answer, the same for every API: decode, faults, handler, encode.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_wire::messages::ApiKey;
use kafka_wire::{Encodable, HeaderVersion};

use super::{Context, Handle, NoAnswer, Throttled};
use crate::faults::{Plan, Request};
use crate::shape;

/// What becomes of a connection after a request.
#[derive(Debug)]
pub(crate) enum Reply {
    /// The answer, length and header included.
    Answer(BytesMut),
    /// Nothing is to be sent.
    Nothing,
    /// The connection stays open, and nothing is answered on it any more.
    Silence,
    /// The connection is to be closed.
    Close(String),
}

/// Serves one request whose header was read.
pub(crate) async fn serve<R: Handle>(context: &mut Context, body: Bytes) -> Reply {
    let request = match decode::<R>(body, context.version) {
        Ok(request) => request,
        Err(reason) => return Reply::Close(format!("malformed request: {reason}")),
    };
    let plan = plan_for(context, &request);
    if plan.drop_before {
        return Reply::Close("a fault drops it before the request".to_owned());
    }
    if plan.never_answer {
        return Reply::Silence;
    }
    pause(plan.delay).await;
    let refusal = plan
        .errors
        .first()
        .and_then(|injected| request.refuse(injected.error, context.version));
    let throttle = plan.throttle_ms();
    let (drop_after, lose_answer, delay_answer) =
        (plan.drop_after, plan.lose_answer, plan.delay_answer);
    let answer = match refusal {
        Some(refusal) => Ok(refusal),
        None => {
            context.injected = plan.errors;
            request.handle(context).await
        }
    };
    pause(delay_answer).await;
    match answer {
        _ if drop_after => Reply::Close("a fault drops it after the request".to_owned()),
        _ if lose_answer => Reply::Silence,
        Err(NoAnswer::NotWanted) => Reply::Nothing,
        Err(NoAnswer::Close(reason)) => Reply::Close(reason.to_owned()),
        Ok(mut response) => {
            if let Some(time) = throttle {
                response.set_throttle_time_ms(time);
            }
            encode(context, &response)
        }
    }
}

fn plan_for<R: Handle>(context: &Context, request: &R) -> Plan {
    let plan = context.cluster.faults.plan(&Request {
        key: context.api as i16,
        node: context.node,
        client_id: &context.client_id,
        targets: &|visit| request.targets(visit),
    });
    // Clients learn by ApiVersions how to speak at all: an error in it would not be the one that was asked for.
    if context.api == ApiKey::ApiVersions {
        return Plan {
            errors: Vec::new(),
            ..plan
        };
    }
    plan
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

fn decode<R: Handle>(mut body: Bytes, version: i16) -> Result<R, String> {
    // Tagged fields came with compact lengths, in the same version as the second request header (KIP-482).
    let flexible = R::header_version(version) >= 2;
    shape::check(R::SHAPE, version, flexible, &body).map_err(str::to_owned)?;
    let request = R::decode(&mut body, version).map_err(|e| e.to_string())?;
    if body.has_remaining() {
        return Err(format!("{} bytes are left after it", body.remaining()));
    }
    Ok(request)
}

/// Length, header and body in one buffer, so that one write sends them.
fn encode<R: Encodable + HeaderVersion>(context: &Context, response: &R) -> Reply {
    match try_encode(context.correlation_id, context.version, response) {
        Ok(frame) => Reply::Answer(frame),
        Err(reason) => Reply::Close(format!("the answer cannot be encoded: {reason}")),
    }
}

pub(super) fn try_encode<R: Encodable + HeaderVersion>(
    correlation_id: i32,
    version: i16,
    response: &R,
) -> Result<BytesMut, String> {
    let flexible = R::header_version(version) >= 1;
    let size = response.compute_size(version).map_err(|e| e.to_string())?;
    let length = size + 4 + usize::from(flexible);
    let mut frame = BytesMut::with_capacity(4 + length);
    frame.put_i32(i32::try_from(length).map_err(|e| e.to_string())?);
    frame.put_i32(correlation_id);
    if flexible {
        frame.put_u8(0); // no tagged fields
    }
    response
        .encode(&mut frame, version)
        .map_err(|e| e.to_string())?;
    Ok(frame)
}
