//! Where reading starts: what must hold on every broker, and, on the embedded one, what happens when the question for it goes wrong.

use std::time::Duration;

use kafka_broker::{ApiKey, Fault, FaultAction};
use kafka_client::{
    Client, ClientConfig, ClientError, ConsumerConfig, ConsumerError, OffsetReset,
    PartitionConsumer, ProducerConfig, ProducerRecord, ResponseError, StartAt,
};

use crate::kit::{Bed, Journal, Member, assigned, config, keys, tp, within};

const CLOSE: Duration = Duration::from_secs(15);

pub(crate) async fn earliest_reads_all_that_is_there(bed: &Bed) {
    let (topic, group) = (bed.topic(3).await, bed.name("group"));
    bed.produce(&topic, 3, 0..300).await;
    let journal = Journal::new();
    let member = Member::join(&bed.client, config(&group, &topic), &journal);
    journal.wait_for(300).await;
    member.close().await;
    journal.assert_exactly(0..300);
    let committed = bed.committed(&group).await;
    assert_eq!(committed, [(0, 100), (1, 100), (2, 100)].into());
}

pub(crate) async fn latest_reads_only_what_comes(bed: &Bed) {
    let (topic, group) = (bed.topic(2).await, bed.name("group"));
    bed.produce(&topic, 2, 0..20).await;
    let mut config = config(&group, &topic);
    config.consumer.auto_offset_reset = OffsetReset::Latest;
    let journal = Journal::new();
    let member = Member::join(&bed.client, config, &journal);
    member.wait_for_partitions(2).await;
    bed.produce(&topic, 2, 20..40).await;
    journal.wait_for(20).await;
    member.close().await;
    let mut keys: Vec<_> = journal.all().iter().map(|s| s.key).collect();
    keys.sort_unstable();
    assert_eq!(keys, (20..40).collect::<Vec<_>>());
}

pub(crate) async fn reading_goes_on_where_it_was_committed(bed: &Bed) {
    let (topic, group) = (bed.topic(1).await, bed.name("group"));
    bed.produce(&topic, 1, 0..50).await;
    let mut first = bed.client.consumer_group(config(&group, &topic)).unwrap();
    let mut partition = assigned(&mut first).await;
    assert_eq!(keys(&mut partition, 30).await, (0..30).collect::<Vec<_>>());
    assert_eq!(partition.position(), Some(30));
    partition.commit(20).await.unwrap();
    assert_eq!(partition.committed(), Some(20));
    // Going back needs a seek.
    let error = partition.commit(10).await.unwrap_err();
    assert!(
        matches!(
            error,
            ConsumerError::CommitBehind {
                offset: 10,
                committed: 20,
                ..
            }
        ),
        "{error}"
    );
    drop(partition);
    first.close(CLOSE).await.unwrap();

    let mut second = bed
        .other_client()
        .consumer_group(config(&group, &topic))
        .unwrap();
    let mut partition = assigned(&mut second).await;
    assert_eq!(keys(&mut partition, 30).await, (20..50).collect::<Vec<_>>());
    partition.seek(5).unwrap();
    assert_eq!(keys(&mut partition, 3).await, [5, 6, 7]);
    partition.commit(8).await.unwrap();
    assert_eq!(bed.committed(&group).await, [(0, 8)].into());
    drop(partition);
    second.close(CLOSE).await.unwrap();
}

pub(crate) async fn without_an_offset_polls_fail_until_somebody_seeks(bed: &Bed) {
    let (topic, group) = (bed.topic(1).await, bed.name("group"));
    bed.produce(&topic, 1, 0..7).await;
    let mut mine = config(&group, &topic);
    mine.consumer.auto_offset_reset = OffsetReset::Error;
    let mut member = bed.client.consumer_group(mine).unwrap();
    let mut partition = assigned(&mut member).await;
    for _ in 0..2 {
        let error = within("a poll", partition.poll(1)).await.unwrap_err();
        assert!(
            matches!(
                error,
                ConsumerError::NoOffset {
                    offset: None,
                    log_start: 0,
                    log_end: 7,
                    ..
                }
            ),
            "{error}"
        );
    }
    partition.seek(1000).unwrap();
    let error = within("a poll", partition.poll(1)).await.unwrap_err();
    assert!(
        matches!(
            error,
            ConsumerError::NoOffset {
                offset: Some(1000),
                log_start: 0,
                log_end: 7,
                ..
            }
        ),
        "{error}"
    );
    partition.seek(5).unwrap();
    assert_eq!(keys(&mut partition, 2).await, [5, 6]);
    drop(partition);
    member.close(CLOSE).await.unwrap();
}

