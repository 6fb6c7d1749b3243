//! The APIs: one file each, and the table of them all.

mod answer;
mod api_versions;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod fetch;
mod find_coordinator;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_groups;
mod list_offsets;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod sync_group;

use std::future::Future;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use kafka_wire::messages::{self as m, ApiKey};
use kafka_wire::{Decodable, Encodable, HeaderVersion, ResponseError, StrBytes};

pub(crate) use answer::{Reply, serve};
pub(crate) use api_versions::unsupported as unsupported_api_versions;

use crate::cluster::Cluster;
use crate::faults::{Injected, Target};
use crate::shape;

/// The APIs of this broker: key, versions, handler.
pub(crate) const APIS: &[Api] = &[
    api::<m::ProduceRequest>(ApiKey::Produce, produce::VERSIONS),
    api::<m::FetchRequest>(ApiKey::Fetch, fetch::VERSIONS).waiting(),
    api::<m::ListOffsetsRequest>(ApiKey::ListOffsets, list_offsets::VERSIONS),
    api::<m::MetadataRequest>(ApiKey::Metadata, metadata::VERSIONS),
    api::<m::OffsetCommitRequest>(ApiKey::OffsetCommit, offset_commit::VERSIONS),
    api::<m::OffsetFetchRequest>(ApiKey::OffsetFetch, offset_fetch::VERSIONS),
    api::<m::FindCoordinatorRequest>(ApiKey::FindCoordinator, find_coordinator::VERSIONS),
    api::<m::JoinGroupRequest>(ApiKey::JoinGroup, join_group::VERSIONS).waiting(),
    api::<m::HeartbeatRequest>(ApiKey::Heartbeat, heartbeat::VERSIONS),
    api::<m::LeaveGroupRequest>(ApiKey::LeaveGroup, leave_group::VERSIONS),
    api::<m::SyncGroupRequest>(ApiKey::SyncGroup, sync_group::VERSIONS).waiting(),
    api::<m::DescribeGroupsRequest>(ApiKey::DescribeGroups, describe_groups::VERSIONS),
    api::<m::ListGroupsRequest>(ApiKey::ListGroups, list_groups::VERSIONS),
    api::<m::ApiVersionsRequest>(ApiKey::ApiVersions, api_versions::VERSIONS),
    api::<m::CreateTopicsRequest>(ApiKey::CreateTopics, create_topics::VERSIONS),
    api::<m::DeleteTopicsRequest>(ApiKey::DeleteTopics, delete_topics::VERSIONS),
    api::<m::DeleteRecordsRequest>(ApiKey::DeleteRecords, delete_records::VERSIONS),
    api::<m::InitProducerIdRequest>(ApiKey::InitProducerId, init_producer_id::VERSIONS),
    api::<m::OffsetForLeaderEpochRequest>(
        ApiKey::OffsetForLeaderEpoch,
        offset_for_leader_epoch::VERSIONS,
    ),
    api::<m::DescribeConfigsRequest>(ApiKey::DescribeConfigs, describe_configs::VERSIONS),
    api::<m::CreatePartitionsRequest>(ApiKey::CreatePartitions, create_partitions::VERSIONS),
    api::<m::DeleteGroupsRequest>(ApiKey::DeleteGroups, delete_groups::VERSIONS),
    api::<m::IncrementalAlterConfigsRequest>(
        ApiKey::IncrementalAlterConfigs,
        incremental_alter_configs::VERSIONS,
    ),
    api::<m::OffsetDeleteRequest>(ApiKey::OffsetDelete, offset_delete::VERSIONS),
    api::<m::DescribeClusterRequest>(ApiKey::DescribeCluster, describe_cluster::VERSIONS),
];

/// A row of the table.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) key: i16,
    pub(crate) name: ApiKey,
    pub(crate) versions: RangeInclusive<i16>,
    /// The version of the request's header, at a version of the API.
    pub(crate) header_version: fn(i16) -> i16,
    /// Its requests may wait for something that others do: they end with their connection.
    pub(crate) waits: bool,
    pub(crate) serve: Serve,
}

type Serve = for<'a> fn(&'a mut Context, Bytes) -> Pin<Box<dyn Future<Output = Reply> + Send + 'a>>;

const fn api<R: Handle>(name: ApiKey, versions: RangeInclusive<i16>) -> Api {
    Api {
        key: name as i16,
        name,
        versions,
        header_version: R::header_version,
        waits: false,
        serve: |context, body| Box::pin(serve::<R>(context, body)),
    }
}

