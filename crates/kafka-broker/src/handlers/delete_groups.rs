//! DeleteGroups (KIP-229).

use std::ops::RangeInclusive;

use kafka_wire::ResponseError;
use kafka_wire::messages::delete_groups_response::DeletableGroupResult;
use kafka_wire::messages::{DeleteGroupsRequest, DeleteGroupsResponse, GroupId};

use super::{Context, Handle, NoAnswer, code};
use crate::faults::Target;
use crate::group::Phase;
use crate::shape::{Field, STRINGS};

pub(super) const VERSIONS: RangeInclusive<i16> = 0..=2;

impl Handle for DeleteGroupsRequest {
    type Response = DeleteGroupsResponse;
    const SHAPE: &'static [Field] = &[STRINGS];

    fn targets(&self, visit: &mut dyn FnMut(Target<'_>)) {
        for group in &self.groups_names {
            visit(Target::group(group));
        }
    }

    fn refuse(&self, error: ResponseError, _version: i16) -> Option<DeleteGroupsResponse> {
        Some(respond(&self.groups_names, |_| Err(error)))
    }

    async fn handle(self, context: &Context) -> Result<DeleteGroupsResponse, NoAnswer> {
        Ok(respond(&self.groups_names, |name| delete(context, name)))
    }
}

fn delete(context: &Context, name: &str) -> Result<(), ResponseError> {
    context.check_coordinator(name)?;
    context.cluster.groups.delete(name, |group| {
        if group.phase() == Phase::Empty {
            Ok(())
        } else {
            Err(ResponseError::NonEmptyGroup)
        }
    })?;
    tracing::info!(group = name, "deleted a group");
    Ok(())
}

fn respond(
    names: &[GroupId],
    mut result: impl FnMut(&str) -> Result<(), ResponseError>,
) -> DeleteGroupsResponse {
    let results = names
        .iter()
        .map(|name| {
            DeletableGroupResult::default()
                .with_group_id(name.clone())
                .with_error_code(code(result(name).err()))
        })
        .collect();
    DeleteGroupsResponse::default().with_results(results)
}
