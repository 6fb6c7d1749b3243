//! ListGroups: the groups that this node coordinates.

use std::ops::RangeInclusive;

use kafka_wire::ResponseError;
use kafka_wire::messages::list_groups_response::ListedGroup;
use kafka_wire::messages::{GroupId, ListGroupsRequest, ListGroupsResponse};

use super::{Context, Handle, NoAnswer, text};
use crate::shape::{Field, STRINGS};

pub(super) const VERSIONS: RangeInclusive<i16> = 0..=4;

impl Handle for ListGroupsRequest {
    type Response = ListGroupsResponse;
    const SHAPE: &'static [Field] = &[STRINGS.from(4)];

    fn refuse(&self, error: ResponseError, _version: i16) -> Option<ListGroupsResponse> {
        Some(ListGroupsResponse::default().with_error_code(error.code()))
    }

    async fn handle(self, context: &Context) -> Result<ListGroupsResponse, NoAnswer> {
        let cluster = &context.cluster;
        let wanted = |state: &str| {
            self.states_filter.is_empty()
                || self
                    .states_filter
                    .iter()
                    .any(|filter| filter.eq_ignore_ascii_case(state))
        };
        let groups = cluster
            .groups
            .names()
            .into_iter()
            .filter(|name| cluster.coordinator_of(name) == Some(context.node))
            .filter_map(|name| {
                let view = cluster.groups.with(&name, |held| held.group.view())?;
                let state = view.phase.name();
                wanted(state).then(|| {
                    ListedGroup::default()
                        .with_group_id(GroupId(text(name)))
                        .with_protocol_type(view.protocol_type)
                        .with_group_state(text(state))
                })
            })
            .collect();
        Ok(ListGroupsResponse::default().with_groups(groups))
    }
}
