//! Rebalances that move little: cooperative and sticky assignors, members that keep their place.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use kafka_client::{
    Assignor, GroupConfig, GroupHandle, GroupMembershipOperation, GroupPhase, GroupState,
};
use tokio::task::JoinHandle;

use crate::kit::{
    Bed, Journal, Member, PATIENCE, assigned, config, keys, wait_for_partitions, within,
};

const CLOSE: Duration = Duration::from_secs(15);

fn config_with(group: &str, topic: &str, assignors: &[Assignor]) -> GroupConfig {
    GroupConfig {
        assignors: assignors.to_vec(),
        ..config(group, topic)
    }
}

pub(crate) async fn partitions_that_stay_are_not_interrupted(bed: &Bed) {
    let (topic, group) = (bed.topic(4).await, bed.name("group"));
    bed.produce(&topic, 4, 0..40).await;
    let mine = config_with(&group, &topic, &[Assignor::CooperativeSticky]);
    let mut first = bed.client.consumer_group(mine.clone()).unwrap();
    let mut partitions = Vec::new();
    for _ in 0..4 {
        partitions.push(assigned(&mut first).await);
    }
    partitions.sort_by_key(|p| p.partition());
    for partition in &mut partitions {
        assert_eq!(keys(partition, 1).await, [partition.partition() as u32]);
    }
    let mut second = bed.other_client().consumer_group(mine).unwrap();
    let mut leaving = partitions.split_off(2);
    for partition in &mut leaving {
        within("the revocation", partition.revoked()).await;
        assert!(within("a poll", partition.poll(1)).await.unwrap().is_none());
    }
    // In mid-rebalance the others are read and committed as before.
    for partition in &mut partitions {
        assert!(!partition.is_revoked());
        let number = partition.partition() as u32;
        assert_eq!(keys(partition, 2).await, [4 + number, 8 + number]);
        within("a commit", partition.commit(3)).await.unwrap();
    }
    for partition in leaving {
        partition.commit(1).await.unwrap();
    }
    for _ in 0..2 {
        let mut partition = assigned(&mut second).await;
        let number = partition.partition() as u32;
        assert!(number >= 2);
        assert_eq!(keys(&mut partition, 2).await, [4 + number, 8 + number]);
    }
    wait_for_partitions(&first.handle(), 2).await;
    for partition in &mut partitions {
        assert!(!partition.is_revoked());
        let number = partition.partition() as u32;
        assert_eq!(keys(partition, 1).await, [12 + number]);
        partition.commit(4).await.unwrap();
    }
    assert!(
        first.next().now_or_never().is_none(),
        "nothing was assigned again"
    );
    drop(partitions);
    let (a, b) = tokio::join!(first.close(CLOSE), second.close(CLOSE));
    a.unwrap();
    b.unwrap();
}

pub(crate) async fn cooperative_members_come_and_go_and_every_record_is_handled_once(bed: &Bed) {
    let (topic, group) = (bed.topic(6).await, bed.name("group"));
    let journal = Journal::new();
    let mine = config_with(&group, &topic, &[Assignor::CooperativeSticky]);
    let join = || Member::join(&bed.other_client(), mine.clone(), &journal);
    let first = join();
    let second = join();
    bed.produce(&topic, 6, 0..600).await;
    let third = join();
    bed.produce(&topic, 6, 600..1200).await;
    for member in [&first, &second, &third] {
        member.wait_for_partitions(2).await;
    }
    bed.produce(&topic, 6, 1200..1800).await;
    first.close().await;
    bed.produce(&topic, 6, 1800..2400).await;
    second.wait_for_partitions(3).await;
    let fourth = join();
    // While partitions move.
    third.close().await;
    bed.produce(&topic, 6, 2400..3000).await;
    journal.wait_for(3000).await;
    second.wait_for_partitions(3).await;
    fourth.wait_for_partitions(3).await;
    second.close().await;
    fourth.close().await;
    journal.assert_exactly(0..3000);
    let committed = bed.committed(&group).await;
    assert!(
        committed.values().all(|offset| *offset == 500),
        "{committed:?}"
    );
}

pub(crate) async fn a_group_changes_from_range_to_cooperative_sticky_without_a_stop(bed: &Bed) {
    let (topic, group) = (bed.topic(6).await, bed.name("group"));
    let journal = Journal::new();
    let join = |assignors: &[Assignor]| {
        let mine = config_with(&group, &topic, assignors);
        Member::join(&bed.other_client(), mine, &journal)
    };
    let mut members = [join(&[Assignor::Range]), join(&[Assignor::Range])];
    let steps = [
        (
            &[Assignor::Range, Assignor::CooperativeSticky][..],
            ["range", "range"],
        ),
        (&[Assignor::CooperativeSticky], ["cooperative-sticky"; 2]),
    ];
    let mut produced = 0;
    for (assignors, protocols) in steps {
        for place in 0..2 {
            for member in &members {
                member.wait_for_partitions(3).await;
            }
            bed.produce(&topic, 6, produced..produced + 300).await;
            produced += 300;
            let replaced = std::mem::replace(&mut members[place], join(assignors));
            replaced.close().await;
        }
        for (member, protocol) in members.iter().zip(protocols) {
            member.wait_for_partitions(3).await;
            let status = member.handle.state().status;
            assert_eq!(status.protocol.as_deref(), Some(protocol));
        }
    }
    bed.produce(&topic, 6, produced..produced + 300).await;
    journal.wait_for(produced as usize + 300).await;
    for member in members {
        member.close().await;
    }
    journal.assert_exactly(0..produced + 300);
}

