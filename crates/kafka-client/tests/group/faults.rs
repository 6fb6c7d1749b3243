//! What goes wrong, on the embedded broker: it can be told to.

use std::time::{Duration, Instant};

use kafka_broker::{ApiKey, Fault, FaultAction};
use kafka_client::{
    Assignor, Client, ClientConfig, ConsumerConfig, ConsumerError, GroupEvent, GroupPhase,
    LostReason, ResponseError, StartAt,
};

use crate::kit::{Bed, Journal, Member, assigned, config, keys, tp, within};

const CLOSE: Duration = Duration::from_secs(15);

#[tokio::test]
async fn a_session_that_expires_loses_the_partitions_and_joins_anew() {
    let bed = Bed::embedded().await;
    let (topic, group) = (bed.topic(1).await, bed.name("group"));
    bed.produce(&topic, 1, 0..10).await;
    let mut mine = config(&group, &topic);
    mine.session_timeout = Duration::from_millis(900);
    mine.heartbeat_interval = Duration::from_millis(100);
    let mut member = bed.client.consumer_group(mine).unwrap();
    let mut partition = assigned(&mut member).await;
    assert_eq!(keys(&mut partition, 4).await, [0, 1, 2, 3]);
    partition.commit(2).await.unwrap();
    let silence = Fault::new(FaultAction::NeverAnswer).on(ApiKey::Heartbeat);
    let silence = bed.broker().faults().inject(silence);
    within("the loss", partition.revoked()).await;
    let error = within("a poll", partition.poll(1)).await.unwrap_err();
    assert!(
        matches!(
            error,
            ConsumerError::Lost {
                reason: LostReason::SessionExpired | LostReason::UnknownMember,
                ..
            }
        ),
        "{error}"
    );
    assert!(partition.commit(4).await.unwrap_err().is_lost());
    silence.remove();
    drop(partition);
    let mut partition = assigned(&mut member).await;
    assert_eq!(keys(&mut partition, 2).await, [2, 3]);
    partition.commit(4).await.unwrap();
    drop(partition);
    member.close(CLOSE).await.unwrap();
}

#[tokio::test]
async fn a_commit_outlives_lost_answers_and_moods_of_the_coordinator() {
    let bed = Bed::embedded().await;
    let (topic, group) = (bed.topic(1).await, bed.name("group"));
    bed.produce(&topic, 1, 0..20).await;
    let mut member = bed.client.consumer_group(config(&group, &topic)).unwrap();
    let mut partition = assigned(&mut member).await;
    keys(&mut partition, 20).await;
    let actions = [
        FaultAction::DropBefore,
        FaultAction::DropAfter,
        FaultAction::Answer(ResponseError::NotCoordinator),
        FaultAction::Answer(ResponseError::CoordinatorNotAvailable),
        FaultAction::Answer(ResponseError::CoordinatorLoadInProgress),
    ];
    for (action, offset) in actions.into_iter().zip(1..) {
        let fault = Fault::new(action).on(ApiKey::OffsetCommit).times(1);
        let fault = bed.broker().faults().inject(fault);
        within("a commit", partition.commit(offset)).await.unwrap();
        fault.wait_for_hits(1).await;
        assert_eq!(bed.committed(&group).await, [(0, offset)].into());
    }
    let denied = FaultAction::Answer(ResponseError::GroupAuthorizationFailed);
    let denied = Fault::new(denied).on(ApiKey::OffsetCommit).times(1);
    bed.broker().faults().inject(denied);
    let error = within("a commit", partition.commit(9)).await.unwrap_err();
    assert!(
        matches!(error, ConsumerError::Commit { offset: 9, .. }),
        "{error}"
    );
    // What was not committed is not in the way of a lower offset.
    partition.commit(8).await.unwrap();
    drop(partition);
    member.close(CLOSE).await.unwrap();
}

