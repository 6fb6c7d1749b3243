//! The APIs this project speaks, one line each: request, key, versions, and the first version with tagged fields.
//!
//! The lower ends are what Apache Kafka 2.1 (2018) understands and what Kafka 4 still does (KIP-896); the upper ends stop
//! before topic ids replace topic names (KIP-516) where an API made that move.

use std::io::Cursor;

use bytes::{Buf, Bytes};
use kafka_protocol::messages as m;
use kafka_protocol::protocol::{Decodable, Encodable};
use rskafka::protocol::api_key::ApiKey;
use rskafka::protocol::api_version::{ApiVersion, ApiVersionRange};
use rskafka::protocol::messages::{
    ReadVersionedError, ReadVersionedType, RequestBody, WriteVersionedError, WriteVersionedType,
};
use rskafka::protocol::primitives::Int16;
use rskafka::protocol::traits::{ReadError, WriteError};

use crate::shape::{self, Shaped};
use crate::throttle::Throttled;

/// A request that a [`Connection`](crate::Connection) can carry, and the response that answers it.
pub trait ApiRequest: Encodable + Send + Sync + 'static {
    /// What the broker answers.
    type Response: Decodable + Shaped + Throttled + Send + 'static;
    /// The API key.
    const KEY: i16;
    /// The API's name as Kafka spells it.
    const NAME: &'static str;
    /// The lowest version this project speaks.
    const MIN_VERSION: i16;
    /// The highest version this project speaks.
    const MAX_VERSION: i16;
    /// The first version whose request and response headers carry tagged fields (KIP-482).
    const FIRST_FLEXIBLE_VERSION: i16;

    #[doc(hidden)]
    const MESSENGER_KEY: MessengerKey;
}

/// rskafka's name for an API key; opaque to users of this crate.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct MessengerKey(ApiKey);

/// One row of the table, for listings and tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiRow {
    /// The API key.
    pub key: i16,
    /// The API's name.
    pub name: &'static str,
    /// Lowest version spoken.
    pub min_version: i16,
    /// Highest version spoken.
    pub max_version: i16,
    /// First version with tagged fields in the headers.
    pub first_flexible_version: i16,
}

macro_rules! apis {
    ($($api:ident, $request:ident, $response:ident, $key:literal, $min:literal..=$max:literal, flexible $flexible:literal;)+) => {
        $(impl ApiRequest for m::$request {
            type Response = m::$response;
            const KEY: i16 = $key;
            const NAME: &'static str = stringify!($api);
            const MIN_VERSION: i16 = $min;
            const MAX_VERSION: i16 = $max;
            const FIRST_FLEXIBLE_VERSION: i16 = $flexible;
            const MESSENGER_KEY: MessengerKey = MessengerKey(ApiKey::$api);
        })+

        /// Every API of the table, in the order of their keys.
        pub const TABLE: &[ApiRow] = &[$(ApiRow {
            key: $key,
            name: stringify!($api),
            min_version: $min,
            max_version: $max,
            first_flexible_version: $flexible,
        }),+];

        #[cfg(test)]
        fn generated_facts() -> Vec<(i16, i16, kafka_protocol::protocol::VersionRange, fn(i16) -> i16, fn(i16) -> i16)> {
            use kafka_protocol::protocol::{HeaderVersion, Message};
            vec![$((
                $key,
                m::ApiKey::$api as i16,
                <m::$request as Message>::VERSIONS,
                <m::$request as HeaderVersion>::header_version as fn(i16) -> i16,
                <m::$response as HeaderVersion>::header_version as fn(i16) -> i16,
            )),+]
        }
    };
}

