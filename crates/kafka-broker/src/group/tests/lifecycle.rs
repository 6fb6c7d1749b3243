//! Joining, syncing, leaving, expiring.

use super::*;

#[test]
fn a_new_member_is_sent_back_with_its_id() {
    let mut harness = Harness::new();
    let token = harness.join(request(""), "a");
    let answer = harness.joined(token);
    assert_eq!(answer.error, Some(ResponseError::MemberIdRequired));
    assert_eq!(answer.member_id, s("a"));
    assert_eq!(harness.group.phase(), Phase::Empty);
    // An old client is taken at once.
    let mut old = request("");
    old.needs_known_id = false;
    let token = harness.join(old, "b");
    assert_eq!(harness.joined(token).error, None);
}

#[test]
fn an_id_that_nobody_used_is_forgotten_after_the_session_timeout() {
    let mut harness = Harness::new();
    harness.join(request(""), "a");
    harness.pass(SESSION);
    let token = harness.join(request("a"), "unused");
    assert_eq!(
        harness.joined(token).error,
        Some(ResponseError::UnknownMemberId)
    );
}

#[test]
fn a_made_up_id_is_unknown() {
    let mut harness = Harness::stable_with_one();
    let token = harness.join(request("x"), "unused");
    assert_eq!(
        harness.joined(token).error,
        Some(ResponseError::UnknownMemberId)
    );
    assert_eq!(
        harness.heartbeat("x", 1),
        Err(ResponseError::UnknownMemberId)
    );
    let token = harness.sync("x", 1, &[]);
    assert_eq!(
        harness.synced(token).error,
        Some(ResponseError::UnknownMemberId)
    );
    assert_eq!(harness.leave("x"), Err(ResponseError::UnknownMemberId));
}

#[test]
fn the_leader_gets_the_members_and_the_follower_only_its_assignment() {
    let mut harness = Harness::stable_with_one();
    let b = harness.join_new("b");
    assert_eq!(harness.join_answer(b), None, "it waits for the others");
    assert_eq!(
        harness.heartbeat("a", 1),
        Err(ResponseError::RebalanceInProgress)
    );
    let a = harness.join(request("a"), "unused");
    let (a, b) = (harness.joined(a), harness.joined(b));
    assert_eq!((&a.leader, &b.leader), (&s("a"), &s("a")));
    let ids: Vec<_> = a.members.iter().map(|m| m.member_id.clone()).collect();
    assert_eq!(ids, [s("a"), s("b")]);
    assert_eq!(b.members, []);
    assert_eq!(a.protocol, Some(s("range")));

    let waiting = harness.sync("b", 2, &[]);
    assert_eq!(
        harness.sync_answer(waiting),
        None,
        "it waits for the leader"
    );
    harness.sync("a", 2, &[("b", "p1")]);
    assert_eq!(&harness.synced(waiting).assignment[..], b"p1");
    // Whoever was left out has nothing.
    let again = harness.sync("a", 2, &[]);
    assert_eq!(harness.synced(again).assignment, Bytes::new());
}

#[test]
fn an_unchanged_follower_that_joins_again_is_answered_at_once() {
    let mut harness = Harness::stable_with_two();
    let token = harness.join(request("b"), "unused");
    let answer = harness.joined(token);
    assert_eq!((answer.error, answer.generation), (None, 2));
    assert_eq!(harness.group.phase(), Phase::Stable);

    // With another subscription it starts a rebalance.
    let mut changed = request("b");
    changed.protocols[0].1 = Bytes::from_static(b"another");
    let token = harness.join(changed, "unused");
    assert_eq!(harness.join_answer(token), None);
    assert!(matches!(harness.group.phase(), Phase::Preparing { .. }));
}

#[test]
fn a_leader_that_joins_again_starts_a_rebalance() {
    let mut harness = Harness::stable_with_two();
    let a = harness.join(request("a"), "unused");
    assert_eq!(harness.join_answer(a), None);
    let b = harness.join(request("b"), "unused");
    assert_eq!(harness.joined(a).generation, 3);
    assert_eq!(harness.joined(b).generation, 3);
}