#[tokio::test]
async fn after_a_reset_to_an_earlier_offset_a_commit_may_go_back() {
    let bed = Bed::embedded().await;
    let (topic, group) = (bed.topic(1).await, bed.name("group"));
    bed.produce(&topic, 1, 0..5).await;
    let mut member = bed.client.consumer_group(config(&group, &topic)).unwrap();
    let mut partition = assigned(&mut member).await;
    assert_eq!(keys(&mut partition, 5).await, [0, 1, 2, 3, 4]);
    partition.commit(5).await.unwrap();
    let gone = FaultAction::Answer(ResponseError::OffsetOutOfRange);
    let gone = Fault::new(gone).on(ApiKey::Fetch).topic(&topic).times(1);
    bed.broker().faults().inject(gone);
    assert_eq!(keys(&mut partition, 2).await, [0, 1]);
    within("a commit", partition.commit(2)).await.unwrap();
    assert_eq!(bed.committed(&group).await, [(0, 2)].into());
    drop(partition);
    member.close(CLOSE).await.unwrap();
}

#[tokio::test]
async fn a_holder_that_does_not_poll_has_its_member_leave_until_it_polls_again() {
    let bed = Bed::embedded().await;
    let (topic, group) = (bed.topic(2).await, bed.name("group"));
    bed.produce(&topic, 2, 0..20).await;
    let mut mine = config(&group, &topic);
    let journal = Journal::new();
    let mut patient = mine.clone();
    patient.group_instance_id = Some("other".into());
    mine.max_poll_interval = Duration::from_secs(1);
    let mut member = bed.client.consumer_group(mine).unwrap();
    let mut stuck = assigned(&mut member).await;
    let mut paused = assigned(&mut member).await;
    paused.pause();
    let number = stuck.partition() as u32;
    // Whoever waits in a poll may do so for long.
    assert_eq!(keys(&mut stuck, 10).await.len(), 10);
    let nothing = tokio::time::timeout(Duration::from_secs(2), stuck.poll(1)).await;
    assert!(nothing.is_err(), "nothing is there");
    assert!(!stuck.is_revoked());
    stuck.seek(4).unwrap();
    assert_eq!(keys(&mut stuck, 1).await, [8 + number]);
    // This is taken for stuck.
    within("the loss", stuck.revoked()).await;
    within("the loss", paused.revoked()).await;
    let mut watch = member.handle().watch();
    let expelled = watch.wait_for(|status| status.phase == GroupPhase::Expelled);
    within("leaving", expelled).await.unwrap();
    // Another takes over at once, although the partitions are not dropped yet, and its session timeout is longer than
    // this test waits.
    let other = Member::join(&bed.other_client(), patient, &journal);
    other.wait_for_partitions(2).await;
    journal.wait_for(20).await;
    for error in [
        within("a poll", stuck.poll(1)).await.unwrap_err(),
        within("a commit", stuck.commit(5)).await.unwrap_err(),
        within("a poll", paused.poll(1)).await.unwrap_err(),
    ] {
        let reason = LostReason::MaxPollIntervalExceeded;
        assert!(
            matches!(&error, ConsumerError::Lost { reason: r, .. } if *r == reason),
            "{error}"
        );
    }
    assert_eq!(member.state().status.phase, GroupPhase::Expelled);
    drop((stuck, paused));
    let partition = assigned(&mut member).await;
    other.wait_for_partitions(1).await;
    drop(partition);
    other.close().await;
    member.close(CLOSE).await.unwrap();
}

#[tokio::test]
async fn a_long_pause_does_not_have_the_member_leave_when_it_ends() {
    let bed = Bed::embedded().await;
    let (topic, group) = (bed.topic(1).await, bed.name("group"));
    bed.produce(&topic, 1, 0..4).await;
    let mut mine = config(&group, &topic);
    mine.max_poll_interval = Duration::from_secs(2);
    mine.heartbeat_interval = Duration::from_millis(100);
    let mut member = bed.client.consumer_group(mine).unwrap();
    let mut partition = assigned(&mut member).await;
    assert_eq!(keys(&mut partition, 2).await, [0, 1]);
    partition.pause();
    // The heartbeats tell the time: this is longer than the longest between polls.
    let beats = Fault::new(FaultAction::DelayAnswer(Duration::ZERO)).on(ApiKey::Heartbeat);
    let beats = bed.broker().faults().inject(beats);
    within("the pause", beats.wait_for_hits(25)).await;
    partition.resume();
    within("a heartbeat", beats.wait_for_hits(beats.hits() + 1)).await;
    assert_eq!(keys(&mut partition, 2).await, [2, 3]);
    assert_eq!(member.state().status.phase, GroupPhase::Stable);
    assert!(!partition.is_revoked());
}

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

