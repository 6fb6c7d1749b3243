//! Several nodes: leaders, coordinators, stops, crashes and restarts.

use kafka_broker::{ApiKey, BrokerConfig, BrokerError, ResponseError};
use kafka_wire::messages as m;
use kafka_wire::{ConnectOptions, Connection};

use crate::groups::{join_request, sole_member};
use crate::support::*;

const NOT_LEADER: ResponseError = ResponseError::NotLeaderOrFollower;

#[tokio::test]
async fn leaders_are_spread_and_asked_at_their_node_only() {
    let broker = start_with(BrokerConfig::with_nodes(3)).await;
    broker.create_topic("a", 3).unwrap();
    let partitions = broker.inspect().partitions("a");
    let mut leaders: Vec<_> = partitions.iter().map(|p| p.leader.unwrap()).collect();
    let leader = leaders[0];
    leaders.sort_unstable();
    assert_eq!(leaders, [1, 2, 3]);
    assert_eq!(partitions[0].replicas.len(), 3);

    let right = connect_to(&broker, leader).await;
    assert_eq!(produce(&right, "a", 0, batch(&["x"])).await, (0, 0));
    let wrong = connect_to(&broker, leader % 3 + 1).await;
    let request = produce_request("a", 0, Some(batch(&["x"])));
    let response = wrong.request(request).await.unwrap();
    let answer = &response.responses[0].partition_responses[0];
    assert_eq!(answer.error_code, NOT_LEADER.code());
    // The answer says who leads (KIP-951).
    assert_eq!(answer.current_leader.leader_id.0, leader);
    assert_eq!(response.node_endpoints[0].node_id.0, leader);
    let response = wrong.request(fetch_request("a", 0, 0)).await.unwrap();
    assert_eq!(fetched(&response).error_code, NOT_LEADER.code());
    broker.stop().await;
}

#[tokio::test]
async fn a_moved_leader_ends_the_fetches_at_the_old_one() {
    let broker = start_with(BrokerConfig::with_nodes(2)).await;
    broker.create_topic("a", 1).unwrap();
    let leader = broker.inspect().partition("a", 0).unwrap().leader.unwrap();
    let client = connect_to(&broker, leader).await;
    let request = fetch_request("a", 0, 0).with_max_wait_ms(60_000);
    let fetch = tokio::spawn(async move { client.request(request).await });
    wait_for_requests(&broker, ApiKey::Fetch, 1).await;
    broker.move_leader("a", 0, 3 - leader).unwrap();
    let response = fetch.await.unwrap().unwrap();
    assert_eq!(fetched(&response).error_code, NOT_LEADER.code());
    assert_eq!(broker.inspect().partition("a", 0).unwrap().leader_epoch, 1);
    broker.stop().await;
}

#[tokio::test]
async fn a_crashed_nodes_partitions_fail_over_with_their_records() {
    let broker = start_with(BrokerConfig::with_nodes(3)).await;
    broker.create_topic("a", 1).unwrap();
    let before = broker.inspect().partition("a", 0).unwrap();
    let leader = before.leader.unwrap();
    let client = connect_to(&broker, leader).await;
    produce(&client, "a", 0, stamped_batch(&["x"], 7, 0, 0)).await;
    broker.crash_node(leader).await.unwrap();
    assert!(client.request(fetch_request("a", 0, 0)).await.is_err());

    let after = broker.inspect().partition("a", 0).unwrap();
    assert_ne!(after.leader, before.leader);
    assert_eq!(after.leader_epoch, before.leader_epoch + 1);
    let client = connect_to(&broker, after.leader.unwrap()).await;
    // The producer that lost its answer repeats the batch at the new leader.
    let again = produce(&client, "a", 0, stamped_batch(&["x"], 7, 0, 0)).await;
    assert_eq!(again, (0, 0));

    let request = m::MetadataRequest::default().with_topics(None);
    let metadata = client.request(request).await.unwrap();
    assert_eq!(metadata.brokers.len(), 2);
    let partition = &metadata.topics[0].partitions[0];
    assert_eq!(
        (partition.replica_nodes.len(), partition.isr_nodes.len()),
        (3, 2)
    );
    assert_eq!(partition.offline_replicas, [m::BrokerId(leader)]);
    broker.stop().await;
}

