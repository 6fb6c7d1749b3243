//! Topics, configurations, the cluster.

use kafka_broker::{ApiKey, BrokerConfig, ResponseError};
use kafka_wire::Connection;
use kafka_wire::messages as m;

use crate::support::*;

async fn metadata(client: &Connection, name: &str, create: bool) -> m::MetadataResponse {
    let wanted = m::metadata_request::MetadataRequestTopic::default().with_name(Some(topic(name)));
    let request = m::MetadataRequest::default()
        .with_topics(Some(vec![wanted]))
        .with_allow_auto_topic_creation(create);
    client.request(request).await.unwrap()
}

fn new_topic(
    name: &str,
    partitions: i32,
    replicas: i16,
) -> m::create_topics_request::CreatableTopic {
    m::create_topics_request::CreatableTopic::default()
        .with_name(topic(name))
        .with_num_partitions(partitions)
        .with_replication_factor(replicas)
}

/// The error of each topic.
async fn create(
    client: &Connection,
    topics: Vec<m::create_topics_request::CreatableTopic>,
) -> Vec<i16> {
    let request = m::CreateTopicsRequest::default().with_topics(topics);
    let response = client.request(request).await.unwrap();
    response
        .topics
        .iter()
        .map(|topic| topic.error_code)
        .collect()
}

#[tokio::test]
async fn metadata_creates_topics_where_client_and_broker_allow_it() {
    let broker = start().await;
    let client = connect(&broker).await;
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    let response = metadata(&client, "orders", false).await;
    assert_eq!(response.topics[0].error_code, unknown);

    let response = metadata(&client, "orders", true).await;
    assert_eq!(response.topics[0].error_code, 0);
    assert_eq!(response.topics[0].partitions.len(), 3);
    assert_eq!(response.topics[0].partitions[2].leader_id, m::BrokerId(1));
    assert_eq!(response.brokers.len(), 1);
    assert_eq!(
        response.brokers[0].port,
        i32::from(broker.addr(1).unwrap().port())
    );
    let response = metadata(&client, "or/ders", true).await;
    let invalid = ResponseError::InvalidTopicException.code();
    assert_eq!(response.topics[0].error_code, invalid);
    broker.stop().await;

    let config = BrokerConfig {
        auto_create_topics: false,
        ..BrokerConfig::default()
    };
    let broker = start_with(config).await;
    let client = connect(&broker).await;
    let response = metadata(&client, "orders", true).await;
    assert_eq!(response.topics[0].error_code, unknown);
    broker.stop().await;
}

#[tokio::test]
async fn metadata_lists_all_topics_some_or_none() {
    let broker = start().await;
    for name in ["a", "b"] {
        broker.create_topic(name, 1).unwrap();
    }
    let client = connect(&broker).await;
    let all = m::MetadataRequest::default().with_topics(None);
    assert_eq!(client.request(all).await.unwrap().topics.len(), 2);
    let none = m::MetadataRequest::default().with_topics(Some(Vec::new()));
    assert_eq!(client.request(none).await.unwrap().topics.len(), 0);

    let b = metadata(&client, "b", false).await.topics.remove(0);
    let by_id = m::metadata_request::MetadataRequestTopic::default()
        .with_name(None)
        .with_topic_id(b.topic_id);
    let request = m::MetadataRequest::default().with_topics(Some(vec![by_id]));
    let response = client.request(request).await.unwrap();
    assert_eq!(response.topics[0].name, Some(topic("b")));
    broker.stop().await;
}

