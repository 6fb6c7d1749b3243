//! Joining a group: what the member offers, and the generation that it is taken into.

use std::sync::Arc;

use kafka_wire::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_wire::messages::join_group_response::JoinGroupResponseMember;
use kafka_wire::messages::{JoinGroupRequest, JoinGroupResponse};
use kafka_wire::{ResponseError, StrBytes};
use tokio::time::Instant;

use super::{Answer, Context, METADATA_WAIT, Me, PROTOCOL_TYPE, Terms, millis, string};
use crate::error::ClientError;
use crate::group::assignor::{Assignor, Member};
use crate::group::coordinator::Lane;
use crate::group::membership::{Input, Joined};
use crate::group::{protocol, subscription};

pub(in crate::group) async fn join(context: Arc<Context>, me: Me) -> Answer {
    let topics = subscribe(&context).await;
    let request = match join_request(&context, &me, &topics) {
        Ok(request) => request,
        Err(error) => {
            tracing::error!(group = %context.config.group_id, %error, "cannot join");
            return refuse_join(ResponseError::InvalidRequest, "");
        }
    };
    let deadline = context.rebalance_deadline();
    let answer = context
        .coordinator
        .request(Lane::Join, request, deadline)
        .await;
    let response = match answer {
        Ok(response) => response,
        Err(error) => {
            context.failed("joining", &error);
            return match error {
                ClientError::Broker { code, .. } => refuse_join(code, ""),
                error if !error.is_retriable() => {
                    let code = match error.is_authentication() {
                        true => ResponseError::SaslAuthenticationFailed,
                        false => ResponseError::UnsupportedVersion,
                    };
                    *context.cause.lock() = Some(error);
                    refuse_join(code, "")
                }
                _ => Input::Unanswered.into(),
            };
        }
    };
    if let Some(code) = ResponseError::try_from_code(response.error_code) {
        context.coordinator.heed(code);
        if code != ResponseError::MemberIdRequired {
            tracing::info!(group = %context.config.group_id, %code, "the join was refused");
        }
        return refuse_join(code, &response.member_id);
    }
    Answer {
        subscribed: Some(topics),
        ..joined(&context, response)
    }
}

/// What to subscribe to now. Topics of a pattern are looked for, if none is known.
async fn subscribe(context: &Context) -> Vec<Arc<str>> {
    let topics = subscription::topics(&context.config, &context.cluster.metadata());
    if !topics.is_empty() {
        return topics;
    }
    let deadline = Instant::now() + METADATA_WAIT;
    match context.cluster.refresh(deadline).await {
        Ok(metadata) => subscription::topics(&context.config, &metadata),
        Err(error) => {
            context.failed("looking for topics", &error);
            topics
        }
    }
}

fn refuse_join(code: ResponseError, member_id: &str) -> Answer {
    let member_id = Arc::from(member_id);
    Input::JoinRefused { code, member_id }.into()
}

fn join_request(
    context: &Context,
    me: &Me,
    topics: &[Arc<str>],
) -> Result<JoinGroupRequest, protocol::ProtocolError> {
    let config = &context.config;
    let mut protocols = Vec::new();
    for assignor in &config.assignors {
        let rack = config.consumer.client_rack.as_deref();
        let metadata = protocol::encode_subscription(*assignor, topics, &me.past, rack)?;
        protocols.push(
            JoinGroupRequestProtocol::default()
                .with_name(StrBytes::from_static_str(assignor.name()))
                .with_metadata(metadata),
        );
    }
    Ok(JoinGroupRequest::default()
        .with_group_id(context.group_id())
        .with_session_timeout_ms(millis(config.session_timeout))
        .with_rebalance_timeout_ms(millis(config.rebalance_timeout))
        .with_member_id(string(&me.member_id))
        .with_group_instance_id(context.instance_id())
        .with_protocol_type(StrBytes::from_static_str(PROTOCOL_TYPE))
        .with_protocols(protocols))
}

fn joined(context: &Context, response: JoinGroupResponse) -> Answer {
    let assignor = response
        .protocol_name
        .as_deref()
        .and_then(Assignor::by_name);
    let Some(assignor) = assignor else {
        tracing::error!(group = %context.config.group_id, protocol = ?response.protocol_name, "the group uses an assignor that is not known");
        return refuse_join(ResponseError::InconsistentGroupProtocol, "");
    };
    let leads = response.leader == response.member_id;
    let skip_assignment = response.skip_assignment;
    let lead = leads.then(|| {
        response
            .members
            .into_iter()
            .filter_map(|m| member(context, assignor, m))
            .collect()
    });
    Answer {
        input: Input::Joined(Joined {
            generation: response.generation_id,
            member_id: Arc::from(response.member_id.as_str()),
            lead,
        }),
        shared_out: None,
        subscribed: None,
        terms: Some(Terms {
            assignor,
            skip_assignment,
        }),
    }
}

/// A member whose subscription cannot be read gets nothing; the others are not to suffer for it.
fn member(
    context: &Context,
    assignor: Assignor,
    member: JoinGroupResponseMember,
) -> Option<Member> {
    let id = Arc::from(member.member_id.as_str());
    let instance = member.group_instance_id.map(|i| Arc::from(i.as_str()));
    protocol::decode_member(assignor, id, instance, member.metadata)
        .inspect_err(|error| tracing::warn!(group = %context.config.group_id, member = %member.member_id, %error, "a member's subscription cannot be read"))
        .ok()
}