#[tokio::test]
async fn a_cooperative_member_whose_joins_are_not_answered_loses_its_partitions() {
    let bed = Bed::embedded().await;
    let (topic, group) = (bed.topic(1).await, bed.name("group"));
    bed.produce(&topic, 1, 0..4).await;
    let mut mine = config(&group, &topic);
    mine.assignors = vec![Assignor::CooperativeSticky];
    mine.session_timeout = Duration::from_millis(900);
    mine.heartbeat_interval = Duration::from_millis(100);
    let mut member = bed.client.consumer_group(mine).unwrap();
    let mut partition = assigned(&mut member).await;
    assert_eq!(keys(&mut partition, 1).await, [0]);
    let lost = Fault::new(FaultAction::DropBefore).on(ApiKey::JoinGroup);
    let lost = bed.broker().faults().inject(lost);
    let rebalance = FaultAction::Answer(ResponseError::RebalanceInProgress);
    let rebalance = Fault::new(rebalance).on(ApiKey::Heartbeat).times(1);
    bed.broker().faults().inject(rebalance);
    // It reads on at first: its join may be answered yet.
    lost.wait_for_hits(1).await;
    assert_eq!(keys(&mut partition, 1).await, [1]);
    within("the loss", partition.revoked()).await;
    let error = within("a poll", partition.poll(1)).await.unwrap_err();
    assert!(error.is_lost(), "{error}");
    lost.remove();
    drop(partition);
    let mut partition = assigned(&mut member).await;
    assert_eq!(keys(&mut partition, 4).await, [0, 1, 2, 3]);
}

#[tokio::test]
async fn a_member_that_is_closed_while_it_joins_commits_what_it_did() {
    let bed = Bed::embedded().await;
    let (topic, group) = (bed.topic(2).await, bed.name("group"));
    bed.produce(&topic, 2, 0..20).await;
    let mut mine = config(&group, &topic);
    mine.assignors = vec![Assignor::CooperativeSticky];
    let mut first = bed.client.consumer_group(mine.clone()).unwrap();
    let mut partitions = [assigned(&mut first).await, assigned(&mut first).await];
    for partition in &mut partitions {
        assert_eq!(keys(partition, 3).await.len(), 3);
    }
    // The group is in a new generation, and the member does not know it yet.
    let late = Fault::new(FaultAction::DelayAnswer(Duration::from_millis(400)));
    let late = bed.broker().faults().inject(late.on(ApiKey::JoinGroup));
    let _second = bed.other_client().consumer_group(mine).unwrap();
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let next_generation = async {
        while bed.broker().inspect().group(&group).unwrap().generation < 2 {
            ticks.tick().await;
        }
    };
    within("the next generation", next_generation).await;
    let closing = tokio::spawn(first.close(CLOSE));
    for partition in partitions {
        within("the end", partition.revoked()).await;
        within("a commit", partition.commit(3)).await.unwrap();
    }
    within("closing", closing).await.unwrap().unwrap();
    late.remove();
    assert_eq!(bed.committed(&group).await, [(0, 3), (1, 3)].into());
}

