//! Faults on demand.

use std::time::{Duration, Instant};

use kafka_broker::{ApiKey, BrokerConfig, Fault, FaultAction, ResponseError};
use kafka_wire::messages as m;
use kafka_wire::{ConnectOptions, Connection, WireError};

use crate::support::*;

const NOT_LEADER: ResponseError = ResponseError::NotLeaderOrFollower;

#[tokio::test]
async fn an_error_is_answered_and_nothing_done_as_often_as_wanted() {
    let broker = start().await;
    broker.create_topic("a", 2).unwrap();
    let client = connect(&broker).await;
    let fault = broker.faults().inject(
        Fault::new(FaultAction::Answer(NOT_LEADER))
            .on(ApiKey::Produce)
            .topic("a")
            .partition(1)
            .after(1)
            .times(2),
    );
    let mut errors = Vec::new();
    for _ in 0..4 {
        // Another partition is not concerned and does not count.
        assert_eq!(produce(&client, "a", 0, batch(&["x"])).await.0, 0);
        errors.push(produce(&client, "a", 1, batch(&["x"])).await.0);
    }
    assert_eq!(errors, [0, NOT_LEADER.code(), NOT_LEADER.code(), 0]);
    assert_eq!(fault.hits(), 2);
    fault.wait_for_hits(2).await;
    assert_eq!(broker.inspect().partition("a", 1).unwrap().end_offset, 2);
    broker.stop().await;
}

#[tokio::test]
async fn of_a_request_for_several_partitions_only_the_faulty_is_refused() {
    let broker = start().await;
    broker.create_topic("a", 2).unwrap();
    let client = connect(&broker).await;
    broker.faults().inject(
        Fault::new(FaultAction::Answer(NOT_LEADER))
            .on(ApiKey::Produce)
            .partition(1),
    );
    let mut request = produce_request("a", 0, Some(batch(&["x"])));
    let other = request.topic_data[0].partition_data[0]
        .clone()
        .with_index(1);
    request.topic_data[0].partition_data.push(other);
    let response = client.request(request).await.unwrap();
    let partitions = response.responses[0].partition_responses.iter();
    let errors: Vec<_> = partitions.map(|p| p.error_code).collect();
    assert_eq!(errors, [0, NOT_LEADER.code()]);
    broker.stop().await;
}

#[tokio::test]
async fn whole_requests_are_refused_by_group_and_by_api() {
    let broker = start().await;
    let client = connect(&broker).await;
    let loading = ResponseError::CoordinatorLoadInProgress;
    let fault = broker
        .faults()
        .inject(Fault::new(FaultAction::Answer(loading)).group("g"));
    let find = |name: &str| m::FindCoordinatorRequest::default().with_key(s(name));
    let found = client.request(find("g")).await.unwrap();
    assert_eq!(found.error_code, loading.code());
    assert_eq!(client.request(find("other")).await.unwrap().error_code, 0);
    let joined = client.request(crate::groups::join_request("g", "")).await;
    assert_eq!(joined.unwrap().error_code, loading.code());
    fault.remove();
    assert_eq!(client.request(find("g")).await.unwrap().error_code, 0);
    broker.stop().await;
}

#[tokio::test]
async fn a_throttled_answer_says_so_and_the_request_is_done() {
    let broker = start().await;
    broker.create_topic("a", 1).unwrap();
    let client = connect(&broker).await;
    let throttle = FaultAction::Throttle(Duration::from_millis(1234));
    broker.faults().inject(Fault::new(throttle).times(1));
    let request = produce_request("a", 0, Some(batch(&["x"])));
    let response = client.request(request).await.unwrap();
    assert_eq!(response.throttle_time_ms, 1234);
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    broker.stop().await;
}

