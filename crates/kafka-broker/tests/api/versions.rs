//! Every API at every version: the request is understood to its last byte, and the answer is one of that version.

use bytes::{Buf, BufMut, BytesMut};
use kafka_broker::{ApiKey, ResponseError};
use kafka_wire::messages as m;
use kafka_wire::{Decodable, Encodable, HeaderVersion};

use crate::raw::{Raw, encode};
use crate::samples::{self, TOPIC};
use crate::support::*;

/// Asks at every version and returns the last answer.
async fn ask_at_all<Q, A>(raw: &mut Raw, api: ApiKey, sample: fn(i16) -> Q) -> A
where
    Q: Encodable + HeaderVersion,
    A: Decodable + HeaderVersion,
{
    let key = api as i16;
    let (min, max) = kafka_wire::api::TABLE
        .iter()
        .find(|row| row.key == key)
        .map_or((0, 4), |row| (row.min_version, row.max_version));
    let mut last = None;
    for version in min..=max {
        let request = encode(key, version, &sample(version));
        let mut answer = raw
            .ask(&request, A::header_version(version))
            .await
            .unwrap_or_else(|| panic!("{api:?} v{version} is answered"));
        let decoded = A::decode(&mut answer, version)
            .unwrap_or_else(|e| panic!("{api:?} v{version} is answered rightly: {e}"));
        assert!(!answer.has_remaining(), "{api:?} v{version}");
        last = Some(decoded);
    }
    last.expect("an API has a version")
}

macro_rules! ask_for_all {
    ($raw:expr, $($api:ident $sample:ident $response:ident;)+) => {
        $(let _: m::$response = ask_at_all($raw, ApiKey::$api, samples::$sample).await;)+
    };
}

#[tokio::test]
async fn every_version_of_every_api_is_answered() {
    let broker = start().await;
    broker.create_topic(TOPIC, 2).unwrap();
    let mut raw = Raw::connect(&broker).await;
    ask_for_all!(&mut raw,
        ApiVersions api_versions ApiVersionsResponse;
        Metadata metadata MetadataResponse;
        CreateTopics create_topics CreateTopicsResponse;
        CreatePartitions create_partitions CreatePartitionsResponse;
        InitProducerId init_producer_id InitProducerIdResponse;
        Produce produce ProduceResponse;
        Fetch fetch FetchResponse;
        ListOffsets list_offsets ListOffsetsResponse;
        OffsetForLeaderEpoch offset_for_leader_epoch OffsetForLeaderEpochResponse;
        FindCoordinator find_coordinator FindCoordinatorResponse;
        OffsetCommit offset_commit OffsetCommitResponse;
        OffsetFetch offset_fetch OffsetFetchResponse;
        JoinGroup join_group JoinGroupResponse;
        SyncGroup sync_group SyncGroupResponse;
        Heartbeat heartbeat HeartbeatResponse;
        LeaveGroup leave_group LeaveGroupResponse;
        DescribeGroups describe_groups DescribeGroupsResponse;
        ListGroups list_groups ListGroupsResponse;
        DescribeConfigs describe_configs DescribeConfigsResponse;
        IncrementalAlterConfigs incremental_alter_configs IncrementalAlterConfigsResponse;
        DescribeCluster describe_cluster DescribeClusterResponse;
        OffsetDelete offset_delete OffsetDeleteResponse;
        DeleteRecords delete_records DeleteRecordsResponse;
        DeleteGroups delete_groups DeleteGroupsResponse;
        DeleteTopics delete_topics DeleteTopicsResponse;
    );
    broker.stop().await;
}

