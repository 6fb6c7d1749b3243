//! What must hold on every broker.

use std::time::Duration;

use kafka_client::{
    Assignor, Client, ClientConfig, ConsumerConfig, ConsumerError, GroupPhase, LostReason, StartAt,
    TopicPattern,
};

use crate::kit::{Bed, Journal, Member, assigned, config, keys, tp, wait_for_partitions, within};

const CLOSE: Duration = Duration::from_secs(15);

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
    journal.wait_for_keys(200).await;
    first.close().await;
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