apis! {
    Produce,                 ProduceRequest,                 ProduceResponse,                 0,  3..=12, flexible 9;
    Fetch,                   FetchRequest,                   FetchResponse,                   1,  4..=12, flexible 12;
    ListOffsets,             ListOffsetsRequest,             ListOffsetsResponse,             2,  1..=7,  flexible 6;
    Metadata,                MetadataRequest,                MetadataResponse,                3,  4..=12, flexible 9;
    OffsetCommit,            OffsetCommitRequest,            OffsetCommitResponse,            8,  2..=9,  flexible 8;
    OffsetFetch,             OffsetFetchRequest,             OffsetFetchResponse,             9,  1..=7,  flexible 6;
    FindCoordinator,         FindCoordinatorRequest,         FindCoordinatorResponse,         10, 0..=3,  flexible 3;
    JoinGroup,               JoinGroupRequest,               JoinGroupResponse,               11, 2..=9,  flexible 6;
    Heartbeat,               HeartbeatRequest,               HeartbeatResponse,               12, 0..=4,  flexible 4;
    LeaveGroup,              LeaveGroupRequest,              LeaveGroupResponse,              13, 0..=5,  flexible 4;
    SyncGroup,               SyncGroupRequest,               SyncGroupResponse,               14, 0..=5,  flexible 4;
    DescribeGroups,          DescribeGroupsRequest,          DescribeGroupsResponse,          15, 0..=5,  flexible 5;
    ListGroups,              ListGroupsRequest,              ListGroupsResponse,              16, 0..=4,  flexible 3;
    SaslHandshake,           SaslHandshakeRequest,           SaslHandshakeResponse,          17, 1..=1,  flexible 2;
    CreateTopics,            CreateTopicsRequest,            CreateTopicsResponse,            19, 2..=7,  flexible 5;
    DeleteTopics,            DeleteTopicsRequest,            DeleteTopicsResponse,            20, 1..=5,  flexible 4;
    DeleteRecords,           DeleteRecordsRequest,           DeleteRecordsResponse,           21, 0..=2,  flexible 2;
    InitProducerId,          InitProducerIdRequest,          InitProducerIdResponse,          22, 0..=4,  flexible 2;
    OffsetForLeaderEpoch,    OffsetForLeaderEpochRequest,    OffsetForLeaderEpochResponse,    23, 2..=4,  flexible 4;
    DescribeConfigs,         DescribeConfigsRequest,         DescribeConfigsResponse,         32, 1..=4,  flexible 4;
    SaslAuthenticate,        SaslAuthenticateRequest,        SaslAuthenticateResponse,       36, 0..=2,  flexible 2;
    CreatePartitions,        CreatePartitionsRequest,        CreatePartitionsResponse,        37, 0..=3,  flexible 2;
    DeleteGroups,            DeleteGroupsRequest,            DeleteGroupsResponse,            42, 0..=2,  flexible 2;
    IncrementalAlterConfigs, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, 44, 0..=1,  flexible 1;
    OffsetDelete,            OffsetDeleteRequest,            OffsetDeleteResponse,            47, 0..=0,  flexible 1;
    DescribeCluster,         DescribeClusterRequest,         DescribeClusterResponse,         60, 0..=1,  flexible 0;
}

/// Carries a kafka-protocol request through rskafka's Messenger.
pub(crate) struct Carried<R>(pub(crate) R);

/// Carries the response back.
pub(crate) struct CarriedResponse<R: ApiRequest>(pub(crate) R::Response);

const fn version(v: i16) -> ApiVersion {
    ApiVersion(Int16(v))
}

impl<R: ApiRequest> RequestBody for Carried<R> {
    type ResponseBody = CarriedResponse<R>;
    const API_KEY: ApiKey = R::MESSENGER_KEY.0;
    const API_VERSION_RANGE: ApiVersionRange =
        ApiVersionRange::new(version(R::MIN_VERSION), version(R::MAX_VERSION));
    const FIRST_TAGGED_FIELD_IN_REQUEST_VERSION: ApiVersion = version(R::FIRST_FLEXIBLE_VERSION);
}