pub(crate) async fn sticky_members_get_back_what_they_had(bed: &Bed) {
    let (topic, group) = (bed.topic(4).await, bed.name("group"));
    let journal = Journal::new();
    let mine = config_with(&group, &topic, &[Assignor::Sticky]);
    let join = || Member::join(&bed.other_client(), mine.clone(), &journal);
    let first = join();
    first.wait_for_partitions(4).await;
    let second = join();
    first.wait_for_partitions(2).await;
    second.wait_for_partitions(2).await;
    // With range, the one of the lower id would have the lower half.
    assert_eq!(partitions(&first), [0, 1].into());
    let third = join();
    third.wait_for_partitions(1).await;
    third.close().await;
    first.wait_for_partitions(2).await;
    second.wait_for_partitions(2).await;
    assert_eq!(partitions(&first), [0, 1].into());
    second.close().await;
    first.wait_for_partitions(4).await;
    bed.produce(&topic, 4, 0..40).await;
    journal.wait_for(40).await;
    first.close().await;
    journal.assert_exactly(0..40);
}

pub(crate) async fn a_static_member_that_restarts_finds_its_partitions_without_a_rebalance(
    bed: &Bed,
) {
    for assignor in [Assignor::Range, Assignor::CooperativeSticky] {
        let (topic, group) = (bed.topic(4).await, bed.name("group"));
        let journal = Journal::new();
        let join = |name: &str| {
            let mut mine = config_with(&group, &topic, &[assignor]);
            mine.group_instance_id = Some(name.into());
            Member::join(&bed.other_client(), mine, &journal)
        };
        let (mut a, mut b) = (join("a"), join("b"));
        a.wait_for_partitions(2).await;
        b.wait_for_partitions(2).await;
        let generation = a.handle.state().status.generation;
        let before = [partitions(&a), partitions(&b)];
        // One of them leads and the other follows.
        a.close().await;
        bed.produce(&topic, 4, 0..40).await;
        a = join("a");
        a.wait_for_partitions(2).await;
        b.close().await;
        bed.produce(&topic, 4, 40..80).await;
        b = join("b");
        b.wait_for_partitions(2).await;
        journal.wait_for(80).await;
        assert_eq!([partitions(&a), partitions(&b)], before);
        for member in [&a, &b] {
            assert_eq!(member.handle.state().status.generation, generation);
        }
        a.close().await;
        b.close().await;
        journal.assert_exactly(0..80);
    }
}

pub(crate) async fn closing_says_whether_the_member_leaves(bed: &Bed) {
    let (topic, group) = (bed.topic(2).await, bed.name("group"));
    let members = async || {
        let described = bed.client.admin().describe_groups(&[&group]).await;
        described[0].1.as_ref().unwrap().members.len()
    };
    let named = |name: Option<&str>| GroupConfig {
        group_instance_id: name.map(Into::into),
        ..config_with(&group, &topic, &[Assignor::CooperativeSticky])
    };
    let journal = Journal::new();
    let stays = Member::join(&bed.client, named(None), &journal);
    stays.wait_for_partitions(2).await;
    use GroupMembershipOperation as Op;
    for (name, operation, left) in [
        (Some("s"), Op::Default, false),
        (Some("s"), Op::RemainInGroup, false),
        (Some("s"), Op::LeaveGroup, true),
        (None, Op::Default, true),
        (None, Op::LeaveGroup, true),
        (None, Op::RemainInGroup, false),
    ] {
        let mut member = bed.other_client().consumer_group(named(name)).unwrap();
        let partition = assigned(&mut member).await;
        stays.wait_for_partitions(1).await;
        drop(partition);
        member.close_with(CLOSE, operation).await.unwrap();
        assert_eq!(
            members().await,
            if left { 1 } else { 2 },
            "{name:?} {operation:?}"
        );
        if left {
            stays.wait_for_partitions(2).await;
        }
    }
}

fn partitions(member: &Member) -> BTreeSet<i32> {
    let state = member.handle.state();
    let partitions = state.partitions.iter();
    partitions.map(|p| p.partition.partition).collect()
}

/// Looks again and again, on a thread of its own, until a state is the one that is waited for.
fn seen(
    handle: GroupHandle,
    wanted: impl Fn(&GroupState) -> bool + Send + 'static,
) -> JoinHandle<GroupState> {
    tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        loop {
            let state = handle.state();
            if wanted(&state) {
                return state;
            }
            assert!(began.elapsed() < PATIENCE, "{state:?}");
            std::thread::yield_now();
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_is_never_seen_half_way() {
    const PARTITIONS: usize = 100;
    let bed = Bed::embedded().await;
    let topic = bed.topic(100).await;
    for crashes in [false, true].repeat(20) {
        let config = config(&bed.name("group"), &topic);
        let group = bed.client.consumer_group(config).unwrap();
        let is_stable = |state: &GroupState| state.status.phase == GroupPhase::Stable;
        let stable = seen(group.handle(), is_stable).await.unwrap();
        assert_eq!(stable.partitions.len(), PARTITIONS);

        let fewer = |state: &GroupState| state.partitions.len() < PARTITIONS;
        let ended = seen(group.handle(), fewer);
        if crashes {
            drop(group);
        } else {
            group.close(CLOSE).await.unwrap();
        }
        let ended = ended.await.unwrap();
        let phase = ended.status.phase;
        assert!(ended.partitions.is_empty(), "{phase:?}");
        assert_ne!(phase, GroupPhase::Stable);
    }
}
