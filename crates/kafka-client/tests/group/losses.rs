//! How a member comes to lose its partitions, and how it gets them back, on the embedded broker.

use std::time::Duration;

use kafka_broker::{ApiKey, Fault, FaultAction};
use kafka_client::{Assignor, ConsumerError, GroupEvent, GroupPhase, LostReason, ResponseError};

use crate::kit::{Bed, Journal, Member, assigned, config, keys, within};

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