impl<R: ApiRequest> WriteVersionedType<Vec<u8>> for Carried<R> {
    fn write_versioned(
        &self,
        writer: &mut Vec<u8>,
        version: ApiVersion,
    ) -> Result<(), WriteVersionedError> {
        let malformed = |e: Box<dyn std::error::Error + Send + Sync>| {
            WriteVersionedError::WriteError(WriteError::Malformed(e))
        };
        // A produce request is megabytes of records: one allocation of the right size instead of a doubling vector.
        let size = self
            .0
            .compute_size(version.0.0)
            .map_err(|e| malformed(e.into()))?;
        writer.reserve_exact(size);
        self.0
            .encode(writer, version.0.0)
            .map_err(|e| malformed(e.into()))
    }
}

impl<R: ApiRequest> ReadVersionedType<Cursor<Vec<u8>>> for CarriedResponse<R> {
    fn read_versioned(
        reader: &mut Cursor<Vec<u8>>,
        version: ApiVersion,
    ) -> Result<Self, ReadVersionedError> {
        let malformed = |e: Box<dyn std::error::Error + Send + Sync>| {
            ReadVersionedError::ReadError(ReadError::Malformed(e))
        };
        // The buffer is taken out of the reader, so that fetched records are slices of it and are never copied. What is
        // left behind is an empty reader at position 0, which passes the Messenger's check that all was consumed; the
        // same check is made here instead.
        let position = usize::try_from(reader.position()).unwrap_or(usize::MAX);
        let mut buffer = Bytes::from(std::mem::take(reader.get_mut()));
        reader.set_position(0);
        if position > buffer.len() {
            return Err(malformed("response ends inside its header".into()));
        }
        buffer.advance(position);
        let flexible = version.0.0 >= R::FIRST_FLEXIBLE_VERSION;
        shape::check(R::Response::SHAPE, version.0.0, flexible, &buffer)
            .map_err(|reason| malformed(reason.into()))?;
        let response =
            R::Response::decode(&mut buffer, version.0.0).map_err(|e| malformed(e.into()))?;
        if buffer.has_remaining() {
            return Err(malformed(
                format!("{} bytes left after the response", buffer.remaining()).into(),
            ));
        }
        Ok(Self(response))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_agrees_with_the_generated_messages() {
        for (row, (key, generated_key, versions, request_header, response_header)) in
            TABLE.iter().zip(generated_facts())
        {
            assert_eq!(
                (row.key, row.key),
                (key, generated_key),
                "key of {}",
                row.name
            );
            assert!(
                versions.min <= row.min_version && row.max_version <= versions.max,
                "{} speaks {}..={} but the messages know {versions}",
                row.name,
                row.min_version,
                row.max_version
            );
            for v in row.min_version..=row.max_version {
                let flexible = v >= row.first_flexible_version;
                assert_eq!(
                    request_header(v),
                    if flexible { 2 } else { 1 },
                    "request header of {} v{v}",
                    row.name
                );
                assert_eq!(
                    response_header(v),
                    i16::from(flexible),
                    "response header of {} v{v}",
                    row.name
                );
            }
        }
    }

    #[test]
    fn a_response_that_claims_two_billion_elements_is_refused_before_room_is_made() {
        // Metadata v4 and v12: the throttle time, then the number of brokers. Room for so many would be 200 GB.
        for (v, claim) in [
            (4, &[0x7f, 0xff, 0xff, 0xff][..]),
            (12, &[0xff, 0xff, 0xff, 0xff, 0x07]),
        ] {
            let mut reader = Cursor::new([&[0; 4], claim, &[0; 16]].concat());
            let read =
                CarriedResponse::<m::MetadataRequest>::read_versioned(&mut reader, version(v));
            let reason = read.err().map(|e| e.to_string()).unwrap_or_default();
            assert!(reason.contains("longer than the message"), "{reason}");
        }
    }

    #[test]
    fn the_table_is_sorted_by_key_without_repeats() {
        assert!(TABLE.windows(2).all(|pair| pair[0].key < pair[1].key));
    }
}