#[test]
fn a_join_during_completing_sends_the_waiting_syncs_back() {
    let mut harness = Harness::stable_with_one();
    let b = harness.join_new("b");
    harness.join(request("a"), "unused");
    assert_eq!(harness.joined(b).generation, 2);
    let waiting = harness.sync("b", 2, &[]);
    harness.join_new("c");
    assert_eq!(
        harness.synced(waiting).error,
        Some(ResponseError::RebalanceInProgress)
    );
    let late = harness.sync("a", 2, &[("a", "all")]);
    assert_eq!(
        harness.synced(late).error,
        Some(ResponseError::RebalanceInProgress)
    );
}

#[test]
fn a_join_whose_answer_was_lost_is_answered_again_during_completing() {
    let mut harness = Harness::stable_with_one();
    harness.join_new("b");
    harness.join(request("a"), "unused");
    let again = harness.join(request("b"), "unused");
    assert_eq!(harness.joined(again).generation, 2);
    assert_eq!(harness.group.phase(), Phase::Completing);
}

#[test]
fn who_does_not_rejoin_in_time_is_out() {
    let mut harness = Harness::stable_with_two();
    let c = harness.join_new("c");
    let a = harness.join(request("a"), "unused");
    // b stays alive by its heartbeats, but does not join.
    for _ in 0..13 {
        harness.pass(Duration::from_secs(5));
        let _ = harness.heartbeat("b", 2);
    }
    let (a, c) = (harness.joined(a), harness.joined(c));
    assert_eq!((a.generation, c.generation), (3, 3));
    assert_eq!(a.members.len(), 2);
    assert_eq!(
        harness.heartbeat("b", 2),
        Err(ResponseError::UnknownMemberId)
    );
}

#[test]
fn a_leader_that_does_not_rejoin_is_replaced() {
    let mut harness = Harness::stable_with_two();
    let c = harness.join_new("c");
    let b = harness.join(request("b"), "unused");
    harness.pass(SESSION);
    let (b, c) = (harness.joined(b), harness.joined(c));
    assert_eq!((&b.leader, &c.leader), (&s("b"), &s("b")));
    assert_eq!(b.members.len(), 2);
}

#[test]
fn a_silent_member_expires_and_the_rest_rebalances() {
    let mut harness = Harness::stable_with_two();
    harness.pass(SESSION - Duration::from_millis(1));
    assert_eq!(harness.heartbeat("a", 2), Ok(()));
    harness.pass(Duration::from_millis(1));
    assert_eq!(
        harness.heartbeat("a", 2),
        Err(ResponseError::RebalanceInProgress)
    );
    let a = harness.join(request("a"), "unused");
    let a = harness.joined(a);
    assert_eq!((a.generation, a.members.len()), (3, 1));
}

#[test]
fn a_group_whose_last_member_leaves_is_empty_in_a_new_generation() {
    let mut harness = Harness::stable_with_one();
    assert_eq!(harness.leave("a"), Ok(()));
    assert_eq!(harness.group.phase(), Phase::Empty);
    assert_eq!(harness.group.view().generation, 2);
    assert_eq!(harness.group.next_deadline(), None);
    let token = harness.join_new("b");
    assert_eq!(harness.joined(token).generation, 3);
}

#[test]
fn a_leaver_that_waits_is_told() {
    let mut harness = Harness::stable_with_two();
    let c = harness.join_new("c");
    assert_eq!(harness.leave("c"), Ok(()));
    assert_eq!(
        harness.joined(c).error,
        Some(ResponseError::UnknownMemberId)
    );
}

