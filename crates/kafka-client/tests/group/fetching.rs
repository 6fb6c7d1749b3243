//! What is fetched ahead, and what the next fetch waits for, on the embedded broker.

use std::time::{Duration, Instant};

use kafka_broker::{ApiKey, Fault, FaultAction};
use kafka_client::{
    Assignor, Client, ClientConfig, ConsumerConfig, ConsumerError, ResponseError, StartAt,
};

use crate::kit::{Bed, assigned, config, keys, tp, within};

#[tokio::test]
async fn a_pause_keeps_what_is_in_memory_and_a_seek_does_not() {
    let bed = Bed::embedded().await;
    let topic = bed.topic(1).await;
    bed.produce(&topic, 1, 0..10).await;
    let start = [(tp(&topic, 0), StartAt::Offset(0))];
    let mut handles = bed
        .client
        .consume(ConsumerConfig::default(), start)
        .unwrap();
    let partition = &mut handles[0];
    assert_eq!(keys(partition, 1).await, [0]);
    let silence = Fault::new(FaultAction::NeverAnswer).on(ApiKey::Fetch);
    let silence = bed.broker().faults().inject(silence);
    partition.pause();
    assert!(partition.try_poll(1).unwrap().is_none());
    partition.resume();
    assert_eq!(keys(partition, 2).await, [1, 2], "without a fetch");
    // A seek while it is paused: nothing of before is handed out after it.
    partition.pause();
    partition.seek(8).unwrap();
    assert!(partition.is_paused());
    partition.resume();
    assert!(partition.try_poll(1).unwrap().is_none());
    silence.remove();
    bed.broker().cut_connections(1).unwrap();
    assert_eq!(keys(partition, 2).await, [8, 9]);
}

#[tokio::test]
async fn what_is_in_memory_outlives_a_cooperative_rebalance() {
    let bed = Bed::embedded().await;
    let (topic, group) = (bed.topic(2).await, bed.name("group"));
    bed.produce(&topic, 2, 0..20).await;
    let mut mine = config(&group, &topic);
    mine.assignors = vec![Assignor::CooperativeSticky];
    let mut first = bed.client.consumer_group(mine.clone()).unwrap();
    let mut partitions = [assigned(&mut first).await, assigned(&mut first).await];
    partitions.sort_by_key(kafka_client::PartitionConsumer::partition);
    let [mut stays, mut leaves] = partitions;
    assert_eq!(keys(&mut stays, 1).await, [0]);
    assert_eq!(keys(&mut leaves, 1).await, [1]);
    // From here on nothing is fetched any more.
    let silence = Fault::new(FaultAction::NeverAnswer).on(ApiKey::Fetch);
    bed.broker().faults().inject(silence);
    let mut second = bed.other_client().consumer_group(mine).unwrap();
    within("the revocation", leaves.revoked()).await;
    drop(leaves);
    assigned(&mut second).await;
    assert_eq!(keys(&mut stays, 9).await, [2, 4, 6, 8, 10, 12, 14, 16, 18]);
    stays.commit(10).await.unwrap();
}

