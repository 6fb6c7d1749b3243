//! The shapes of the responses in the table of APIs, as the generated decoders read them. A test holds the two together.

use kafka_protocol::messages as m;

use super::{
    BYTES, Field, INT8, INT16, INT32, INT32S, INT64, STRING, STRINGS, Shaped, UUID, array,
    structure,
};

macro_rules! shapes {
    ($($response:ident: $shape:tt;)+) => {
        $(impl Shaped for m::$response {
            const SHAPE: &'static [Field] = &$shape;
        })+
    };
}

shapes! {
    ProduceResponse: [array(&[STRING, array(&[INT32, INT16, INT64, INT64, INT64.from(5), array(&[INT32, STRING]).from(8), STRING.from(8), structure(&[INT32, INT32]).tagged(0).from(10)])]), INT32, array(&[INT32, STRING, INT32, STRING]).tagged(0).from(10)];
    FetchResponse: [INT32, INT16.from(7), INT32.from(7), array(&[STRING, array(&[INT32, INT16, INT64, INT64, INT64.from(5), structure(&[INT32, INT64]).tagged(0), structure(&[INT32, INT32]).tagged(1), structure(&[INT64, INT32]).tagged(2), array(&[INT64, INT64]), INT32.from(11), BYTES])])];
    ListOffsetsResponse: [INT32.from(2), array(&[STRING, array(&[INT32, INT16, INT64, INT64, INT32.from(4)])])];
    MetadataResponse: [INT32, array(&[INT32, STRING, INT32, STRING]), STRING, INT32, array(&[INT16, STRING, UUID.from(10), INT8, array(&[INT16, INT32, INT32, INT32.from(7), INT32S, INT32S, INT32S.from(5)]), INT32.from(8)]), INT32.from(8).to(10)];
    OffsetCommitResponse: [INT32.from(3), array(&[STRING, array(&[INT32, INT16])])];
    OffsetFetchResponse: [INT32.from(3), array(&[STRING, array(&[INT32, INT64, INT32.from(5), STRING, INT16])]), INT16.from(2)];
    FindCoordinatorResponse: [INT32.from(1), INT16, STRING.from(1), INT32, STRING, INT32];
    JoinGroupResponse: [INT32, INT16, INT32, STRING.from(7), STRING, STRING, INT8.from(9), STRING, array(&[STRING, STRING.from(5), BYTES])];
    HeartbeatResponse: [INT32.from(1), INT16];
    LeaveGroupResponse: [INT32.from(1), INT16, array(&[STRING, STRING, INT16]).from(3)];
    SyncGroupResponse: [INT32.from(1), INT16, STRING.from(5), STRING.from(5), BYTES];
    DescribeGroupsResponse: [INT32.from(1), array(&[INT16, STRING, STRING, STRING, STRING, array(&[STRING, STRING.from(4), STRING, STRING, BYTES, BYTES]), INT32.from(3)])];
    ListGroupsResponse: [INT32.from(1), INT16, array(&[STRING, STRING, STRING.from(4)])];
    SaslHandshakeResponse: [INT16, STRINGS];
    CreateTopicsResponse: [INT32, array(&[STRING, UUID.from(7), INT16, STRING, INT16.tagged(0), INT32.from(5), INT16.from(5), array(&[STRING, STRING, INT8, INT8, INT8]).from(5)])];
    DeleteTopicsResponse: [INT32, array(&[STRING, INT16, STRING.from(5)])];
    DeleteRecordsResponse: [INT32, array(&[STRING, array(&[INT32, INT64, INT16])])];
    InitProducerIdResponse: [INT32, INT16, INT64, INT16];
    OffsetForLeaderEpochResponse: [INT32, array(&[STRING, array(&[INT16, INT32, INT32, INT64])])];
    DescribeConfigsResponse: [INT32, array(&[INT16, STRING, INT8, STRING, array(&[STRING, STRING, INT8, INT8, INT8, array(&[STRING, STRING, INT8]), INT8.from(3), STRING.from(3)])])];
    SaslAuthenticateResponse: [INT16, STRING, BYTES, INT64.from(1)];
    CreatePartitionsResponse: [INT32, array(&[STRING, INT16, STRING])];
    DeleteGroupsResponse: [INT32, array(&[STRING, INT16])];
    IncrementalAlterConfigsResponse: [INT32, array(&[INT16, STRING, INT8, STRING])];
    OffsetDeleteResponse: [INT16, INT32, array(&[STRING, array(&[INT32, INT16])])];
    DescribeClusterResponse: [INT32, INT16, STRING, INT8.from(1), STRING, INT32, array(&[INT32, STRING, INT32, STRING]), INT32];
}