#[tokio::test]
async fn a_delay_comes_before_or_after_the_work() {
    let broker = start().await;
    broker.create_topic("a", 1).unwrap();
    let client = connect(&broker).await;
    let delay = Duration::from_millis(30);
    for action in [FaultAction::Delay(delay), FaultAction::DelayAnswer(delay)] {
        broker
            .faults()
            .inject(Fault::new(action).on(ApiKey::Produce).times(1));
        let start = Instant::now();
        assert_eq!(produce(&client, "a", 0, batch(&["x"])).await.0, 0);
        assert!(start.elapsed() >= delay);
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_connection_is_dropped_before_or_after_the_work() {
    let broker = start().await;
    broker.create_topic("a", 1).unwrap();
    for (action, end) in [(FaultAction::DropBefore, 0), (FaultAction::DropAfter, 1)] {
        let client = connect(&broker).await;
        broker
            .faults()
            .inject(Fault::new(action).on(ApiKey::Produce).times(1));
        let request = produce_request("a", 0, Some(batch(&["x"])));
        let dropped = client.request(request).await.unwrap_err();
        assert!(
            matches!(dropped, WireError::Disconnected { .. }),
            "{dropped}"
        );
        assert_eq!(broker.inspect().partition("a", 0).unwrap().end_offset, end);
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_silent_connection_stays_open_and_answers_nothing() {
    let broker = start().await;
    broker.create_topic("a", 1).unwrap();
    let address = broker.addr(1).unwrap().to_string();
    let options = ConnectOptions {
        request_timeout: Duration::from_millis(50),
        ..ConnectOptions::default()
    };
    for (action, end) in [(FaultAction::NeverAnswer, 0), (FaultAction::LoseAnswer, 1)] {
        let client = Connection::open(&address, &options).await.unwrap();
        let fault = broker
            .faults()
            .inject(Fault::new(action).on(ApiKey::Produce).times(1));
        let request = produce_request("a", 0, Some(batch(&["x"])));
        let lost = client.request(request).await.unwrap_err();
        assert!(matches!(lost, WireError::RequestTimeout { .. }), "{lost}");
        fault.wait_for_hits(1).await;
        assert_eq!(broker.inspect().partition("a", 0).unwrap().end_offset, end);
    }
    // A silent connection does not hold up the stop.
    broker.stop().await;
}

#[tokio::test]
async fn the_same_seed_makes_the_same_faults() {
    let run = async |seed| {
        let config = BrokerConfig {
            fault_seed: seed,
            ..BrokerConfig::default()
        };
        let broker = start_with(config).await;
        broker.create_topic("a", 1).unwrap();
        let client = connect(&broker).await;
        let fault = Fault::new(FaultAction::Answer(NOT_LEADER)).on(ApiKey::Produce);
        broker.faults().inject(fault.probability(0.5));
        let mut errors = Vec::new();
        for _ in 0..64 {
            errors.push(produce(&client, "a", 0, batch(&["x"])).await.0);
        }
        broker.stop().await;
        errors
    };
    let first = run(1).await;
    assert_eq!(first, run(1).await);
    assert_ne!(first, run(2).await);
    assert!(first.contains(&0) && first.contains(&NOT_LEADER.code()));
}

#[tokio::test]
async fn a_fault_is_for_one_node_or_one_client() {
    let broker = start_with(BrokerConfig::with_nodes(2)).await;
    let (one, two) = (connect_to(&broker, 1).await, connect_to(&broker, 2).await);
    let error = FaultAction::Answer(ResponseError::UnknownServerError);
    let fault = Fault::new(error).on(ApiKey::ListGroups);
    broker.faults().inject(fault.clone().node(2));
    let list = m::ListGroupsRequest::default;
    assert_eq!(one.request(list()).await.unwrap().error_code, 0);
    assert_eq!(two.request(list()).await.unwrap().error_code, -1);
    broker.faults().clear();
    broker
        .faults()
        .inject(fault.clone().client_id("somebody-else"));
    assert_eq!(two.request(list()).await.unwrap().error_code, 0);
    broker.faults().inject(fault.client_id("kafka-wire"));
    assert_eq!(two.request(list()).await.unwrap().error_code, -1);
    broker.stop().await;
}
