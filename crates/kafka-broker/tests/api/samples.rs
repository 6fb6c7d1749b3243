//! A request of every API, with something in every array, as far as the version has it.

use bytes::Bytes;
use kafka_wire::messages::{self as m, BrokerId};

use crate::groups::join_request;
use crate::support::*;

/// The topic that the samples ask for.
pub(crate) const TOPIC: &str = "samples";
/// The group that the samples belong to.
pub(crate) const GROUP: &str = "sample-group";

pub(crate) fn produce(_: i16) -> m::ProduceRequest {
    produce_request(TOPIC, 0, Some(batch(&["a"])))
}

pub(crate) fn fetch(version: i16) -> m::FetchRequest {
    let mut request = fetch_request(TOPIC, 0, 0);
    if version >= 7 {
        request.forgotten_topics_data = vec![
            m::fetch_request::ForgottenTopic::default()
                .with_topic(topic(TOPIC))
                .with_partitions(vec![1, 2]),
        ];
    }
    if version >= 11 {
        request.rack_id = s("rack");
    }
    if version >= 12 {
        request.cluster_id = Some(s("cluster"));
    }
    request
}

pub(crate) fn list_offsets(_: i16) -> m::ListOffsetsRequest {
    use m::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
    let wanted = ListOffsetsPartition::default().with_timestamp(-1);
    m::ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_topics(vec![
            ListOffsetsTopic::default()
                .with_name(topic(TOPIC))
                .with_partitions(vec![wanted]),
        ])
}

pub(crate) fn metadata(_: i16) -> m::MetadataRequest {
    let wanted = m::metadata_request::MetadataRequestTopic::default().with_name(Some(topic(TOPIC)));
    m::MetadataRequest::default().with_topics(Some(vec![wanted]))
}

pub(crate) fn offset_commit(version: i16) -> m::OffsetCommitRequest {
    use m::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
    let partition = OffsetCommitRequestPartition::default()
        .with_committed_offset(1)
        .with_committed_metadata(Some(s("note")));
    let mut request = m::OffsetCommitRequest::default()
        .with_group_id(group(GROUP))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![
            OffsetCommitRequestTopic::default()
                .with_name(topic(TOPIC))
                .with_partitions(vec![partition]),
        ]);
    if version <= 4 {
        request.retention_time_ms = -1;
    }
    request
}

pub(crate) fn offset_fetch(_: i16) -> m::OffsetFetchRequest {
    let wanted = m::offset_fetch_request::OffsetFetchRequestTopic::default()
        .with_name(topic(TOPIC))
        .with_partition_indexes(vec![0, 1]);
    m::OffsetFetchRequest::default()
        .with_group_id(group(GROUP))
        .with_topics(Some(vec![wanted]))
}

pub(crate) fn find_coordinator(_: i16) -> m::FindCoordinatorRequest {
    m::FindCoordinatorRequest::default().with_key(s(GROUP))
}

pub(crate) fn join_group(version: i16) -> m::JoinGroupRequest {
    // Of no group's kind, so that it is answered at once at every version.
    let mut request = join_request(GROUP, "nobody");
    if version >= 5 {
        request.group_instance_id = Some(s("instance"));
    }
    if version >= 8 {
        request.reason = Some(s("because"));
    }
    request
}

pub(crate) fn heartbeat(version: i16) -> m::HeartbeatRequest {
    let mut request = m::HeartbeatRequest::default()
        .with_group_id(group(GROUP))
        .with_member_id(s("nobody"));
    if version >= 3 {
        request.group_instance_id = Some(s("instance"));
    }
    request
}

pub(crate) fn leave_group(version: i16) -> m::LeaveGroupRequest {
    let request = m::LeaveGroupRequest::default().with_group_id(group(GROUP));
    if version < 3 {
        return request.with_member_id(s("nobody"));
    }
    let member = m::leave_group_request::MemberIdentity::default().with_member_id(s("nobody"));
    request.with_members(vec![member])
}

pub(crate) fn sync_group(version: i16) -> m::SyncGroupRequest {
    use m::sync_group_request::SyncGroupRequestAssignment;
    let assignment = SyncGroupRequestAssignment::default()
        .with_member_id(s("nobody"))
        .with_assignment(Bytes::from_static(b"all"));
    let mut request = m::SyncGroupRequest::default()
        .with_group_id(group(GROUP))
        .with_member_id(s("nobody"))
        .with_assignments(vec![assignment]);
    if version >= 5 {
        request.protocol_type = Some(s("consumer"));
        request.protocol_name = Some(s("range"));
    }
    request
}

pub(crate) fn describe_groups(_: i16) -> m::DescribeGroupsRequest {
    m::DescribeGroupsRequest::default().with_groups(vec![group(GROUP), group("none")])
}

