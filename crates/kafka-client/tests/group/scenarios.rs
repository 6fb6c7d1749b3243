//! What must hold on every broker.

use std::time::Duration;

use kafka_client::{
    Assignor, Client, ClientConfig, ClientError, ConsumerConfig, ConsumerError, GroupPhase,
    LostReason, OffsetReset, ProducerConfig, ProducerRecord, StartAt, TopicPattern,
};

use crate::kit::{Bed, Journal, Member, assigned, config, keys, tp, wait_for_partitions, within};

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

pub(crate) async fn members_come_and_go_and_every_record_is_handled_once(bed: &Bed) {
    let (topic, group) = (bed.topic(6).await, bed.name("group"));
    let journal = Journal::new();
    let join = || Member::join(&bed.other_client(), config(&group, &topic), &journal);
    let first = join();
    first.wait_for_partitions(6).await;
    bed.produce(&topic, 6, 0..600).await;
    let second = join();
    bed.produce(&topic, 6, 600..1200).await;
    second.wait_for_partitions(3).await;
    first.wait_for_partitions(3).await;
    bed.produce(&topic, 6, 1200..1800).await;
    let third = join();
    bed.produce(&topic, 6, 1800..2400).await;
    third.wait_for_partitions(2).await;
    first.close().await;
    bed.produce(&topic, 6, 2400..3000).await;
    second.wait_for_partitions(3).await;
    third.wait_for_partitions(3).await;
    journal.wait_for(3000).await;
    second.close().await;
    third.close().await;
    journal.assert_exactly(0..3000);
    let committed = bed.committed(&group).await;
    assert!(
        committed.values().all(|offset| *offset == 500),
        "{committed:?}"
    );
}