#[tokio::test]
async fn topics_are_created_by_kafkas_rules() {
    let broker = start().await;
    let client = connect(&broker).await;
    assert_eq!(
        create(&client, vec![new_topic("a", 2, 1), new_topic("b", -1, -1)]).await,
        [0, 0]
    );
    assert_eq!(broker.inspect().partitions("a").len(), 2);
    assert_eq!(broker.inspect().partitions("b").len(), 3);
    for (wrong, error) in [
        (new_topic("a", 1, 1), ResponseError::TopicAlreadyExists),
        (new_topic("a b", 1, 1), ResponseError::InvalidTopicException),
        (new_topic("c", 0, 1), ResponseError::InvalidPartitions),
        (
            new_topic("c", 1, 2),
            ResponseError::InvalidReplicationFactor,
        ),
        (
            new_topic("c", 1, 0),
            ResponseError::InvalidReplicationFactor,
        ),
        (new_topic("c", i32::MAX, 1), ResponseError::PolicyViolation),
        (
            new_topic("c", 1, 1).with_configs(vec![
                m::create_topics_request::CreatableTopicConfig::default()
                    .with_name(s("no.such"))
                    .with_value(Some(s("1"))),
            ]),
            ResponseError::InvalidConfig,
        ),
    ] {
        assert_eq!(
            create(&client, vec![wrong]).await,
            [error.code()],
            "{error:?}"
        );
    }
    let twice = create(&client, vec![new_topic("c", 1, 1), new_topic("c", 1, 1)]).await;
    assert_eq!(twice, [ResponseError::InvalidRequest.code(); 2]);
    let only_checked = m::CreateTopicsRequest::default()
        .with_validate_only(true)
        .with_topics(vec![new_topic("c", 4, -1)]);
    let response = client.request(only_checked).await.unwrap();
    assert_eq!(
        (
            response.topics[0].error_code,
            response.topics[0].num_partitions
        ),
        (0, 4)
    );
    assert_eq!(broker.inspect().topics(), ["a", "b"]);
    broker.stop().await;
}

#[tokio::test]
async fn a_deleted_topic_ends_the_fetches_that_wait_for_it() {
    let broker = start().await;
    broker.create_topic("a", 1).unwrap();
    let (client, reader) = (connect(&broker).await, connect(&broker).await);
    let fetch = tokio::spawn(async move {
        reader
            .request(fetch_request("a", 0, 0).with_max_wait_ms(60_000))
            .await
    });
    wait_for_requests(&broker, ApiKey::Fetch, 1).await;
    let request = m::DeleteTopicsRequest::default().with_topic_names(vec![topic("a"), topic("x")]);
    let response = client.request(request).await.unwrap();
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    let errors: Vec<_> = response.responses.iter().map(|r| r.error_code).collect();
    assert_eq!(errors, [0, unknown]);
    let response = fetch.await.unwrap().unwrap();
    assert_eq!(fetched(&response).error_code, unknown);
    assert_eq!(produce(&client, "a", 0, batch(&["x"])).await.0, unknown);
    broker.stop().await;
}

#[tokio::test]
async fn partitions_are_added_and_never_taken_away() {
    let broker = start().await;
    broker.create_topic("a", 2).unwrap();
    let client = connect(&broker).await;
    let grow = async |name: &str, count| {
        let wanted = m::create_partitions_request::CreatePartitionsTopic::default()
            .with_name(topic(name))
            .with_count(count)
            .with_assignments(None);
        let request = m::CreatePartitionsRequest::default().with_topics(vec![wanted]);
        client.request(request).await.unwrap().results[0].error_code
    };
    assert_eq!(grow("a", 4).await, 0);
    assert_eq!(grow("a", 4).await, ResponseError::InvalidPartitions.code());
    assert_eq!(grow("a", 1).await, ResponseError::InvalidPartitions.code());
    assert_eq!(grow("a", -1).await, ResponseError::InvalidPartitions.code());
    assert_eq!(
        grow("x", 4).await,
        ResponseError::UnknownTopicOrPartition.code()
    );
    assert_eq!(produce(&client, "a", 3, batch(&["x"])).await, (0, 0));
    broker.stop().await;
}

