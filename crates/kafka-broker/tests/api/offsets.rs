//! ListOffsets, OffsetForLeaderEpoch, and what groups commit.

use kafka_broker::ResponseError;
use kafka_wire::Connection;
use kafka_wire::messages as m;

use crate::support::*;

async fn list(client: &Connection, partition: i32, timestamp: i64) -> (i16, i64, i64) {
    use m::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
    let wanted = ListOffsetsPartition::default()
        .with_partition_index(partition)
        .with_timestamp(timestamp);
    let request = m::ListOffsetsRequest::default()
        .with_replica_id(m::BrokerId(-1))
        .with_topics(vec![
            ListOffsetsTopic::default()
                .with_name(topic("a"))
                .with_partitions(vec![wanted]),
        ]);
    let response = client.request(request).await.unwrap();
    let answer = &response.topics[0].partitions[0];
    (answer.error_code, answer.offset, answer.timestamp)
}

#[tokio::test]
async fn offsets_are_found_by_time() {
    let broker = start().await;
    broker.create_topic("a", 1).unwrap();
    let client = connect(&broker).await;
    assert_eq!(list(&client, 0, -3).await, (0, -1, -1));
    // Timestamps 1000, 1001, 1002 twice.
    produce(&client, "a", 0, batch(&["a", "b", "c"])).await;
    produce(&client, "a", 0, batch(&["d", "e", "f"])).await;
    assert_eq!(list(&client, 0, -2).await, (0, 0, -1));
    assert_eq!(list(&client, 0, -1).await, (0, 6, -1));
    assert_eq!(list(&client, 0, -3).await, (0, 2, 1002));
    assert_eq!(list(&client, 0, 0).await, (0, 0, 1000));
    assert_eq!(list(&client, 0, 1001).await, (0, 1, 1001));
    assert_eq!(list(&client, 0, 1003).await, (0, -1, -1));
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    assert_eq!(list(&client, 1, -1).await, (unknown, -1, -1));
    let unsupported = ResponseError::UnsupportedVersion.code();
    assert_eq!(list(&client, 0, -4).await, (unsupported, -1, -1));
    broker.stop().await;
}

fn commit_request(
    generation: i32,
    member_id: &str,
    offsets: &[(&str, i32, i64)],
) -> m::OffsetCommitRequest {
    use m::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
    let topics = offsets.iter().map(|(name, partition, offset)| {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(*partition)
            .with_committed_offset(*offset)
            .with_committed_leader_epoch(3)
            .with_committed_metadata(Some(s("note")));
        OffsetCommitRequestTopic::default()
            .with_name(topic(name))
            .with_partitions(vec![partition])
    });
    m::OffsetCommitRequest::default()
        .with_group_id(group("g"))
        .with_generation_id_or_member_epoch(generation)
        .with_member_id(s(member_id))
        .with_topics(topics.collect())
}

async fn commit(
    client: &Connection,
    generation: i32,
    member_id: &str,
    offsets: &[(&str, i32, i64)],
) -> Vec<i16> {
    let request = commit_request(generation, member_id, offsets);
    let response = client.request(request).await.unwrap();
    let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|partition| partition.error_code).collect()
}

#[tokio::test]
async fn offsets_are_committed_from_outside_and_fetched() {
    let broker = start().await;
    broker.create_topic("a", 2).unwrap();
    let client = connect(&broker).await;
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    let errors = commit(&client, -1, "", &[("a", 1, 42), ("a", 2, 1), ("x", 0, 1)]).await;
    assert_eq!(errors, [0, unknown, unknown]);
    assert_eq!(broker.inspect().committed("g", "a", 1), Some(42));

    let asked = m::offset_fetch_request::OffsetFetchRequestTopic::default()
        .with_name(topic("a"))
        .with_partition_indexes(vec![0, 1]);
    let request = m::OffsetFetchRequest::default().with_group_id(group("g"));
    let response = client
        .request(request.clone().with_topics(Some(vec![asked])))
        .await
        .unwrap();
    let found: Vec<_> = response.topics[0]
        .partitions
        .iter()
        .map(|p| {
            (
                p.partition_index,
                p.committed_offset,
                p.committed_leader_epoch,
            )
        })
        .collect();
    assert_eq!(found, [(0, -1, -1), (1, 42, 3)]);

    let all = client.request(request.with_topics(None)).await.unwrap();
    assert_eq!(all.topics.len(), 1);
    assert_eq!(all.topics[0].partitions[0].metadata, Some(s("note")));
    let nobody = m::OffsetFetchRequest::default()
        .with_group_id(group("nobody"))
        .with_topics(None);
    let nobody = client.request(nobody).await.unwrap();
    assert_eq!((nobody.error_code, nobody.topics.len()), (0, 0));

    let long = "x".repeat(5000);
    let mut request = commit_request(-1, "", &[("a", 0, 1)]);
    request.topics[0].partitions[0].committed_metadata = Some(s(&long));
    let response = client.request(request).await.unwrap();
    assert_eq!(
        response.topics[0].partitions[0].error_code,
        ResponseError::OffsetMetadataTooLarge.code()
    );
    broker.stop().await;
}

