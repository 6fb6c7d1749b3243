//! Members with an instance id (KIP-345).

use super::*;

fn static_request(member_id: &str, instance_id: &str) -> JoinRequest {
    JoinRequest {
        instance_id: Some(s(instance_id)),
        ..request(member_id)
    }
}

/// A stable group of the static members `a1` (instance a), which leads, and `b1` (instance b), in generation 2.
fn stable() -> Harness {
    let mut harness = Harness::new();
    let a = harness.join(static_request("", "a"), "a1");
    let joined = harness.joined(a);
    assert_eq!(joined.error, None, "a static member needs no second join");
    assert_eq!(joined.member_id, s("a1"));
    harness.sync("a1", 1, &[("a1", "all")]);
    let b = harness.join(static_request("", "b"), "b1");
    harness.join(static_request("a1", "a"), "unused");
    assert_eq!(harness.joined(b).generation, 2);
    harness.sync("a1", 2, &[("a1", "p0"), ("b1", "p1")]);
    harness.sync("b1", 2, &[]);
    assert_eq!(harness.group.phase(), Phase::Stable);
    harness.effects.clear();
    harness
}

fn heartbeat(harness: &mut Harness, id: &str, instance_id: &str) -> Result<(), ResponseError> {
    let now = harness.now;
    let from = GenerationOf {
        instance_id: Some(s(instance_id)),
        ..from(id, 2)
    };
    harness.group.heartbeat(now, &from)
}

#[test]
fn a_restarted_follower_takes_its_place_without_a_rebalance() {
    let mut harness = stable();
    let token = harness.join(static_request("", "b"), "b2");
    let answer = harness.joined(token);
    assert_eq!((answer.error, answer.generation), (None, 2));
    assert_eq!(answer.member_id, s("b2"));
    assert_eq!(answer.leader, s("a1"));
    assert!(!answer.skip_assignment);
    let token = harness.sync("b2", 2, &[]);
    assert_eq!(&harness.synced(token).assignment[..], b"p1");
    assert_eq!(heartbeat(&mut harness, "a1", "a"), Ok(()));
    // Its former self is fenced.
    assert_eq!(
        heartbeat(&mut harness, "b1", "b"),
        Err(ResponseError::FencedInstanceId)
    );
}

#[test]
fn a_restarted_leader_keeps_the_assignment() {
    let mut harness = stable();
    let token = harness.join(static_request("", "a"), "a2");
    let answer = harness.joined(token);
    assert_eq!(answer.leader, s("a2"));
    assert!(answer.skip_assignment);
    assert_eq!(answer.members.len(), 2);

    // Before v9 it is not told that it leads.
    let mut old = static_request("", "a");
    old.can_skip_assignment = false;
    let token = harness.join(old, "a3");
    let answer = harness.joined(token);
    assert_eq!(answer.leader, s("a2"));
    assert_eq!(answer.member_id, s("a3"));
    assert_eq!(answer.members, []);
}

#[test]
fn a_restart_that_changes_the_protocol_rebalances() {
    let mut harness = stable();
    let mut changed = static_request("", "b");
    changed.protocols = vec![(s("range"), Bytes::new()), (s("sticky"), Bytes::new())];
    let token = harness.join(changed, "b2");
    assert_eq!(harness.joined(token).generation, 2, "range is still chosen");

    let mut harness = Harness::new();
    let with = |names: &[&str]| {
        let mut request = static_request("", "a");
        request.protocols = names.iter().map(|name| (s(name), Bytes::new())).collect();
        request
    };
    harness.join(with(&["range", "sticky"]), "a1");
    harness.sync("a1", 1, &[("a1", "all")]);
    let token = harness.join(with(&["sticky", "range"]), "a2");
    let answer = harness.joined(token);
    assert_eq!((answer.generation, answer.protocol), (2, Some(s("sticky"))));
}

#[test]
fn a_restart_during_a_rebalance_fences_the_one_that_waits() {
    let mut harness = stable();
    let c = harness.join_new("c");
    let waiting = harness.join(static_request("b1", "b"), "unused");
    assert_eq!(harness.join_answer(waiting), None);
    let restarted = harness.join(static_request("", "b"), "b2");
    assert_eq!(
        harness.joined(waiting).error,
        Some(ResponseError::FencedInstanceId)
    );
    let a = harness.join(static_request("a1", "a"), "unused");
    assert_eq!(harness.joined(a).members.len(), 3);
    assert_eq!(harness.joined(restarted).generation, 3);
    assert_eq!(harness.joined(c).generation, 3);
}