#[tokio::test]
async fn a_lowered_retention_drops_old_batches_at_once() {
    use m::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
    let broker = start().await;
    broker.create_topic("a", 1).unwrap();
    let client = connect(&broker).await;
    for value in ["a", "b", "c"] {
        produce(&client, "a", 0, batch(&[value])).await;
    }
    let alter = async |name: &str, operation, value: Option<&str>| {
        let config = AlterableConfig::default()
            .with_name(s(name))
            .with_config_operation(operation)
            .with_value(value.map(s));
        let resource = AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(s("a"))
            .with_configs(vec![config]);
        let request = m::IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        client.request(request).await.unwrap().responses[0].error_code
    };
    let invalid = ResponseError::InvalidConfig.code();
    assert_eq!(alter("retention.bytes", 0, Some("much")).await, invalid);
    assert_eq!(alter("no.such", 1, None).await, invalid);
    assert_eq!(alter("retention.bytes", 0, Some("1")).await, 0);
    let partition = broker.inspect().partition("a", 0).unwrap();
    assert_eq!((partition.start_offset, partition.end_offset), (2, 3));

    let described = describe(&client, 2, "a").await;
    let retention = described
        .configs
        .iter()
        .find(|c| &*c.name == "retention.bytes")
        .unwrap();
    assert_eq!(
        (retention.value.as_deref(), retention.config_source),
        (Some("1"), 1)
    );
    assert_eq!(alter("retention.bytes", 1, None).await, 0);
    let described = describe(&client, 2, "a").await;
    let retention = described
        .configs
        .iter()
        .find(|c| &*c.name == "retention.bytes")
        .unwrap();
    assert_eq!(
        (retention.value.as_deref(), retention.config_source),
        (Some("268435456"), 5)
    );
    broker.stop().await;
}

async fn describe(
    client: &Connection,
    kind: i8,
    name: &str,
) -> m::describe_configs_response::DescribeConfigsResult {
    let resource = m::describe_configs_request::DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(s(name))
        .with_configuration_keys(None);
    let request = m::DescribeConfigsRequest::default().with_resources(vec![resource]);
    client.request(request).await.unwrap().results.remove(0)
}

#[tokio::test]
async fn configurations_of_what_there_is_not_are_errors() {
    let broker = start().await;
    let client = connect(&broker).await;
    let node = describe(&client, 4, "1").await;
    assert_eq!(node.error_code, 0);
    assert!(
        node.configs
            .iter()
            .any(|c| &*c.name == "num.partitions" && c.read_only)
    );
    let invalid = ResponseError::InvalidRequest.code();
    assert_eq!(describe(&client, 4, "7").await.error_code, invalid);
    assert_eq!(describe(&client, 99, "a").await.error_code, invalid);
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    assert_eq!(describe(&client, 2, "a").await.error_code, unknown);
    broker.stop().await;
}

#[tokio::test]
async fn the_cluster_describes_itself() {
    let broker = start_with(BrokerConfig::with_nodes(3)).await;
    let client = connect_to(&broker, 2).await;
    let response = client
        .request(m::DescribeClusterRequest::default())
        .await
        .unwrap();
    assert_eq!(&*response.cluster_id, "embedded-kafka-cluster");
    assert_eq!(response.controller_id, m::BrokerId(1));
    let ids: Vec<_> = response.brokers.iter().map(|b| b.broker_id.0).collect();
    assert_eq!(ids, [1, 2, 3]);
    broker.stop().await;
}

#[tokio::test]
async fn records_are_deleted_up_to_an_offset() {
    use m::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
    let broker = start().await;
    broker.create_topic("a", 1).unwrap();
    let client = connect(&broker).await;
    produce(&client, "a", 0, batch(&["a", "b", "c"])).await;
    let delete = async |partition, offset| {
        let wanted = DeleteRecordsPartition::default()
            .with_partition_index(partition)
            .with_offset(offset);
        let request = m::DeleteRecordsRequest::default().with_topics(vec![
            DeleteRecordsTopic::default()
                .with_name(topic("a"))
                .with_partitions(vec![wanted]),
        ]);
        let response = client.request(request).await.unwrap();
        let answer = &response.topics[0].partitions[0];
        (answer.error_code, answer.low_watermark)
    };
    let out_of_range = (ResponseError::OffsetOutOfRange.code(), -1);
    assert_eq!(delete(0, 2).await, (0, 2));
    assert_eq!(delete(0, 1).await, (0, 2), "the start does not go back");
    assert_eq!(delete(0, 4).await, out_of_range);
    assert_eq!(delete(0, -2).await, out_of_range);
    assert_eq!(
        delete(1, 0).await,
        (ResponseError::UnknownTopicOrPartition.code(), -1)
    );
    let response = client.request(fetch_request("a", 0, 1)).await.unwrap();
    assert_eq!(
        fetched(&response).error_code,
        ResponseError::OffsetOutOfRange.code()
    );
    assert_eq!(delete(0, -1).await, (0, 3));
    broker.stop().await;
}