#[test]
fn a_member_that_never_syncs_is_out_after_the_rebalance_timeout() {
    let mut harness = Harness::stable_with_one();
    harness.join_new("b");
    harness.join(request("a"), "unused");
    harness.sync("a", 2, &[("a", "p0"), ("b", "p1")]);
    // b lives, but never asks for its assignment.
    for _ in 0..12 {
        assert_eq!(harness.heartbeat("b", 2), Ok(()));
        assert_eq!(harness.heartbeat("a", 2), Ok(()));
        harness.pass(Duration::from_secs(5));
    }
    assert_eq!(
        harness.heartbeat("b", 2),
        Err(ResponseError::UnknownMemberId)
    );
    assert_eq!(
        harness.heartbeat("a", 2),
        Err(ResponseError::RebalanceInProgress)
    );
}

#[test]
fn another_generation_is_illegal() {
    let mut harness = Harness::stable_with_one();
    let illegal = Err(ResponseError::IllegalGeneration);
    assert_eq!(harness.heartbeat("a", 0), illegal);
    assert_eq!(harness.heartbeat("a", 2), illegal);
    let token = harness.sync("a", 2, &[]);
    assert_eq!(harness.synced(token).error, illegal.err());
    let now = harness.now;
    assert_eq!(harness.group.check_commit(now, &from("a", 0)), illegal);
    assert_eq!(harness.group.check_commit(now, &from("a", 1)), Ok(()));
}

#[test]
fn commits_follow_the_phase() {
    let mut harness = Harness::new();
    let now = harness.now;
    let outside = from("", -1);
    assert_eq!(harness.group.check_commit(now, &outside), Ok(()));
    let member = harness.group.check_commit(now, &from("a", 1));
    assert_eq!(member, Err(ResponseError::UnknownMemberId));

    let token = harness.join_new("a");
    harness.joined(token);
    // In Completing the member knows the generation and owns nothing yet.
    let completing = harness.group.check_commit(now, &from("a", 1));
    assert_eq!(completing, Err(ResponseError::RebalanceInProgress));
    harness.sync("a", 1, &[("a", "all")]);
    assert_eq!(harness.group.check_commit(now, &from("a", 1)), Ok(()));
    let outside = harness.group.check_commit(now, &outside);
    assert_eq!(outside, Err(ResponseError::UnknownMemberId));
    // While others join, the old owner may still commit what it did.
    harness.join_new("b");
    assert_eq!(harness.group.check_commit(now, &from("a", 1)), Ok(()));
}

#[test]
fn the_protocol_that_most_prefer_of_those_all_know_is_chosen() {
    let mut harness = Harness::new();
    let with = |id: &str, names: &[&str]| {
        let mut request = request(id);
        request.protocols = names.iter().map(|name| (s(name), Bytes::new())).collect();
        request
    };
    harness.join(request(""), "a");
    harness.join(request(""), "b");
    harness.join(request(""), "c");
    let a = harness.join(with("a", &["sticky", "range", "roundrobin"]), "unused");
    let first = harness.joined(a);
    assert_eq!(first.protocol, Some(s("sticky")));
    harness.join(with("b", &["roundrobin", "range"]), "unused");
    harness.join(with("c", &["roundrobin", "range"]), "unused");
    let a = harness.join(with("a", &["sticky", "range", "roundrobin"]), "unused");
    assert_eq!(harness.joined(a).protocol, Some(s("roundrobin")));

    harness.join(request(""), "d");
    let alien = harness.join(with("d", &["alien"]), "unused");
    assert_eq!(
        harness.joined(alien).error,
        Some(ResponseError::InconsistentGroupProtocol)
    );
    let mut other_type = request("d");
    other_type.protocol_type = s("connect");
    let other_type = harness.join(other_type, "unused");
    assert_eq!(
        harness.joined(other_type).error,
        Some(ResponseError::InconsistentGroupProtocol)
    );
}