#[tokio::test]
async fn a_version_of_api_versions_from_the_future_is_answered_in_the_oldest_form() {
    let broker = start().await;
    let mut raw = Raw::connect(&broker).await;
    let mut request = BytesMut::new();
    request.put_i16(ApiKey::ApiVersions as i16);
    request.put_i16(99);
    request.put_i32(7);
    request.put_slice(b"whatever comes in v99");
    let mut answer = raw.ask(&request, 0).await.unwrap();
    let answer = m::ApiVersionsResponse::decode(&mut answer, 0).unwrap();
    assert_eq!(answer.error_code, ResponseError::UnsupportedVersion.code());
    // ApiVersions is not in the table, and the two of SASL are not this broker's.
    assert_eq!(answer.api_keys.len(), kafka_wire::api::TABLE.len() + 1 - 2);
    // The connection goes on.
    let again = encode(18, 3, &samples::api_versions(3));
    assert!(raw.ask(&again, 0).await.is_some());
    broker.stop().await;
}

#[tokio::test]
async fn what_is_not_known_closes_the_connection() {
    let broker = start().await;
    for (key, version) in [(999, 0), (-1, 0), (0, 2), (0, 13), (3, 99), (1, -1)] {
        let mut raw = Raw::connect(&broker).await;
        let mut request = BytesMut::new();
        request.put_i16(key);
        request.put_i16(version);
        request.put_i32(7);
        request.put_i16(-1);
        assert!(raw.ask(&request, 0).await.is_none(), "{key} v{version}");
    }
    broker.stop().await;
}

#[tokio::test]
async fn an_array_that_is_not_there_closes_the_connection_and_takes_no_memory() {
    let broker = start().await;
    // Metadata v4 and v12 that claim two billion topics.
    for (version, claim) in [
        (4, &[0x7f, 0xff, 0xff, 0xff][..]),
        (12, &[0xff, 0xff, 0xff, 0xff, 0x07]),
    ] {
        let mut raw = Raw::connect(&broker).await;
        let mut request = BytesMut::new();
        request.put_i16(ApiKey::Metadata as i16);
        request.put_i16(version);
        request.put_i32(7);
        request.put_i16(-1);
        if version == 12 {
            request.put_u8(0);
        }
        request.put_slice(claim);
        request.put_slice(&[0; 16]);
        assert!(raw.ask(&request, 0).await.is_none());
    }
    // And the broker lives.
    assert!(
        connect(&broker)
            .await
            .request(samples::metadata(12))
            .await
            .is_ok()
    );
    broker.stop().await;
}

#[tokio::test]
async fn a_request_over_the_limit_closes_the_connection() {
    let config = kafka_broker::BrokerConfig {
        max_request_bytes: 1000,
        ..kafka_broker::BrokerConfig::default()
    };
    let broker = start_with(config).await;
    for length in [1001i32, 7, 0, -1, i32::MAX, i32::MIN] {
        let mut raw = Raw::connect(&broker).await;
        raw.send_unframed(&length.to_be_bytes()).await.unwrap();
        assert!(raw.receive().await.is_none(), "{length}");
    }
    broker.stop().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let broker = start().await;
    broker.create_topic(TOPIC, 1).unwrap();
    let mut raw = Raw::connect(&broker).await;
    // A fetch that waits for a moment holds up what is behind it, and the order stays.
    let mut frames = BytesMut::new();
    for correlation_id in 0..20 {
        let request = if correlation_id == 3 {
            encode(1, 11, &samples::fetch(11).with_max_wait_ms(10))
        } else {
            encode(3, 9, &samples::metadata(9))
        };
        let mut request = BytesMut::from(&request[..]);
        request[4..8].copy_from_slice(&i32::to_be_bytes(correlation_id));
        frames.put_i32(request.len() as i32);
        frames.put_slice(&request);
    }
    raw.send_unframed(&frames).await.unwrap();
    for correlation_id in 0..20 {
        assert_eq!(raw.receive().await.unwrap().get_i32(), correlation_id);
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_connection_too_many_is_closed() {
    let config = kafka_broker::BrokerConfig {
        max_connections: 2,
        ..kafka_broker::BrokerConfig::default()
    };
    let broker = start_with(config).await;
    let (_first, _second) = (connect(&broker).await, connect(&broker).await);
    let mut third = Raw::connect(&broker).await;
    assert!(third.receive().await.is_none());
    broker.stop().await;
}