#[test]
fn a_restart_during_completing_starts_over() {
    let mut harness = stable();
    harness.join(static_request("a1", "a"), "unused");
    let b = harness.join(static_request("b1", "b"), "unused");
    assert_eq!(harness.joined(b).generation, 3);
    let waiting = harness.sync("b1", 3, &[]);
    let restarted = harness.join(static_request("", "b"), "b2");
    assert_eq!(
        harness.synced(waiting).error,
        Some(ResponseError::FencedInstanceId)
    );
    assert_eq!(harness.join_answer(restarted), None);
    harness.join(static_request("a1", "a"), "unused");
    assert_eq!(harness.joined(restarted).generation, 4);
}

#[test]
fn a_static_member_outlasts_a_rebalance_but_not_its_session() {
    let mut harness = stable();
    let c = harness.join_new("c");
    let a = harness.join(static_request("a1", "a"), "unused");
    // b neither joins nor beats: it goes when its session ends, and the join is then complete.
    harness.pass(SESSION);
    assert_eq!(harness.joined(a).members.len(), 2);
    assert_eq!(harness.joined(c).generation, 3);

    // One that beats and does not join keeps its place when the join's time is up.
    let mut harness = stable();
    let c = harness.join_new("c");
    let a = harness.join(static_request("a1", "a"), "unused");
    for _ in 0..13 {
        let _ = heartbeat(&mut harness, "b1", "b");
        harness.pass(Duration::from_secs(5));
    }
    assert_eq!(harness.joined(a).members.len(), 3);
    assert_eq!(harness.joined(c).generation, 3);
}

#[test]
fn without_anybody_joined_the_static_members_keep_their_places() {
    let mut harness = stable();
    harness.join_new("c");
    harness.leave("c").unwrap();
    for _ in 0..13 {
        let _ = heartbeat(&mut harness, "a1", "a");
        let _ = heartbeat(&mut harness, "b1", "b");
        harness.pass(Duration::from_secs(5));
    }
    assert!(matches!(harness.group.phase(), Phase::Preparing { .. }));
    assert_eq!(harness.group.view().members.len(), 2);
    let a = harness.join(static_request("a1", "a"), "unused");
    let b = harness.join(static_request("b1", "b"), "unused");
    assert_eq!(harness.joined(a).generation, 3);
    assert_eq!(harness.joined(b).generation, 3);
}

#[test]
fn an_administrator_takes_a_static_member_out_by_its_instance_id() {
    let mut harness = stable();
    let mut leave = |member_id: &str, instance_id: &str| {
        let leaver = MemberToLeave {
            member_id: s(member_id),
            instance_id: Some(s(instance_id)),
        };
        let now = harness.now;
        harness.group.leave(now, &leaver, &mut harness.effects)
    };
    assert_eq!(leave("", "none"), Err(ResponseError::UnknownMemberId));
    assert_eq!(leave("b0", "b"), Err(ResponseError::FencedInstanceId));
    assert_eq!(leave("", "b"), Ok(()));
    assert_eq!(leave("", "b"), Err(ResponseError::UnknownMemberId));
    assert_eq!(harness.group.view().members.len(), 1);
}

#[test]
fn a_join_under_an_instance_id_that_is_not_ones_own_is_refused() {
    let mut harness = stable();
    let token = harness.join(static_request("b1", "a"), "unused");
    assert_eq!(
        harness.joined(token).error,
        Some(ResponseError::FencedInstanceId)
    );
    let token = harness.join(static_request("b1", "none"), "unused");
    assert_eq!(
        harness.joined(token).error,
        Some(ResponseError::UnknownMemberId)
    );
}

#[test]
fn a_moved_group_remembers_its_static_members() {
    let mut harness = stable();
    let now = harness.now;
    harness.group.move_away(now, &mut harness.effects);
    let token = harness.join(static_request("", "b"), "b2");
    assert_eq!(harness.joined(token).generation, 2);
    let token = harness.sync("b2", 2, &[]);
    assert_eq!(&harness.synced(token).assignment[..], b"p1");
}
