//! Commits while the group is in motion, on the embedded broker, and those that nobody waits for, on any.

use std::time::Duration;

use kafka_broker::{ApiKey, Fault, FaultAction};
use kafka_client::{
    Assignor, Client, ClientConfig, ConsumerError, ConsumerGroup, GroupConfig, GroupPhase,
    LostReason, PartitionConsumer, ResponseError,
};

use crate::kit::{Bed, assigned, config, keys, tp, within};

const CLOSE: Duration = Duration::from_secs(15);

fn cooperative(group: &str, topic: &str) -> GroupConfig {
    GroupConfig {
        assignors: vec![Assignor::CooperativeSticky],
        ..config(group, topic)
    }
}

fn refuse(api: ApiKey, code: ResponseError) -> Fault {
    Fault::new(FaultAction::Answer(code)).on(api)
}

/// A member that has read the records 0 to 2 of its partition.
async fn reader(bed: &Bed, topic: &str, config: GroupConfig) -> (ConsumerGroup, PartitionConsumer) {
    bed.produce(topic, 1, 0..3).await;
    let mut member = bed.client.consumer_group(config).unwrap();
    let mut partition = assigned(&mut member).await;
    assert_eq!(keys(&mut partition, 3).await, [0, 1, 2]);
    (member, partition)
}

async fn until_phase(member: &ConsumerGroup, phase: GroupPhase) {
    let mut watch = member.handle().watch();
    let reached = watch.wait_for(|status| status.phase == phase);
    within(phase.as_str(), reached).await.unwrap();
}

#[tokio::test]
async fn reading_goes_on_while_a_commit_waits_for_rebalances() {
    let bed = Bed::embedded().await;
    let (topic, group) = (bed.topic(1).await, bed.name("group"));
    let (member, mut partition) = reader(&bed, &topic, cooperative(&group, &topic)).await;
    let refused = refuse(ApiKey::OffsetCommit, ResponseError::RebalanceInProgress);
    let refused = bed.broker().faults().inject(refused);
    let pending = partition.commit_async(3);
    for round in 1..=3 {
        within("refusals", refused.wait_for_hits(u64::from(round) * 2)).await;
        let new = round * 3..round * 3 + 3;
        bed.produce(&topic, 1, new.clone()).await;
        assert_eq!(keys(&mut partition, 3).await, new.collect::<Vec<_>>());
    }
    assert_eq!(bed.committed(&group).await, [].into());
    refused.remove();
    within("the commit", pending).await.unwrap();
    assert_eq!(bed.committed(&group).await, [(0, 3)].into());
    assert!(!partition.is_revoked());
    drop(partition);
    member.close(CLOSE).await.unwrap();
}

#[tokio::test]
async fn an_eager_member_whose_commit_finds_a_rebalance_commits_before_it_joins() {
    let bed = Bed::embedded().await;
    let (topic, group) = (bed.topic(1).await, bed.name("group"));
    let (mut member, mut partition) = reader(&bed, &topic, config(&group, &topic)).await;
    let refused = refuse(ApiKey::OffsetCommit, ResponseError::RebalanceInProgress);
    bed.broker().faults().inject(refused.times(1));
    within("the commit", partition.commit(3)).await.unwrap();
    assert!(
        within("the end", partition.poll(1))
            .await
            .unwrap()
            .is_none()
    );
    drop(partition);
    let mut partition = assigned(&mut member).await;
    bed.produce(&topic, 1, 3..4).await;
    assert_eq!(keys(&mut partition, 1).await, [3]);
}

#[tokio::test]
async fn a_commit_of_the_generation_before_is_made_in_the_next() {
    let bed = Bed::embedded().await;
    let (topic, group) = (bed.topic(1).await, bed.name("group"));
    let (member, mut partition) = reader(&bed, &topic, cooperative(&group, &topic)).await;
    let faults = bed.broker().faults();
    let late = FaultAction::DelayAnswer(Duration::from_millis(500));
    faults.inject(Fault::new(late).on(ApiKey::JoinGroup).times(1));
    let rebalance = refuse(ApiKey::Heartbeat, ResponseError::RebalanceInProgress);
    faults.inject(rebalance.times(1));
    until_phase(&member, GroupPhase::Joining).await;
    // The group went on, and the member is about to learn of it.
    let refused = refuse(ApiKey::OffsetCommit, ResponseError::IllegalGeneration);
    let refused = faults.inject(refused.times(1));
    let pending = partition.commit_async(3);
    within("the refusal", refused.wait_for_hits(1)).await;
    bed.produce(&topic, 1, 3..5).await;
    assert_eq!(keys(&mut partition, 2).await, [3, 4]);
    within("the commit", pending).await.unwrap();
    assert_eq!(bed.committed(&group).await, [(0, 3)].into());
    assert!(!partition.is_revoked());
    drop(partition);
    member.close(CLOSE).await.unwrap();
}

#[tokio::test]
async fn a_member_that_the_group_left_behind_loses_its_partition_and_what_it_did_not_commit() {
    let bed = Bed::embedded().await;
    let (topic, group) = (bed.topic(1).await, bed.name("group"));
    let (mut member, mut partition) = reader(&bed, &topic, cooperative(&group, &topic)).await;
    within("a commit", partition.commit(1)).await.unwrap();
    let refused = refuse(ApiKey::OffsetCommit, ResponseError::IllegalGeneration);
    bed.broker().faults().inject(refused.times(1));
    for error in [
        within("the commit", partition.commit(3)).await.unwrap_err(),
        within("a poll", partition.poll(1)).await.unwrap_err(),
    ] {
        let reason = LostReason::IllegalGeneration;
        assert!(
            matches!(&error, ConsumerError::Lost { reason: r, .. } if *r == reason),
            "{error}"
        );
    }
    drop(partition);
    let mut partition = assigned(&mut member).await;
    assert_eq!(keys(&mut partition, 2).await, [1, 2]);
    within("a commit", partition.commit(3)).await.unwrap();
}