#[tokio::test]
async fn a_coordinator_and_a_leader_that_move_are_found_again() {
    let bed = Bed::nodes(2).await;
    let (topic, group) = (bed.topic(2).await, bed.name("group"));
    let journal = Journal::new();
    let member = Member::join(&bed.client, config(&group, &topic), &journal);
    member.wait_for_partitions(2).await;
    for round in 0..6 {
        let node = 1 + round % 2;
        bed.broker().move_coordinator(&group, node).unwrap();
        bed.broker().move_leader(&topic, 0, node).unwrap();
        bed.broker().move_leader(&topic, 1, 3 - node).unwrap();
        let keys = round as u32 * 50..(round as u32 + 1) * 50;
        bed.produce(&topic, 2, keys.clone()).await;
        journal.wait_for(keys.end as usize).await;
    }
    member.close().await;
    journal.assert_exactly(0..300);
    assert_eq!(bed.committed(&group).await, [(0, 150), (1, 150)].into());
}

#[tokio::test]
async fn a_broker_that_restarts_is_found_again() {
    let bed = Bed::embedded().await;
    let (topic, group) = (bed.topic(2).await, bed.name("group"));
    let journal = Journal::new();
    let member = Member::join(&bed.client, config(&group, &topic), &journal);
    bed.produce(&topic, 2, 0..100).await;
    journal.wait_for(100).await;
    bed.broker().crash_node(1).await.unwrap();
    bed.broker().start_node(1).await.unwrap();
    bed.produce(&topic, 2, 100..200).await;
    journal.wait_for(200).await;
    member.close().await;
    journal.assert_exactly(0..200);
    assert_eq!(bed.committed(&group).await, [(0, 100), (1, 100)].into());
}

#[tokio::test]
async fn connections_that_are_cut_all_the_time_lose_and_double_nothing() {
    let bed = Bed::embedded().await;
    let (topic, group) = (bed.topic(3).await, bed.name("group"));
    let journal = Journal::new();
    let first = Member::join(&bed.client, config(&group, &topic), &journal);
    let second = Member::join(&bed.other_client(), config(&group, &topic), &journal);
    for round in 0..20u32 {
        bed.broker().cut_connections(1).unwrap();
        bed.produce(&topic, 3, round * 30..(round + 1) * 30).await;
        bed.broker().cut_connections(1).unwrap();
        journal.wait_for((round as usize + 1) * 30).await;
    }
    first.close().await;
    second.close().await;
    journal.assert_exactly(0..600);
}

#[tokio::test]
async fn of_two_members_with_one_instance_id_the_older_one_ends() {
    let bed = Bed::embedded().await;
    let (topic, group) = (bed.topic(1).await, bed.name("group"));
    let mut mine = config(&group, &topic);
    mine.group_instance_id = Some("the-one".into());
    let mut first = bed.client.consumer_group(mine.clone()).unwrap();
    let mut partition = assigned(&mut first).await;
    let mut second = bed.other_client().consumer_group(mine).unwrap();
    let event = within("the end", first.next()).await;
    let Some(GroupEvent::Error(error)) = event else {
        panic!("expected an error, got {event:?}");
    };
    assert!(
        matches!(
            error,
            ConsumerError::Group {
                code: ResponseError::FencedInstanceId,
                ..
            }
        ),
        "{error}"
    );
    assert!(within("the end", first.next()).await.is_none());
    let error = within("a poll", partition.poll(1)).await.unwrap_err();
    assert!(
        matches!(
            error,
            ConsumerError::Lost {
                reason: LostReason::Fenced,
                ..
            }
        ),
        "{error}"
    );
    assigned(&mut second).await;
}

#[tokio::test]
async fn partitions_that_are_added_are_assigned() {
    let bed = Bed::embedded().await;
    let (topic, group) = (bed.topic(1).await, bed.name("group"));
    let client = Client::new(ClientConfig {
        metadata_max_age: Duration::from_millis(100),
        ..bed.client.config().clone()
    })
    .unwrap();
    let journal = Journal::new();
    let member = Member::join(&client, config(&group, &topic), &journal);
    member.wait_for_partitions(1).await;
    for (_, grown) in bed
        .client
        .admin()
        .create_partitions(&[(&topic, 3)])
        .await
        .unwrap()
    {
        grown.unwrap();
    }
    member.wait_for_partitions(3).await;
    member.close().await;
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