#[tokio::test]
async fn a_node_comes_back_on_its_port_with_what_it_had() {
    let broker = start().await;
    broker.create_topic("a", 1).unwrap();
    let address = broker.addr(1).unwrap();
    let client = connect(&broker).await;
    produce(&client, "a", 0, batch(&["x"])).await;
    broker.stop_node(1).await.unwrap();
    assert_eq!(broker.inspect().nodes_up(), Vec::<i32>::new());
    assert_eq!(broker.inspect().partition("a", 0).unwrap().leader, None);
    let refused = Connection::open(&address.to_string(), &ConnectOptions::default()).await;
    assert!(refused.is_err());
    broker.stop_node(1).await.unwrap();

    broker.start_node(1).await.unwrap();
    broker.start_node(1).await.unwrap();
    assert_eq!(broker.addr(1).unwrap(), address);
    let client = connect(&broker).await;
    let response = client.request(fetch_request("a", 0, 0)).await.unwrap();
    assert_eq!(
        records(fetched(&response).records.as_ref().unwrap()).len(),
        1
    );
    assert_eq!(sole_member(&client, "g").await.error_code, 0);
    broker.stop().await;
}

#[tokio::test]
async fn a_cut_connection_is_gone_and_the_next_is_taken() {
    let broker = start().await;
    let client = connect(&broker).await;
    broker.cut_connections(1).unwrap();
    client.closed().await;
    let list = m::ListGroupsRequest::default;
    assert!(client.request(list()).await.is_err());
    assert!(connect(&broker).await.request(list()).await.is_ok());
    broker.stop().await;
}

#[tokio::test]
async fn a_moved_coordinator_sends_its_members_to_the_new_one() {
    let broker = start_with(BrokerConfig::with_nodes(2)).await;
    let client = connect_to(&broker, 1).await;
    let find = m::FindCoordinatorRequest::default().with_key(s("g"));
    let old = client.request(find.clone()).await.unwrap().node_id.0;
    let new = 3 - old;
    let at_old = connect_to(&broker, old).await;
    let joined = sole_member(&at_old, "g").await;

    // A second member waits at the old coordinator while it moves.
    let second = connect_to(&broker, old).await;
    let handed_out = second.request(join_request("g", "")).await.unwrap();
    let joins = broker.inspect().requests(ApiKey::JoinGroup);
    let request = join_request("g", &handed_out.member_id);
    let waiting = tokio::spawn(async move { second.request(request).await });
    wait_for_requests(&broker, ApiKey::JoinGroup, joins + 1).await;
    while broker.inspect().group("g").unwrap().members.len() < 2 {
        tokio::task::yield_now().await;
    }
    broker.move_coordinator("g", new).unwrap();
    let not_coordinator = ResponseError::NotCoordinator.code();
    assert_eq!(waiting.await.unwrap().unwrap().error_code, not_coordinator);

    let found = client.request(find).await.unwrap();
    assert_eq!((found.error_code, found.node_id.0), (0, new));
    let heartbeat = m::HeartbeatRequest::default()
        .with_group_id(group("g"))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone());
    let beat = at_old.request(heartbeat.clone()).await.unwrap();
    assert_eq!(beat.error_code, not_coordinator);
    let at_new = connect_to(&broker, new).await;
    assert_eq!(at_new.request(heartbeat).await.unwrap().error_code, 0);
    broker.stop().await;
}

#[tokio::test]
async fn what_there_is_not_cannot_be_moved() {
    let broker = start_with(BrokerConfig::with_nodes(2)).await;
    broker.create_topic("a", 1).unwrap();
    broker.stop_node(2).await.unwrap();
    let unknown = broker.move_leader("a", 0, 9).unwrap_err();
    assert!(matches!(unknown, BrokerError::UnknownNode(9)));
    let down = broker.move_coordinator("g", 2).unwrap_err();
    assert!(matches!(down, BrokerError::NodeDown(2)));
    let unknown = broker.move_leader("a", 1, 1).unwrap_err();
    assert!(matches!(unknown, BrokerError::UnknownPartition { .. }));
    assert!(broker.stop_node(9).await.is_err());
    assert!(broker.create_topic("a", 1).is_err());
    broker.stop().await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error() {
    let broker = start().await;
    let taken = broker.addr(1).unwrap();
    let second = kafka_broker::Broker::start(BrokerConfig::listening_on(taken)).await;
    assert!(matches!(second, Err(BrokerError::Listen { node: 1, .. })));
    broker.stop().await;
    // Once stopped, the port is free.
    let third = start_with(BrokerConfig::listening_on(taken)).await;
    third.stop().await;
}

#[tokio::test]
async fn a_dropped_broker_hangs_up() {
    let broker = start().await;
    let client = connect(&broker).await;
    drop(broker);
    client.closed().await;
}