#[tokio::test]
async fn a_commit_waits_for_the_end_of_a_sync_and_starts_no_other_rebalance() {
    let bed = Bed::embedded().await;
    let (topic, group) = (bed.topic(1).await, bed.name("group"));
    let (member, mut partition) = reader(&bed, &topic, cooperative(&group, &topic)).await;
    let inspect = bed.broker().inspect();
    let faults = bed.broker().faults();
    let late = FaultAction::Delay(Duration::from_millis(500));
    faults.inject(Fault::new(late).on(ApiKey::SyncGroup).times(1));
    let rebalance = refuse(ApiKey::Heartbeat, ResponseError::RebalanceInProgress);
    faults.inject(rebalance.times(1));
    until_phase(&member, GroupPhase::Syncing).await;
    let before = inspect.requests(ApiKey::OffsetCommit);
    let pending = partition.commit_async(3);
    bed.produce(&topic, 1, 3..5).await;
    assert_eq!(keys(&mut partition, 2).await, [3, 4]);
    within("the commit", pending).await.unwrap();
    assert_eq!(inspect.requests(ApiKey::OffsetCommit) - before, 1);
    until_phase(&member, GroupPhase::Stable).await;
    within("a commit", partition.commit(5)).await.unwrap();
    assert_eq!(inspect.group(&group).unwrap().generation, 2);
}

pub(crate) async fn commits_that_nobody_awaits_go_out_all_the_same(bed: &Bed) {
    let (topic, group) = (bed.topic(2).await, bed.name("group"));
    bed.produce(&topic, 2, 0..20).await;
    let mut member = bed.client.consumer_group(config(&group, &topic)).unwrap();
    let (mut first, mut second) = (assigned(&mut member).await, assigned(&mut member).await);
    for partition in [&mut first, &mut second] {
        assert_eq!(keys(partition, 10).await.len(), 10);
    }
    // It is queued before this returns, so what is asked for later cannot go out before it.
    drop(first.commit_async(1));
    drop(first.commit_async(2));
    let last = first.commit_async(3);
    let error = within("a commit", first.commit(2)).await.unwrap_err();
    assert!(
        matches!(error, ConsumerError::CommitBehind { committed: 3, .. }),
        "{error}"
    );
    within("the commit", last).await.unwrap();
    assert_eq!(bed.committed(&group).await[&first.partition()], 3);

    let handle = member.handle();
    let (one, other) = (first.topic_partition(), second.topic_partition());
    let nobodys = tp(&topic, 7);
    let offsets = [(one.clone(), 4), (other.clone(), 5), (nobodys.clone(), 6)];
    let pending = handle.commit_async(&offsets);
    let failed = within("the commits", pending).await.unwrap_err().failed;
    assert!(
        matches!(&*failed, [(id, ConsumerError::NotAssigned { .. })] if *id == nobodys),
        "{failed:?}"
    );
    drop(handle.commit_async(&[(one.clone(), 6), (other.clone(), 7)]));
    let numbers = (first.partition(), second.partition());
    drop((first, second));
    // The group is not left before they are answered.
    member.close(CLOSE).await.unwrap();
    let committed = [(numbers.0, 6), (numbers.1, 7)];
    assert_eq!(bed.committed(&group).await, committed.into());
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
async fn a_commit_is_not_waited_for_longer_than_its_timeout_when_the_coordinator_is_silent() {
    let bed = Bed::embedded().await;
    let (topic, group) = (bed.topic(1).await, bed.name("group"));
    bed.produce(&topic, 1, 0..3).await;
    // Nothing but the commit's own timeout ends within the test.
    let client = Client::new(ClientConfig {
        request_timeout: Duration::from_secs(3_600),
        ..ClientConfig::new(bed.bootstrap())
    });
    let mine = GroupConfig {
        commit_timeout: Duration::from_millis(300),
        session_timeout: Duration::from_secs(1_500),
        ..config(&group, &topic)
    };
    let mut member = client.unwrap().consumer_group(mine).unwrap();
    let mut partition = assigned(&mut member).await;
    assert_eq!(keys(&mut partition, 3).await, [0, 1, 2]);
    let lost = Fault::new(FaultAction::LoseAnswer).on(ApiKey::OffsetCommit);
    let lost = bed.broker().faults().inject(lost.times(1));
    // The second one waits behind the first.
    let first = partition.commit_async(1);
    lost.wait_for_hits(1).await;
    let second = partition.commit_async(2);
    for (pending, offset) in [(first, 1), (second, 2)] {
        let error = within("the commit", pending).await.unwrap_err();
        assert!(
            matches!(error, ConsumerError::CommitTimeout { offset: of, .. } if of == offset),
            "{error}"
        );
    }
    assert_eq!(bed.committed(&group).await, [(0, 1)].into());
    bed.broker().cut_connections(1).unwrap();
    within("a commit", partition.commit(3)).await.unwrap();
    assert_eq!(bed.committed(&group).await, [(0, 3)].into());
}
