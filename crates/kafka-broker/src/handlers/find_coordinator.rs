//! FindCoordinator.

use std::ops::RangeInclusive;

use kafka_wire::ResponseError;
use kafka_wire::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};

use super::{Context, Handle, NoAnswer, text};
use crate::faults::Target;
use crate::nodes::Node;
use crate::shape::{Field, INT8, STRING};

pub(super) const VERSIONS: RangeInclusive<i16> = 0..=3;

const GROUP: i8 = 0;

impl Handle for FindCoordinatorRequest {
    type Response = FindCoordinatorResponse;
    const SHAPE: &'static [Field] = &[STRING, INT8.from(1)];

    fn targets(&self, visit: &mut dyn FnMut(Target<'_>)) {
        visit(Target::group(&self.key));
    }

    fn refuse(&self, error: ResponseError, _version: i16) -> Option<FindCoordinatorResponse> {
        Some(refused(error))
    }

    async fn handle(self, context: &Context) -> Result<FindCoordinatorResponse, NoAnswer> {
        Ok(match find(context, &self) {
            Ok(node) => FindCoordinatorResponse::default()
                .with_error_message(Some(text("NONE")))
                .with_node_id(BrokerId(node.id))
                .with_host(text(node.host.clone()))
                .with_port(i32::from(node.address.port())),
            Err(error) => refused(error),
        })
    }
}

fn find<'a>(
    context: &'a Context,
    request: &FindCoordinatorRequest,
) -> Result<&'a Node, ResponseError> {
    if request.key_type != GROUP {
        // This broker has no transactions, and so no coordinators of them.
        return Err(ResponseError::InvalidRequest);
    }
    if request.key.is_empty() {
        return Err(ResponseError::InvalidGroupId);
    }
    context
        .cluster
        .coordinator_of(&request.key)
        .and_then(|id| context.cluster.nodes.get(id))
        .ok_or(ResponseError::CoordinatorNotAvailable)
}

fn refused(error: ResponseError) -> FindCoordinatorResponse {
    FindCoordinatorResponse::default()
        .with_error_code(error.code())
        .with_error_message(Some(text(error.to_string())))
        .with_node_id(BrokerId(-1))
        .with_port(-1)
}
