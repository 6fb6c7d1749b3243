//! Produce and Fetch.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_broker::{ApiKey, BrokerConfig, ResponseError};
use kafka_wire::batch::{BatchBuilder, HEADER_LEN, batches, set_base_offset};
use kafka_wire::compression::Compression;
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
    wait_for_requests(&broker, ApiKey::Fetch, 1).await;
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
    wait_for_requests(&broker, ApiKey::Fetch, 1).await;
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

#[tokio::test]
async fn batches_that_are_not_right_are_refused() {
    let broker = start().await;
    broker.create_topic("a", 1).unwrap();
    let client = connect(&broker).await;
    let changed = |place: usize, byte: u8| {
        let mut wrong = BytesMut::from(&batch(&["a", "b"])[..]);
        wrong[place] = byte;
        wrong.freeze()
    };
    let mut at_five = BytesMut::from(&batch(&["a"])[..]);
    set_base_offset(&mut at_five, 5).unwrap();
    let two_batches = [batch(&["a"]), batch(&["b"])].concat().into();
    let half = batch(&["a"]).slice(..40);
    let large = "x".repeat(1_100_000);
    let invalid = ResponseError::InvalidRecord;
    for (records, error, what) in [
        (Bytes::new(), invalid, "no batch"),
        (two_batches, invalid, "two batches"),
        (half, ResponseError::CorruptMessage, "half a batch"),
        (at_five.freeze(), invalid, "a base offset"),
        (changed(16, 1), invalid, "magic 1"),
        (
            changed(HEADER_LEN + 1, 9),
            ResponseError::CorruptMessage,
            "a wrong checksum",
        ),
        (
            batch(&[&large]),
            ResponseError::MessageTooLarge,
            "a large batch",
        ),
        (stamped_batch(&["a"], 7, -1, 0), invalid, "no epoch"),
        (stamped_batch(&["a"], 7, 0, -1), invalid, "no sequence"),
    ] {
        let (answered, _) = produce(&client, "a", 0, records).await;
        assert_eq!(answered, error.code(), "{what}");
    }
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    assert_eq!(produce(&client, "a", 1, batch(&["a"])).await.0, unknown);
    assert_eq!(produce(&client, "x", 0, batch(&["a"])).await.0, unknown);
    assert_eq!(broker.inspect().partition("a", 0).unwrap().end_offset, 0);
    broker.stop().await;
}