pub(crate) fn list_groups(version: i16) -> m::ListGroupsRequest {
    let mut request = m::ListGroupsRequest::default();
    if version >= 4 {
        request.states_filter = vec![s("Empty"), s("Stable")];
    }
    request
}

pub(crate) fn api_versions(version: i16) -> m::ApiVersionsRequest {
    let mut request = m::ApiVersionsRequest::default();
    if version >= 3 {
        request.client_software_name = s("tests");
        request.client_software_version = s("1.0");
    }
    request
}

pub(crate) fn create_topics(_: i16) -> m::CreateTopicsRequest {
    use m::create_topics_request::*;
    let assigned = CreatableReplicaAssignment::default().with_broker_ids(vec![BrokerId(1)]);
    let config = CreatableTopicConfig::default()
        .with_name(s("retention.bytes"))
        .with_value(Some(s("1000")));
    m::CreateTopicsRequest::default()
        .with_validate_only(true)
        .with_topics(vec![
            CreatableTopic::default()
                .with_name(topic("another"))
                .with_num_partitions(-1)
                .with_replication_factor(-1)
                .with_assignments(vec![assigned])
                .with_configs(vec![config]),
        ])
}

pub(crate) fn delete_topics(_: i16) -> m::DeleteTopicsRequest {
    m::DeleteTopicsRequest::default().with_topic_names(vec![topic("none"), topic("neither")])
}

pub(crate) fn delete_records(_: i16) -> m::DeleteRecordsRequest {
    use m::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
    m::DeleteRecordsRequest::default().with_topics(vec![
        DeleteRecordsTopic::default()
            .with_name(topic(TOPIC))
            .with_partitions(vec![DeleteRecordsPartition::default()]),
    ])
}

pub(crate) fn init_producer_id(version: i16) -> m::InitProducerIdRequest {
    let request = m::InitProducerIdRequest::default().with_transactional_id(None);
    if version < 3 {
        return request;
    }
    request
        .with_producer_id(m::ProducerId(-1))
        .with_producer_epoch(-1)
}

pub(crate) fn offset_for_leader_epoch(_: i16) -> m::OffsetForLeaderEpochRequest {
    use m::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
    let wanted = OffsetForLeaderPartition::default().with_current_leader_epoch(-1);
    m::OffsetForLeaderEpochRequest::default().with_topics(vec![
        OffsetForLeaderTopic::default()
            .with_topic(topic(TOPIC))
            .with_partitions(vec![wanted]),
    ])
}

pub(crate) fn describe_configs(_: i16) -> m::DescribeConfigsRequest {
    use m::describe_configs_request::DescribeConfigsResource;
    let resource = |kind, name, keys| {
        DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(s(name))
            .with_configuration_keys(keys)
    };
    m::DescribeConfigsRequest::default()
        .with_include_synonyms(true)
        .with_resources(vec![
            resource(2, TOPIC, None),
            resource(4, "1", Some(vec![s("num.partitions")])),
        ])
}

pub(crate) fn create_partitions(_: i16) -> m::CreatePartitionsRequest {
    use m::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
    let assigned = CreatePartitionsAssignment::default().with_broker_ids(vec![BrokerId(1)]);
    m::CreatePartitionsRequest::default()
        .with_validate_only(true)
        .with_topics(vec![
            CreatePartitionsTopic::default()
                .with_name(topic(TOPIC))
                .with_count(3)
                .with_assignments(Some(vec![assigned])),
        ])
}

pub(crate) fn delete_groups(_: i16) -> m::DeleteGroupsRequest {
    m::DeleteGroupsRequest::default().with_groups_names(vec![group("none"), group("neither")])
}

pub(crate) fn incremental_alter_configs(_: i16) -> m::IncrementalAlterConfigsRequest {
    use m::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
    let config = AlterableConfig::default()
        .with_name(s("retention.bytes"))
        .with_value(Some(s("1000000")));
    m::IncrementalAlterConfigsRequest::default().with_resources(vec![
        AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(s(TOPIC))
            .with_configs(vec![config]),
    ])
}

pub(crate) fn offset_delete(_: i16) -> m::OffsetDeleteRequest {
    use m::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
    m::OffsetDeleteRequest::default()
        .with_group_id(group("none"))
        .with_topics(vec![
            OffsetDeleteRequestTopic::default()
                .with_name(topic(TOPIC))
                .with_partitions(vec![OffsetDeleteRequestPartition::default()]),
        ])
}

pub(crate) fn describe_cluster(_: i16) -> m::DescribeClusterRequest {
    m::DescribeClusterRequest::default()
}