impl Api {
    const fn waiting(mut self) -> Self {
        self.waits = true;
        self
    }

    pub(crate) fn of(key: i16) -> Option<&'static Self> {
        APIS.iter().find(|api| api.key == key)
    }
}

/// What a handler knows beside the request itself.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) cluster: Arc<Cluster>,
    /// The node that was asked.
    pub(crate) node: i32,
    pub(crate) peer: SocketAddr,
    pub(crate) api: ApiKey,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    pub(crate) client_id: StrBytes,
    pub(crate) injected: Vec<Injected>,
}

impl Context {
    /// The error that a fault wants to be answered for this partition. A partition of `None` asks for the whole topic.
    pub(crate) fn injected_error(
        &self,
        topic: &str,
        partition: Option<i32>,
    ) -> Result<(), ResponseError> {
        match self
            .injected
            .iter()
            .find(|error| error.is_for(topic, partition))
        {
            Some(injected) => Err(injected.error),
            None => Ok(()),
        }
    }

    /// Checks that this node coordinates the group, and that the group has a name.
    pub(crate) fn check_coordinator(&self, group: &str) -> Result<(), ResponseError> {
        if group.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        match self.cluster.coordinator_of(group) {
            Some(node) if node == self.node => Ok(()),
            Some(_) => Err(ResponseError::NotCoordinator),
            None => Err(ResponseError::CoordinatorNotAvailable),
        }
    }
}

/// Why a request gets no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// A produce that wants none (acks = 0).
    NotWanted,
    /// The connection is to be closed.
    Close(&'static str),
}

/// What each API's file implements for its request.
pub(crate) trait Handle: Decodable + HeaderVersion + Send + Sync + 'static {
    type Response: Encodable + HeaderVersion + Throttled + Send;

    /// What the request's fields are, for the check before it is decoded.
    const SHAPE: &'static [shape::Field];

    /// Visits what the request names, for the faults.
    fn targets(&self, _visit: &mut dyn FnMut(Target<'_>)) {}

    /// The answer that refuses the request as a whole. `None` for an API that looks at [`Context::injected_error`] for each
    /// of its partitions.
    fn refuse(&self, error: ResponseError, version: i16) -> Option<Self::Response>;

    /// Carries the request out.
    fn handle(
        self,
        context: &Context,
    ) -> impl Future<Output = Result<Self::Response, NoAnswer>> + Send;
}

/// A response that can say that the client is throttled (KIP-219).
pub(crate) trait Throttled {
    fn set_throttle_time_ms(&mut self, time: i32);
}

macro_rules! throttled {
    ($($response:ident)+) => {
        $(impl Throttled for m::$response {
            fn set_throttle_time_ms(&mut self, time: i32) {
                self.throttle_time_ms = time;
            }
        })+
    };
}

throttled! {
    ProduceResponse FetchResponse ListOffsetsResponse MetadataResponse OffsetCommitResponse OffsetFetchResponse
    FindCoordinatorResponse JoinGroupResponse HeartbeatResponse LeaveGroupResponse SyncGroupResponse
    DescribeGroupsResponse ListGroupsResponse ApiVersionsResponse CreateTopicsResponse DeleteTopicsResponse
    DeleteRecordsResponse InitProducerIdResponse OffsetForLeaderEpochResponse DescribeConfigsResponse
    CreatePartitionsResponse DeleteGroupsResponse IncrementalAlterConfigsResponse OffsetDeleteResponse
    DescribeClusterResponse
}

/// The code of an error, or 0.
pub(crate) fn code(error: Option<ResponseError>) -> i16 {
    error.map_or(0, |e| e.code())
}

/// A string for a response.
pub(crate) fn text(string: impl Into<String>) -> StrBytes {
    StrBytes::from_string(string.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_that_of_the_wire_crate_and_api_versions() {
        let mut ours: Vec<_> = APIS
            .iter()
            .filter(|api| api.name != ApiKey::ApiVersions)
            .map(|api| (api.key, *api.versions.start(), *api.versions.end()))
            .collect();
        ours.sort_unstable();
        // This broker takes everybody as they are.
        let sasl = [ApiKey::SaslHandshake, ApiKey::SaslAuthenticate].map(|key| key as i16);
        let theirs: Vec<_> = kafka_wire::api::TABLE
            .iter()
            .filter(|row| !sasl.contains(&row.key))
            .map(|row| (row.key, row.min_version, row.max_version))
            .collect();
        assert_eq!(ours, theirs);
    }
}