#[tokio::test]
async fn compressed_batches_are_kept_as_they_came() {
    let broker = start().await;
    broker.create_topic("a", 1).unwrap();
    let client = connect(&broker).await;
    for codec in [
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let mut builder = BatchBuilder::with_capacity(1024);
        for _ in 0..10 {
            builder.append(1, None, Some("the same again and again".as_bytes()), &[]);
        }
        let sent = builder.seal(codec).unwrap().into_bytes();
        let (error, offset) = produce(&client, "a", 0, sent.clone()).await;
        assert_eq!(error, 0, "{codec:?}");
        let kept = broker.inspect().batches("a", 0).pop().unwrap();
        assert_eq!(
            kept[16..],
            sent[16..],
            "only offset and leader epoch change"
        );
        let header = *batches(kept).next().unwrap().unwrap().header();
        assert_eq!(
            (header.base_offset, header.partition_leader_epoch),
            (offset, 0)
        );
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_repeated_batch_is_answered_with_its_first_offset() {
    let broker = start().await;
    broker.create_topic("a", 1).unwrap();
    let client = connect(&broker).await;
    let first = client.request(m::InitProducerIdRequest::default().with_transactional_id(None));
    let first = first.await.unwrap();
    let second = client.request(m::InitProducerIdRequest::default().with_transactional_id(None));
    assert_ne!(first.producer_id, second.await.unwrap().producer_id);

    let id = first.producer_id.0;
    for sequence in 0..6 {
        let sent = produce(&client, "a", 0, stamped_batch(&["x"], id, 0, sequence)).await;
        assert_eq!(sent, (0, i64::from(sequence)));
    }
    let again = produce(&client, "a", 0, stamped_batch(&["x"], id, 0, 2)).await;
    assert_eq!(again, (0, 2));
    let out_of_order = (ResponseError::OutOfOrderSequenceNumber.code(), -1);
    let gap = produce(&client, "a", 0, stamped_batch(&["x"], id, 0, 7)).await;
    assert_eq!(gap, out_of_order);
    let forgotten = produce(&client, "a", 0, stamped_batch(&["x"], id, 0, 0)).await;
    assert_eq!(forgotten, out_of_order);
    let bumped = produce(&client, "a", 0, stamped_batch(&["x"], id, 1, 0)).await;
    assert_eq!(bumped, (0, 6));
    let old = produce(&client, "a", 0, stamped_batch(&["x"], id, 0, 6)).await;
    assert_eq!(old, (ResponseError::InvalidProducerEpoch.code(), -1));
    let partition = broker.inspect().partition("a", 0).unwrap();
    assert_eq!((partition.records, partition.appended_batches), (7, 7));

    let transactional =
        m::InitProducerIdRequest::default().with_transactional_id(Some(m::TransactionalId(s("t"))));
    let refused = client.request(transactional).await.unwrap();
    assert_eq!(refused.error_code, ResponseError::InvalidRequest.code());
    broker.stop().await;
}

#[tokio::test]
async fn of_what_a_request_has_for_a_partition_the_last_is_appended() {
    let broker = start().await;
    broker.create_topic("a", 2).unwrap();
    let client = connect(&broker).await;
    let entry = |index: i32, records: Bytes| {
        let request = produce_request("a", index, Some(records));
        request.topic_data[0].partition_data[0].clone()
    };
    let mut request = produce_request("a", 0, Some(batch(&["first"])));
    request.topic_data[0].partition_data.extend([
        entry(1, batch(&["second"])),
        entry(0, batch(&["third"])),
        entry(7, batch(&["nowhere"])),
    ]);
    // The topic, too, is named twice.
    let again = produce_request("a", 1, Some(batch(&["fourth"])));
    request.topic_data.extend(again.topic_data);
    let response = client.request(request).await.unwrap();
    let mut answers: Vec<_> = response
        .responses
        .iter()
        .flat_map(|topic| &topic.partition_responses)
        .map(|answer| (answer.index, answer.error_code))
        .collect();
    answers.sort_unstable();
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    assert_eq!(answers, [(0, 0), (1, 0), (7, unknown)]);
    for (partition, value) in [(0, "third"), (1, "fourth")] {
        let kept = broker.inspect().batches("a", partition);
        assert_eq!(kept.len(), 1);
        assert_eq!(records(&kept[0]), [(0, value.to_owned())]);
    }

    // Two batches of an idempotent producer: without the first the second is out of order.
    assert_eq!(
        produce(&client, "a", 0, stamped_batch(&["x"], 7, 0, 0)).await,
        (0, 1)
    );
    let mut request = produce_request("a", 0, Some(stamped_batch(&["y"], 7, 0, 1)));
    let second = entry(0, stamped_batch(&["z"], 7, 0, 2));
    request.topic_data[0].partition_data.push(second);
    let response = client.request(request).await.unwrap();
    let answers = &response.responses[0].partition_responses;
    assert_eq!(answers.len(), 1);
    let out_of_order = ResponseError::OutOfOrderSequenceNumber.code();
    assert_eq!(answers[0].error_code, out_of_order);
    assert_eq!(broker.inspect().partition("a", 0).unwrap().end_offset, 2);
    broker.stop().await;
}

#[tokio::test]
async fn acks_decide_whether_there_is_an_answer() {
    use crate::raw::{Raw, encode};
    let broker = start().await;
    broker.create_topic("a", 1).unwrap();
    let client = connect(&broker).await;
    let request = produce_request("a", 0, Some(batch(&["x"])));
    let odd = client.request(request.clone().with_acks(2)).await.unwrap();
    let error = odd.responses[0].partition_responses[0].error_code;
    assert_eq!(error, ResponseError::InvalidRequiredAcks.code());
    assert!(client.request(request.clone().with_acks(1)).await.is_ok());

    // Without acks the next answer on the connection is the next request's.
    let mut raw = Raw::connect(&broker).await;
    raw.send(&encode(0, 9, &request.clone().with_acks(0)))
        .await
        .unwrap();
    let versions = encode(18, 3, &crate::samples::api_versions(3));
    assert!(raw.ask(&versions, 0).await.is_some());
    assert_eq!(broker.inspect().partition("a", 0).unwrap().end_offset, 2);
    // An error can only be told by hanging up.
    let wrong = produce_request("a", 9, Some(batch(&["x"]))).with_acks(0);
    raw.send(&encode(0, 9, &wrong)).await.unwrap();
    assert!(raw.receive().await.is_none());
    broker.stop().await;
}

#[tokio::test]
async fn a_fetch_keeps_to_its_limits_but_for_the_first_batch() {
    let broker = start().await;
    broker.create_topic("a", 2).unwrap();
    let client = connect(&broker).await;
    let size = batch(&["x"]).len();
    for _ in 0..5 {
        produce(&client, "a", 0, batch(&["x"])).await;
        produce(&client, "a", 1, batch(&["y"])).await;
    }
    let fetch = async |partition_max: usize, max: usize| {
        let mut request = fetch_request("a", 0, 1).with_max_bytes(max as i32);
        let wanted = request.topics[0].partitions[0].clone();
        request.topics[0].partitions = vec![wanted.clone(), wanted.with_partition(1)];
        for wanted in &mut request.topics[0].partitions {
            wanted.partition_max_bytes = partition_max as i32;
        }
        let response = client.request(request).await.unwrap();
        let partitions = response.responses[0].partitions.iter();
        partitions
            .map(|p| records(p.records.as_ref().unwrap()).len())
            .collect::<Vec<_>>()
    };
    let plenty = 1 << 20;
    assert_eq!(fetch(plenty, plenty).await, [4, 4]);
    assert_eq!(fetch(2 * size, plenty).await, [2, 2]);
    assert_eq!(
        fetch(2 * size + 1, plenty).await,
        [2, 2],
        "whole batches only"
    );
    assert_eq!(fetch(plenty, 5 * size).await, [4, 1]);
    assert_eq!(
        fetch(1, plenty).await,
        [1, 0],
        "the first batch of all comes whole"
    );
    assert_eq!(fetch(plenty, 0).await, [1, 0]);
    broker.stop().await;
}

#[tokio::test]
async fn a_fetch_waits_for_as_much_as_it_wants() {
    let broker = start().await;
    broker.create_topic("a", 1).unwrap();
    let (reader, writer) = (connect(&broker).await, connect(&broker).await);
    let size = batch(&["x"]).len();
    let request = fetch_request("a", 0, 0)
        .with_max_wait_ms(60_000)
        .with_min_bytes(3 * size as i32);
    let fetch = tokio::spawn(async move { reader.request(request).await });
    wait_for_requests(&broker, ApiKey::Fetch, 1).await;
    for _ in 0..3 {
        assert!(!fetch.is_finished());
        produce(&writer, "a", 0, batch(&["x"])).await;
    }
    let response = fetch.await.unwrap().unwrap();
    assert_eq!(
        records(fetched(&response).records.as_ref().unwrap()).len(),
        3
    );
    broker.stop().await;
}

#[tokio::test]
async fn fetches_of_another_leaders_epoch_are_fenced() {
    let broker = start_with(BrokerConfig::with_nodes(2)).await;
    broker.create_topic("a", 1).unwrap();
    let leader = broker.inspect().partition("a", 0).unwrap().leader.unwrap();
    let other = 3 - leader;
    broker.move_leader("a", 0, other).unwrap();
    let client = connect_to(&broker, other).await;
    let fetch = async |epoch| {
        let mut request = fetch_request("a", 0, 0);
        request.topics[0].partitions[0].current_leader_epoch = epoch;
        fetched(&client.request(request).await.unwrap()).error_code
    };
    assert_eq!(fetch(0).await, ResponseError::FencedLeaderEpoch.code());
    assert_eq!(fetch(1).await, 0);
    assert_eq!(fetch(-1).await, 0);
    assert_eq!(fetch(2).await, ResponseError::UnknownLeaderEpoch.code());
    broker.stop().await;
}

#[tokio::test]
async fn a_fetch_session_that_was_never_given_is_not_found() {
    let broker = start().await;
    broker.create_topic("a", 1).unwrap();
    let client = connect(&broker).await;
    let full = fetch_request("a", 0, 0).with_session_epoch(0);
    let response = client.request(full).await.unwrap();
    assert_eq!((response.error_code, response.session_id), (0, 0));
    let incremental = fetch_request("a", 0, 0)
        .with_session_id(77)
        .with_session_epoch(1);
    let response = client.request(incremental).await.unwrap();
    let not_found = ResponseError::FetchSessionIdNotFound.code();
    assert_eq!(response.error_code, not_found);
    broker.stop().await;
}

#[tokio::test]
async fn a_partition_keeps_no_more_than_it_may() {
    let config = BrokerConfig {
        retention_bytes: 3 * batch(&["x"]).len() as u64,
        ..BrokerConfig::default()
    };
    let broker = start_with(config).await;
    broker.create_topic("a", 1).unwrap();
    let client = connect(&broker).await;
    for offset in 0..10 {
        assert_eq!(produce(&client, "a", 0, batch(&["x"])).await, (0, offset));
    }
    let partition = broker.inspect().partition("a", 0).unwrap();
    assert_eq!(
        (
            partition.start_offset,
            partition.end_offset,
            partition.records
        ),
        (7, 10, 3)
    );
    let response = client.request(fetch_request("a", 0, 6)).await.unwrap();
    let out_of_range = ResponseError::OffsetOutOfRange.code();
    assert_eq!(fetched(&response).error_code, out_of_range);
    assert_eq!(fetched(&response).log_start_offset, 7);
    broker.stop().await;
}