#[tokio::test]
async fn commits_of_strangers_are_refused() {
    let broker = start().await;
    broker.create_topic("a", 1).unwrap();
    let client = connect(&broker).await;
    let illegal = ResponseError::IllegalGeneration.code();
    assert_eq!(commit(&client, 1, "m", &[("a", 0, 1)]).await, [illegal]);
    let joined = crate::groups::sole_member(&client, "g").await;
    let id = &*joined.member_id;
    assert_eq!(commit(&client, 1, id, &[("a", 0, 5)]).await, [0]);
    assert_eq!(commit(&client, 0, id, &[("a", 0, 6)]).await, [illegal]);
    let unknown = ResponseError::UnknownMemberId.code();
    assert_eq!(commit(&client, 1, "m", &[("a", 0, 6)]).await, [unknown]);
    assert_eq!(commit(&client, -1, "", &[("a", 0, 6)]).await, [unknown]);
    assert_eq!(broker.inspect().committed("g", "a", 0), Some(5));
    broker.stop().await;
}

#[tokio::test]
async fn committed_offsets_go_with_their_topic_and_by_request() {
    use m::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
    let broker = start().await;
    broker.create_topic("a", 2).unwrap();
    broker.create_topic("b", 1).unwrap();
    let client = connect(&broker).await;
    commit(&client, -1, "", &[("a", 0, 1), ("a", 1, 2), ("b", 0, 3)]).await;
    let delete = m::OffsetDeleteRequest::default()
        .with_group_id(group("g"))
        .with_topics(vec![
            OffsetDeleteRequestTopic::default()
                .with_name(topic("a"))
                .with_partitions(vec![OffsetDeleteRequestPartition::default()]),
        ]);
    let response = client.request(delete.clone()).await.unwrap();
    assert_eq!(
        (
            response.error_code,
            response.topics[0].partitions[0].error_code
        ),
        (0, 0)
    );
    broker.delete_topic("b");
    let group_info = broker.inspect().group("g").unwrap();
    assert_eq!(group_info.committed, [("a".to_owned(), 1, 2)]);

    let nobody = delete.with_group_id(group("nobody"));
    let response = client.request(nobody).await.unwrap();
    assert_eq!(response.error_code, ResponseError::GroupIdNotFound.code());
    broker.stop().await;
}

#[tokio::test]
async fn an_epoch_ends_where_the_next_leader_began() {
    use m::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
    let broker = start_with(kafka_broker::BrokerConfig::with_nodes(2)).await;
    broker.create_topic("a", 1).unwrap();
    broker.move_leader("a", 0, 1).unwrap();
    let epoch = broker.inspect().partition("a", 0).unwrap().leader_epoch;
    let client = connect(&broker).await;
    produce(&client, "a", 0, batch(&["a", "b"])).await;
    broker.move_leader("a", 0, 2).unwrap();
    let client = connect_to(&broker, 2).await;
    produce(&client, "a", 0, batch(&["c"])).await;
    let ask = async |current, wanted| {
        let partition = OffsetForLeaderPartition::default()
            .with_current_leader_epoch(current)
            .with_leader_epoch(wanted);
        let request = m::OffsetForLeaderEpochRequest::default().with_topics(vec![
            OffsetForLeaderTopic::default()
                .with_topic(topic("a"))
                .with_partitions(vec![partition]),
        ]);
        let response = client.request(request).await.unwrap();
        let answer = &response.topics[0].partitions[0];
        (answer.error_code, answer.leader_epoch, answer.end_offset)
    };
    assert_eq!(ask(-1, epoch).await, (0, epoch, 2));
    assert_eq!(ask(-1, epoch + 1).await, (0, epoch + 1, 3));
    assert_eq!(ask(-1, epoch + 2).await, (0, -1, -1));
    let fenced = ResponseError::FencedLeaderEpoch.code();
    assert_eq!(ask(epoch, epoch).await.0, fenced);
    let unknown = ResponseError::UnknownLeaderEpoch.code();
    assert_eq!(ask(epoch + 2, epoch).await.0, unknown);
    broker.stop().await;
}