pub(crate) async fn a_revoked_partition_is_drained_before_it_moves(bed: &Bed) {
    let (topic, group) = (bed.topic(1).await, bed.name("group"));
    bed.produce(&topic, 1, 0..10).await;
    // Of two members with one partition, the one with the lower name gets it: the second takes it from the first.
    let mut mine = config(&group, &topic);
    mine.group_instance_id = Some("b".into());
    let mut first = bed.client.consumer_group(mine.clone()).unwrap();
    let mut partition = assigned(&mut first).await;
    assert_eq!(keys(&mut partition, 4).await, [0, 1, 2, 3]);

    mine.group_instance_id = Some("a".into());
    let mut second = bed.other_client().consumer_group(mine).unwrap();
    within("the revocation", partition.revoked()).await;
    assert!(partition.is_revoked());
    assert!(
        within("a poll", partition.poll(10))
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(first.state().status.phase, GroupPhase::Draining);
    assert!(first.state().partitions[0].revoked);
    // What was under way is finished and committed: the group waits for it.
    partition.commit(4).await.unwrap();
    assert!(second.state().partitions.is_empty());
    drop(partition);

    let mut partition = assigned(&mut second).await;
    assert_eq!(keys(&mut partition, 6).await, [4, 5, 6, 7, 8, 9]);
    drop(partition);
    wait_for_partitions(&first.handle(), 0).await;
    let (a, b) = tokio::join!(first.close(CLOSE), second.close(CLOSE));
    a.unwrap();
    b.unwrap();
}

pub(crate) async fn a_holder_that_does_not_let_go_loses_its_partition(bed: &Bed) {
    let (topic, group) = (bed.topic(1).await, bed.name("group"));
    bed.produce(&topic, 1, 0..3).await;
    let mut mine = config(&group, &topic);
    mine.drain_budget = Duration::from_millis(100);
    mine.group_instance_id = Some("b".into());
    let mut first = bed.client.consumer_group(mine.clone()).unwrap();
    let mut stuck = assigned(&mut first).await;
    assert_eq!(keys(&mut stuck, 1).await, [0]);
    mine.group_instance_id = Some("a".into());
    let mut second = bed.other_client().consumer_group(mine).unwrap();
    let mut partition = assigned(&mut second).await;
    assert_eq!(keys(&mut partition, 3).await, [0, 1, 2]);
    for error in [
        within("a poll", stuck.poll(1)).await.unwrap_err(),
        within("a commit", stuck.commit(1)).await.unwrap_err(),
    ] {
        let reason = LostReason::DrainBudgetExceeded;
        assert!(
            matches!(&error, ConsumerError::Lost { reason: r, .. } if *r == reason),
            "{error}"
        );
    }
    partition.commit(3).await.unwrap();
    assert_eq!(bed.committed(&group).await, [(0, 3)].into());
}

pub(crate) async fn the_last_member_standing_gets_all_when_another_crashes(bed: &Bed) {
    let (topic, group) = (bed.topic(2).await, bed.name("group"));
    let journal = Journal::new();
    let mut mine = config(&group, &topic);
    // The shortest that Kafka takes by default.
    mine.session_timeout = Duration::from_secs(6);
    let first = Member::join(&bed.client, mine.clone(), &journal);
    let second = Member::join(&bed.other_client(), mine, &journal);
    first.wait_for_partitions(1).await;
    second.wait_for_partitions(1).await;
    bed.produce(&topic, 2, 0..100).await;
    journal.wait_for(100).await;
    second.crash().await;
    first.wait_for_partitions(2).await;
    bed.produce(&topic, 2, 100..200).await;
    journal.wait_for(200).await;
    first.close().await;
    let keys: std::collections::BTreeSet<_> = journal.all().iter().map(|s| s.key).collect();
    assert_eq!(keys.len(), 200);
}

pub(crate) async fn a_topic_that_is_made_later_is_waited_for(bed: &Bed) {
    let (topic, group) = (bed.name("topic"), bed.name("group"));
    let journal = Journal::new();
    let member = Member::join(&bed.client, config(&group, &topic), &journal);
    member.wait_for_partitions(0).await;
    bed.create(&topic, 2).await;
    member.wait_for_partitions(2).await;
    bed.produce(&topic, 2, 0..10).await;
    journal.wait_for(10).await;
    member.close().await;
    journal.assert_exactly(0..10);
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

pub(crate) async fn a_pause_keeps_what_is_in_memory(bed: &Bed) {
    let topic = bed.topic(1).await;
    bed.produce(&topic, 1, 0..10).await;
    let start = [(tp(&topic, 0), StartAt::Offset(0))];
    let mut handles = bed
        .client
        .consume(ConsumerConfig::default(), start)
        .unwrap();
    let mut partition = handles.pop().unwrap();
    assert_eq!(keys(&mut partition, 2).await, [0, 1]);
    partition.pause();
    assert!(partition.is_paused());
    assert!(partition.try_poll(10).unwrap().is_none());
    bed.produce(&topic, 1, 10..12).await;
    partition.resume();
    assert_eq!(keys(&mut partition, 10).await, (2..12).collect::<Vec<_>>());
    assert!(partition.try_poll(10).unwrap().is_none());
    assert_eq!(partition.lag(), Some(0));
    let error = partition.commit(12).await.unwrap_err();
    assert!(
        matches!(error, ConsumerError::NotAssigned { .. }),
        "{error}"
    );
}

pub(crate) async fn many_partitions_are_committed_together(bed: &Bed) {
    let (topic, group) = (bed.topic(3).await, bed.name("group"));
    bed.produce(&topic, 3, 0..9).await;
    let mut member = bed.client.consumer_group(config(&group, &topic)).unwrap();
    let mut partitions = Vec::new();
    for _ in 0..3 {
        partitions.push(assigned(&mut member).await);
    }
    for partition in &mut partitions {
        keys(partition, 3).await;
    }
    let offsets = [(tp(&topic, 0), 1), (tp(&topic, 1), 2), (tp(&topic, 2), 3)];
    member.commit(&offsets).await.unwrap();
    assert_eq!(bed.committed(&group).await, [(0, 1), (1, 2), (2, 3)].into());
    let offsets = [(tp(&topic, 0), 2), (tp("other", 0), 2), (tp(&topic, 2), 1)];
    let error = member.commit(&offsets).await.unwrap_err();
    assert_eq!(error.failed.len(), 2, "{error}");
    assert_eq!(bed.committed(&group).await, [(0, 2), (1, 2), (2, 3)].into());
    let state = member.state();
    assert_eq!(state.status.protocol.as_deref(), Some("range"));
    assert!(state.status.is_leader);
    for p in &state.partitions {
        assert_eq!((p.position, p.end, p.lag), (Some(3), Some(3), Some(0)));
    }
    drop(partitions);
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
        partitions.sort_by_key(kafka_client::PartitionConsumer::partition);
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
async fn placed(partition: &kafka_client::PartitionConsumer) -> i64 {
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

pub(crate) async fn topics_that_match_a_pattern_come_and_go(bed: &Bed) {
    let (prefix, group) = (bed.name("pattern"), bed.name("group"));
    let name = |what: &str| format!("{prefix}-{what}");
    bed.create(&name("a"), 2).await;
    bed.create(&bed.name("other"), 1).await;
    let client = Client::new(ClientConfig {
        metadata_max_age: Duration::from_millis(200),
        ..bed.client.config().clone()
    })
    .unwrap();
    for assignor in [Assignor::Range, Assignor::CooperativeSticky] {
        let group = format!("{group}-{}", assignor.name());
        let mut mine = config(&group, "unused");
        mine.topics.clear();
        mine.topic_pattern = Some(TopicPattern::prefix(&prefix));
        mine.assignors = vec![assignor];
        let journal = Journal::new();
        let member = Member::join(&client, mine.clone(), &journal);
        member.wait_for_partitions(2).await;
        let other = Member::join(&client, mine, &journal);
        other.wait_for_partitions(1).await;
        bed.create(&name("b"), 4).await;
        member.wait_for_partitions(3).await;
        other.wait_for_partitions(3).await;
        bed.produce(&name("b"), 4, 0..40).await;
        journal.wait_for(40).await;
        let (admin, b) = (bed.client.admin(), name("b"));
        let names = [b.as_str()];
        let deleted = admin.delete_topics(&names);
        for (_, result) in within("deleting a topic", deleted).await.unwrap() {
            result.unwrap();
        }
        member.wait_for_partitions(1).await;
        other.wait_for_partitions(1).await;
        member.close().await;
        other.close().await;
        journal.assert_exactly(0..40);
    }
}