pub(crate) async fn a_partition_is_read_without_a_group_from_any_place(bed: &Bed) {
    let topic = bed.topic(1).await;
    let producer = bed.client.producer(ProducerConfig::default());
    const START: i64 = 1_700_000_000_000;
    for number in 0..5i64 {
        let key = number.to_string();
        let record = ProducerRecord::new(&topic)
            .key(key.as_bytes())
            .timestamp(START + number * 1_000);
        let delivery = producer.send(&record).await.unwrap();
        within("producing", delivery).await.unwrap();
    }
    let read = |at| {
        let start = [(tp(&topic, 0), at)];
        let config = ConsumerConfig::default();
        bed.client.consume(config, start).unwrap().remove(0)
    };
    for (at, first) in [
        (StartAt::Earliest, 0),
        (StartAt::Offset(3), 3),
        (StartAt::Timestamp(0), 0),
        (StartAt::Timestamp(START + 2_000), 2),
        (StartAt::Timestamp(START + 2_001), 3),
    ] {
        let expected: Vec<u32> = (first..5).collect();
        assert_eq!(
            keys(&mut read(at), expected.len()).await,
            expected,
            "{at:?}"
        );
    }
    for at in [
        StartAt::Latest,
        StartAt::Reset,
        StartAt::Timestamp(START + 5_000),
    ] {
        let mut partition = read(at);
        assert_eq!(placed(&partition).await, 5, "{at:?}");
        let nothing = partition.try_poll(1).unwrap();
        assert!(nothing.is_none(), "{at:?}");
    }
}

pub(crate) async fn a_group_without_offsets_starts_at_a_time(bed: &Bed) {
    let topic = bed.topic(2).await;
    let producer = bed.client.producer(ProducerConfig::default());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = i64::try_from(now.unwrap().as_millis()).unwrap();
    const HOUR: i64 = 3_600_000;
    for (key, partition, hours) in [("0", 0, 5), ("1", 1, 5), ("2", 0, 3), ("3", 0, 1)] {
        let record = ProducerRecord::new(&topic).key(key.as_bytes());
        let record = record.partition(partition).timestamp(now - hours * HOUR);
        let delivery = producer.send(&record).await.unwrap();
        within("producing", delivery).await.unwrap();
    }
    let four_hours = Duration::from_secs(4 * 3600);
    for (policy, young) in [
        (OffsetReset::ByDuration(four_hours), &[2, 3][..]),
        (OffsetReset::Timestamp(now - 3 * HOUR), &[2, 3]),
        (OffsetReset::Timestamp(now - 3 * HOUR + 1), &[3]),
    ] {
        let mut mine = config(&bed.name("group"), &topic);
        mine.consumer.auto_offset_reset = policy;
        let mut member = bed.client.consumer_group(mine).unwrap();
        let mut partitions = [assigned(&mut member).await, assigned(&mut member).await];
        partitions.sort_by_key(PartitionConsumer::partition);
        let [mut first, second] = partitions;
        assert_eq!(keys(&mut first, young.len()).await, young, "{policy:?}");
        // None is as young as that: behind the newest one.
        assert_eq!(placed(&second).await, 1, "{policy:?}");

        // And from wherever a handle is sought to.
        for (place, expected) in [
            (StartAt::Earliest, &[0, 2, 3][..]),
            (StartAt::Timestamp(now - 2 * HOUR), &[3]),
            (StartAt::Offset(1), &[2, 3]),
            (StartAt::Reset, young),
            // Outside of the log.
            (StartAt::Offset(100), young),
        ] {
            first.seek_to(place).unwrap();
            let read = keys(&mut first, expected.len()).await;
            assert_eq!(read, expected, "{place:?} under {policy:?}");
        }
        first.seek_to(StartAt::Latest).unwrap();
        assert_eq!(placed(&first).await, 3);
        let error = first.seek_to(StartAt::Timestamp(-1)).unwrap_err();
        assert!(
            matches!(error, ConsumerError::InvalidOffset { .. }),
            "{error}"
        );
        drop((first, second));
        member.close(CLOSE).await.unwrap();
    }
    let mut before_1970 = config(&bed.name("group"), &topic);
    before_1970.consumer.auto_offset_reset = OffsetReset::Timestamp(-1);
    let error = bed.client.consumer_group(before_1970).unwrap_err();
    assert!(matches!(error, ClientError::Config(_)), "{error}");
}

/// The position, once it is known.
async fn placed(partition: &PartitionConsumer) -> i64 {
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let placed = async {
        loop {
            match partition.position() {
                Some(position) => return position,
                None => ticks.tick().await,
            };
        }
    };
    within("a position", placed).await
}

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

#[tokio::test]
async fn a_leader_that_is_silent_holds_up_no_start_but_its_own() {
    let bed = Bed::nodes(2).await;
    let topic = bed.topic(2).await;
    bed.produce(&topic, 2, 0..4).await;
    for (partition, node) in [(0, 1), (1, 2)] {
        bed.broker().move_leader(&topic, partition, node).unwrap();
    }
    let list = |action| Fault::new(action).on(ApiKey::ListOffsets);
    let faults = bed.broker().faults();
    faults.inject(list(FaultAction::NeverAnswer).node(2));
    // Nor does it if the other is asked a second time.
    let again = FaultAction::Answer(ResponseError::LeaderNotAvailable);
    let again = faults.inject(list(again).node(1).times(1));
    // The silent one is waited for, for longer than any test takes.
    let client = Client::new(ClientConfig {
        request_timeout: Duration::from_secs(3_600),
        ..ClientConfig::new(bed.bootstrap())
    });
    let start = [0, 1].map(|partition| (tp(&topic, partition), StartAt::Earliest));
    let mut handles = client
        .unwrap()
        .consume(ConsumerConfig::default(), start)
        .unwrap();
    assert_eq!(keys(&mut handles[0], 2).await, [0, 2]);
    assert_eq!(again.hits(), 1);
    assert_eq!(handles[1].position(), None);
}
