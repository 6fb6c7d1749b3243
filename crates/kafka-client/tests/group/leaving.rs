//! Members with an instance id that are told to leave, on any broker: the others need not wait for their sessions.

use std::time::Duration;

use kafka_client::{GroupConfig, GroupMembershipOperation, GroupPhase};

use crate::kit::{Bed, assigned, config, within};

const CLOSE: Duration = Duration::from_secs(15);

fn named(group: &str, topic: &str) -> GroupConfig {
    GroupConfig {
        group_instance_id: Some("named".into()),
        ..config(group, topic)
    }
}

async fn members(bed: &Bed, group: &str) -> usize {
    let described = bed.client.admin().describe_groups(&[group]).await;
    described[0].1.as_ref().unwrap().members.len()
}

pub(crate) async fn a_static_member_whose_holder_is_stuck_leaves_when_it_is_told_to(bed: &Bed) {
    let (topic, group) = (bed.topic(1).await, bed.name("group"));
    let mut mine = named(&group, &topic);
    mine.max_poll_interval = Duration::from_millis(100);
    let mut member = bed.client.consumer_group(mine).unwrap();
    let stuck = assigned(&mut member).await;
    let mut watch = member.handle().watch();
    let expelled = watch.wait_for(|status| status.phase == GroupPhase::Expelled);
    within("the end of the interval", expelled).await.unwrap();
    assert_eq!(members(bed, &group).await, 1);
    let leave = GroupMembershipOperation::LeaveGroup;
    member.close_with(CLOSE, leave).await.unwrap();
    assert_eq!(members(bed, &group).await, 0);
    drop(stuck);
}

pub(crate) async fn a_static_member_leaves_before_it_knows_whether_its_first_join_was_taken(
    bed: &Bed,
) {
    let (topic, group) = (bed.topic(1).await, bed.name("group"));
    let mut other = bed.client.consumer_group(config(&group, &topic)).unwrap();
    let partition = assigned(&mut other).await;
    let client = bed.other_client();
    let member = client.consumer_group(named(&group, &topic)).unwrap();
    // The join was taken, and waits for the holder of the partition.
    within("the rebalance", partition.revoked()).await;
    assert_eq!(members(bed, &group).await, 2);
    let leave = GroupMembershipOperation::LeaveGroup;
    member.close_with(CLOSE, leave).await.unwrap();
    assert_eq!(members(bed, &group).await, 1);
    drop(partition);
    drop(assigned(&mut other).await);
    other.close(CLOSE).await.unwrap();
}