#[test]
fn a_session_timeout_outside_the_bounds_is_refused() {
    let mut harness = Harness::new();
    for millis in [5_999, 1_800_001] {
        let mut request = request("");
        request.session_timeout = Duration::from_millis(millis);
        let token = harness.join(request, "a");
        assert_eq!(
            harness.joined(token).error,
            Some(ResponseError::InvalidSessionTimeout)
        );
    }
}

#[test]
fn a_full_group_takes_nobody() {
    let mut harness = Harness::with(Limits {
        max_size: 1,
        ..limits()
    });
    let token = harness.join_new("a");
    harness.joined(token);
    let token = harness.join(request(""), "b");
    assert_eq!(
        harness.joined(token).error,
        Some(ResponseError::GroupMaxSizeReached)
    );
}

#[test]
fn the_initial_delay_waits_for_more_members_and_is_prolonged_by_them() {
    let delay = Duration::from_secs(3);
    let mut harness = Harness::with(Limits {
        initial_rebalance_delay: delay,
        ..limits()
    });
    let a = harness.join_new("a");
    harness.pass(Duration::from_secs(2));
    assert_eq!(harness.join_answer(a), None);
    let b = harness.join_new("b");
    harness.pass(Duration::from_secs(2));
    assert_eq!(harness.join_answer(a), None, "b prolonged the delay");
    harness.pass(Duration::from_secs(2));
    assert_eq!(harness.joined(a).members.len(), 2);
    assert_eq!(harness.joined(b).generation, 1);
}

#[test]
fn a_moved_group_stands_as_it_was_stored_and_sends_the_waiting_away() {
    let mut harness = Harness::stable_with_two();
    let c = harness.join_new("c");
    let now = harness.now;
    harness.group.move_away(now, &mut harness.effects);
    assert_eq!(harness.joined(c).error, Some(ResponseError::NotCoordinator));
    assert_eq!(harness.group.phase(), Phase::Stable);
    assert_eq!(harness.heartbeat("a", 2), Ok(()));
    assert_eq!(harness.heartbeat("b", 2), Ok(()));
    let again = harness.sync("b", 2, &[]);
    assert_eq!(&harness.synced(again).assignment[..], b"p1");
    assert_eq!(
        harness.heartbeat("c", 2),
        Err(ResponseError::UnknownMemberId)
    );
}

#[test]
fn a_dead_group_tells_whoever_waits() {
    let mut harness = Harness::stable_with_one();
    let b = harness.join_new("b");
    harness.group.kill(&mut harness.effects);
    assert_eq!(
        harness.joined(b).error,
        Some(ResponseError::UnknownMemberId)
    );
    assert!(harness.group.is_dead());
    assert_eq!(
        harness.heartbeat("a", 1),
        Err(ResponseError::CoordinatorNotAvailable)
    );
}

#[test]
fn a_sync_of_another_protocol_is_inconsistent() {
    let mut harness = Harness::stable_with_one();
    let token = harness.token();
    let request = SyncRequest {
        from: from("a", 1),
        protocol_type: Some(s("consumer")),
        protocol: Some(s("sticky")),
        assignments: Vec::new(),
    };
    let now = harness.now;
    harness
        .group
        .sync(now, request, token, &mut harness.effects);
    assert_eq!(
        harness.synced(token).error,
        Some(ResponseError::InconsistentGroupProtocol)
    );
}

#[test]
fn while_nobody_coordinates_it_a_groups_time_stands_still() {
    let mut harness = Harness::stable_with_two();
    let now = harness.now;
    harness.group.suspend(now, &mut harness.effects);
    assert_eq!(harness.group.next_deadline(), None);
    harness.pass(SESSION * 10);
    let now = harness.now;
    harness.group.tick(now, &mut harness.effects);
    harness.group.move_away(now, &mut harness.effects);
    assert_eq!(harness.heartbeat("a", 2), Ok(()));
    assert_eq!(harness.heartbeat("b", 2), Ok(()));
    harness.pass(SESSION);
    assert!(harness.group.view().members.is_empty(), "it runs again");
}