/// With polls that the broker holds for longer than any test waits, each of these would hang if it waited for one.
#[tokio::test]
async fn nothing_waits_for_the_end_of_a_long_poll() {
    let bed = Bed::embedded().await;
    let topic = bed.topic(3).await;
    bed.produce(&topic, 3, 0..30).await;
    let slow = ConsumerConfig {
        fetch_max_wait: Duration::from_secs(120),
        partition_max_bytes: 1,
        partition_buffer_bytes: 1,
        ..ConsumerConfig::default()
    };
    let started = Instant::now();
    let all = (0..3).map(|p| (tp(&topic, p), StartAt::Offset(0)));
    let mut handles = bed.client.consume(slow, all).unwrap();
    for (handle, number) in handles.iter_mut().zip(0..) {
        // A buffer of one byte is full with each batch: the next is fetched when this one is polled.
        let expected: Vec<_> = (0..10).map(|n| number + 3 * n).collect();
        assert_eq!(keys(handle, 10).await, expected);
    }
    for (handle, number) in handles.iter_mut().zip(0..) {
        handle.seek(9).unwrap();
        assert_eq!(keys(handle, 1).await, [27 + number]);
        handle.pause();
        bed.produce(&topic, 3, 30 + number..31 + number).await;
        handle.resume();
        assert_eq!(keys(handle, 1).await, [30 + number]);
    }
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn a_throttled_client_waits_and_a_refused_fetch_is_asked_again() {
    let bed = Bed::embedded().await;
    let topic = bed.topic(1).await;
    bed.produce(&topic, 1, 0..5).await;
    let throttle = Duration::from_millis(300);
    let fault = Fault::new(FaultAction::Throttle(throttle))
        .on(ApiKey::Fetch)
        .times(1);
    let throttled = bed.broker().faults().inject(fault);
    let start = [(tp(&topic, 0), StartAt::Offset(0))];
    let mut handles = bed
        .client
        .consume(ConsumerConfig::default(), start)
        .unwrap();
    let partition = &mut handles[0];
    within("the throttling", throttled.wait_for_hits(1)).await;
    assert_eq!(keys(partition, 5).await, [0, 1, 2, 3, 4]);
    let started = Instant::now();
    bed.produce(&topic, 1, 5..6).await;
    assert_eq!(keys(partition, 1).await, [5]);
    assert!(started.elapsed() >= throttle / 2, "{:?}", started.elapsed());

    let denied = FaultAction::Answer(ResponseError::TopicAuthorizationFailed);
    bed.broker()
        .faults()
        .inject(Fault::new(denied).on(ApiKey::Fetch).times(1));
    bed.broker().cut_connections(1).unwrap();
    let error = within("a poll", partition.poll(1)).await.unwrap_err();
    assert!(
        matches!(
            error,
            ConsumerError::Fetch {
                code: ResponseError::TopicAuthorizationFailed,
                ..
            }
        ),
        "{error}"
    );
    for code in [
        ResponseError::NotLeaderOrFollower,
        ResponseError::UnknownTopicOrPartition,
    ] {
        let refused = Fault::new(FaultAction::Answer(code))
            .on(ApiKey::Fetch)
            .times(1);
        bed.broker().faults().inject(refused);
    }
    bed.produce(&topic, 1, 6..7).await;
    assert_eq!(keys(partition, 1).await, [6]);
}

#[tokio::test]
async fn a_partition_that_stands_still_is_fetched_anew() {
    let bed = Bed::embedded().await;
    let topic = bed.topic(1).await;
    bed.produce(&topic, 1, 0..3).await;
    // An answer that is never given would be waited for much longer than this test takes.
    let silence = Fault::new(FaultAction::NeverAnswer)
        .on(ApiKey::Fetch)
        .times(1);
    let silence = bed.broker().faults().inject(silence);
    let patient = ClientConfig {
        request_timeout: Duration::from_secs(3_600),
        ..ClientConfig::new(&bed.broker().bootstrap_servers())
    };
    let config = ConsumerConfig {
        stall_timeout: Duration::from_millis(200),
        fetch_max_wait: Duration::from_millis(100),
        ..ConsumerConfig::default()
    };
    let client = Client::new(patient).unwrap();
    let mut partitions = client
        .consume(config, [(tp(&topic, 0), StartAt::Offset(0))])
        .unwrap();
    let mut partition = partitions.remove(0);
    assert_eq!(keys(&mut partition, 3).await, [0, 1, 2]);
    assert_eq!(silence.hits(), 1);
}

#[tokio::test]
async fn a_partition_whose_broker_asked_to_be_spared_does_not_stand_still() {
    let bed = Bed::embedded().await;
    let topic = bed.topic(1).await;
    bed.produce(&topic, 1, 0..1).await;
    let throttle = Duration::from_secs(2);
    let fault = Fault::new(FaultAction::Throttle(throttle)).on(ApiKey::Fetch);
    let throttled = bed.broker().faults().inject(fault.times(1));
    let config = ConsumerConfig {
        stall_timeout: Duration::from_millis(100),
        fetch_max_wait: Duration::from_millis(50),
        ..ConsumerConfig::default()
    };
    let started = Instant::now();
    let start = [(tp(&topic, 0), StartAt::Offset(0))];
    let mut partition = bed.client.consume(config, start).unwrap().remove(0);
    assert_eq!(keys(&mut partition, 1).await, [0]);
    assert_eq!(throttled.hits(), 1);
    bed.produce(&topic, 1, 1..2).await;
    assert_eq!(keys(&mut partition, 1).await, [1]);
    assert!(started.elapsed() >= throttle, "{:?}", started.elapsed());
}
