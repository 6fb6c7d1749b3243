//! DescribeGroups.

use std::ops::RangeInclusive;

use kafka_wire::ResponseError;
use kafka_wire::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_wire::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};

use super::{Context, Handle, NoAnswer, text};
use crate::faults::Target;
use crate::group::{GroupView, MemberView, Phase};
use crate::shape::{Field, INT8, STRINGS};

pub(super) const VERSIONS: RangeInclusive<i16> = 0..=5;

impl Handle for DescribeGroupsRequest {
    type Response = DescribeGroupsResponse;
    const SHAPE: &'static [Field] = &[STRINGS, INT8.from(3)];

    fn targets(&self, visit: &mut dyn FnMut(Target<'_>)) {
        for group in &self.groups {
            visit(Target::group(group));
        }
    }

    fn refuse(&self, error: ResponseError, _version: i16) -> Option<DescribeGroupsResponse> {
        let groups = self.groups.iter().map(|group| failed(group, error));
        Some(DescribeGroupsResponse::default().with_groups(groups.collect()))
    }

    async fn handle(self, context: &Context) -> Result<DescribeGroupsResponse, NoAnswer> {
        let groups = self
            .groups
            .iter()
            .map(|group| describe(context, group).unwrap_or_else(|error| failed(group, error)))
            .collect();
        Ok(DescribeGroupsResponse::default().with_groups(groups))
    }
}

fn describe(context: &Context, name: &GroupId) -> Result<DescribedGroup, ResponseError> {
    context.check_coordinator(name)?;
    let described = DescribedGroup::default().with_group_id(name.clone());
    let Some(view) = context.cluster.groups.with(name, |held| held.group.view()) else {
        // Before v6 a group that is not there is a dead one.
        return Ok(described.with_group_state(text(Phase::Dead.name())));
    };
    let GroupView {
        phase,
        protocol_type,
        protocol,
        members,
        ..
    } = view;
    Ok(described
        .with_group_state(text(phase.name()))
        .with_protocol_type(protocol_type)
        .with_protocol_data(protocol)
        .with_members(members.into_iter().map(member).collect()))
}

fn member(view: MemberView) -> DescribedGroupMember {
    DescribedGroupMember::default()
        .with_member_id(view.id)
        .with_group_instance_id(view.instance_id)
        .with_client_id(view.client_id)
        .with_client_host(view.client_host)
        .with_member_metadata(view.metadata)
        .with_member_assignment(view.assignment)
}

fn failed(name: &GroupId, error: ResponseError) -> DescribedGroup {
    DescribedGroup::default()
        .with_error_code(error.code())
        .with_group_id(name.clone())
}
