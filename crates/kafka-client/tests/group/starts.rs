//! Where reading starts when the question for it goes wrong, on the embedded broker.

use std::time::Duration;

use kafka_broker::{ApiKey, Fault, FaultAction};
use kafka_client::{
    ClientError, ConsumerConfig, ConsumerError, PartitionConsumer, ResponseError, StartAt,
};

use crate::kit::{Bed, assigned, config, keys, tp, within};

/// The next poll fails with what a broker answered to this request.
async fn refused(partition: &mut PartitionConsumer, api: &str, code: ResponseError) {
    let error = within("a poll", partition.poll(10)).await.unwrap_err();
    let ConsumerError::Client(ClientError::Broker {
        api: asked,
        code: told,
        ..
    }) = &error
    else {
        panic!("{error}");
    };
    assert_eq!((*asked, *told), (api, code));
}

#[tokio::test]
async fn a_start_that_is_refused_is_told_and_asked_for_again() {
    for (api, code) in [
        (ApiKey::OffsetFetch, ResponseError::UnknownServerError),
        (ApiKey::OffsetFetch, ResponseError::GroupAuthorizationFailed),
        (ApiKey::OffsetFetch, ResponseError::TopicAuthorizationFailed),
        (ApiKey::ListOffsets, ResponseError::UnknownServerError),
        (ApiKey::ListOffsets, ResponseError::TopicAuthorizationFailed),
    ] {
        let bed = Bed::embedded().await;
        let (topic, group) = (bed.topic(1).await, bed.name("group"));
        bed.produce(&topic, 1, 0..3).await;
        let fault = Fault::new(FaultAction::Answer(code)).on(api).times(2);
        let fault = bed.broker().faults().inject(fault);
        let mut member = bed.client.consumer_group(config(&group, &topic)).unwrap();
        let mut partition = assigned(&mut member).await;
        for _ in 0..2 {
            refused(&mut partition, &format!("{api:?}"), code).await;
        }
        assert_eq!(keys(&mut partition, 3).await, [0, 1, 2]);
        assert_eq!(fault.hits(), 2);
    }
}

#[tokio::test]
async fn a_start_without_a_group_that_is_refused_is_told_and_asked_for_again() {
    let bed = Bed::embedded().await;
    let topic = bed.topic(1).await;
    bed.produce(&topic, 1, 0..3).await;
    let code = ResponseError::TopicAuthorizationFailed;
    let fault = Fault::new(FaultAction::Answer(code)).on(ApiKey::ListOffsets);
    bed.broker().faults().inject(fault.times(2));
    let start = [(tp(&topic, 0), StartAt::Earliest)];
    let mut handles = bed
        .client
        .consume(ConsumerConfig::default(), start)
        .unwrap();
    for _ in 0..2 {
        refused(&mut handles[0], "ListOffsets", code).await;
    }
    assert_eq!(keys(&mut handles[0], 3).await, [0, 1, 2]);
}

#[tokio::test]
async fn a_seek_wins_over_a_start_that_was_refused() {
    let bed = Bed::embedded().await;
    let (topic, group) = (bed.topic(1).await, bed.name("group"));
    bed.produce(&topic, 1, 0..3).await;
    let code = ResponseError::GroupAuthorizationFailed;
    let fault = Fault::new(FaultAction::Answer(code)).on(ApiKey::OffsetFetch);
    bed.broker().faults().inject(fault);
    let mut member = bed.client.consumer_group(config(&group, &topic)).unwrap();
    let mut partition = assigned(&mut member).await;
    refused(&mut partition, "OffsetFetch", code).await;
    partition.seek_to(StartAt::Earliest).unwrap();
    assert_eq!(keys(&mut partition, 1).await, [0]);
    partition.seek(2).unwrap();
    assert_eq!(keys(&mut partition, 1).await, [2]);
}

#[tokio::test]
async fn a_partition_whose_committed_offset_is_not_known_yet_does_not_hold_up_the_others() {
    let bed = Bed::embedded().await;
    let (topic, group) = (bed.topic(2).await, bed.name("group"));
    bed.produce(&topic, 2, 0..4).await;
    let unstable = FaultAction::Answer(ResponseError::UnstableOffsetCommit);
    let unstable = Fault::new(unstable)
        .on(ApiKey::OffsetFetch)
        .topic(&topic)
        .partition(0);
    let unstable = bed.broker().faults().inject(unstable);
    let mut mine = config(&group, &topic);
    // Nothing else is to wake whoever looks for the places to start from.
    mine.consumer.stall_timeout = Duration::from_secs(3_600);
    let mut member = bed.client.consumer_group(mine).unwrap();
    let mut partitions = [assigned(&mut member).await, assigned(&mut member).await];
    partitions.sort_by_key(PartitionConsumer::partition);
    let [mut waits, mut starts] = partitions;
    assert_eq!(keys(&mut starts, 2).await, [1, 3]);
    assert_eq!(waits.position(), None);
    unstable.remove();
    assert_eq!(keys(&mut waits, 2).await, [0, 2]);
}
