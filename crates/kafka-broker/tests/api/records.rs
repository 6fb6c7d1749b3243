//! Produce and Fetch.

use std::time::Duration;

use kafka_broker::{BrokerConfig, ResponseError};
use kafka_wire::messages as m;

use crate::support::*;

#[tokio::test]
async fn what_is_produced_is_fetched() {
    let broker = start().await;
    broker.create_topic("orders", 1).unwrap();
    let client = connect(&broker).await;

    assert_eq!(
        produce(&client, "orders", 0, batch(&["a", "b"])).await,
        (0, 0)
    );
    assert_eq!(produce(&client, "orders", 0, batch(&["c"])).await, (0, 2));

    let response = client.request(fetch_request("orders", 0, 1)).await.unwrap();
    let partition = fetched(&response);
    assert_eq!(partition.error_code, 0);
    assert_eq!(
        (partition.high_watermark, partition.log_start_offset),
        (3, 0)
    );
    // Whole batches come, from the one on that holds the offset.
    let expected = [(0, "a"), (1, "b"), (2, "c")].map(|(o, v)| (o, v.to_owned()));
    assert_eq!(records(partition.records.as_ref().unwrap()), expected);
    broker.stop().await;
}

#[tokio::test]
async fn a_waiting_fetch_is_answered_by_the_append() {
    let broker = start().await;
    broker.create_topic("orders", 2).unwrap();
    let (reader, writer) = (connect(&broker).await, connect(&broker).await);

    // It would wait for longer than the connection's own deadline.
    let request = fetch_request("orders", 1, 0).with_max_wait_ms(60_000);
    let fetch = tokio::spawn(async move { reader.request(request).await });
    while broker.inspect().requests(m::ApiKey::Fetch) == 0 {
        tokio::task::yield_now().await;
    }
    // Another partition's records do not end the wait.
    produce(&writer, "orders", 0, batch(&["x"])).await;
    produce(&writer, "orders", 1, batch(&["y"])).await;
    let response = fetch.await.unwrap().unwrap();
    assert_eq!(
        records(fetched(&response).records.as_ref().unwrap()),
        [(0, "y".to_owned())]
    );
    broker.stop().await;
}

#[tokio::test]
async fn an_empty_fetch_returns_when_its_time_is_up() {
    let broker = start().await;
    broker.create_topic("orders", 1).unwrap();
    let client = connect(&broker).await;
    let request = fetch_request("orders", 0, 0).with_max_wait_ms(20);
    let response = client.request(request).await.unwrap();
    assert_eq!(fetched(&response).error_code, 0);
    assert!(fetched(&response).records.as_ref().unwrap().is_empty());
    broker.stop().await;
}

#[tokio::test]
async fn stopping_ends_a_waiting_fetch() {
    let broker = start_with(BrokerConfig::default()).await;
    broker.create_topic("orders", 1).unwrap();
    let client = connect(&broker).await;
    let request = fetch_request("orders", 0, 0).with_max_wait_ms(60_000);
    let fetch = tokio::spawn(async move { client.request(request).await });
    while broker.inspect().requests(m::ApiKey::Fetch) == 0 {
        tokio::task::yield_now().await;
    }
    tokio::time::timeout(Duration::from_secs(5), broker.stop())
        .await
        .expect("stop is bounded");
    assert!(fetch.await.unwrap().is_err());
}

#[tokio::test]
async fn an_offset_outside_the_log_is_out_of_range() {
    let broker = start().await;
    broker.create_topic("orders", 1).unwrap();
    let client = connect(&broker).await;
    for offset in [-1, 1] {
        let request = fetch_request("orders", 0, offset).with_max_wait_ms(60_000);
        let response = client.request(request).await.unwrap();
        let partition = fetched(&response);
        assert_eq!(partition.error_code, ResponseError::OffsetOutOfRange.code());
        assert_eq!(
            (partition.log_start_offset, partition.high_watermark),
            (0, 0)
        );
    }
    broker.stop().await;
}
