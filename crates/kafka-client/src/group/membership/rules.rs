//! The rules of the membership, one by one.

use std::collections::BTreeSet;

use kafka_wire::ResponseError as E;

use super::simulation::all_partitions;
use super::{Action, Input, Joined, Membership};
use crate::consumer::{LostReason, TopicPartition};
use crate::group::state::{GroupMembershipOperation, GroupPhase};

type Partitions = BTreeSet<TopicPartition>;

/// A member in its first generation, with these partitions.
fn stable(cooperative: bool, is_static: bool) -> Membership {
    let mut member = Membership::new(cooperative, is_static);
    member.step(Input::Start);
    member.step(Input::JoinRefused {
        code: E::MemberIdRequired,
        member_id: "m1".into(),
    });
    member.step(Input::Joined(Joined {
        generation: 1,
        member_id: "m1".into(),
        lead: None,
    }));
    member.step(Input::Synced(all_partitions()));
    assert_eq!(member.phase(), GroupPhase::Stable);
    member
}

fn refused(code: E) -> Input {
    Input::Refused {
        generation: 1,
        code,
    }
}

#[test]
fn an_eager_member_gives_up_everything_before_it_rejoins() {
    let mut member = stable(false, false);
    assert_eq!(
        member.step(refused(E::RebalanceInProgress)),
        [Action::Revoke(all_partitions())]
    );
    assert_eq!(member.step(refused(E::RebalanceInProgress)), []);
    let actions = member.step(Input::Released);
    let join = Action::Join { retry: false };
    assert_eq!(
        actions,
        [
            Action::Forget(all_partitions()),
            Action::Heartbeat(false),
            join
        ]
    );
}

#[test]
fn a_cooperative_member_gives_up_the_difference_and_rejoins() {
    let mut member = stable(true, false);
    let actions = member.step(refused(E::RebalanceInProgress));
    assert_eq!(
        actions,
        [Action::Heartbeat(false), Action::Join { retry: false }]
    );
    member.step(Input::Joined(Joined {
        generation: 2,
        member_id: "m1".into(),
        lead: None,
    }));
    let mut kept = all_partitions();
    let gone: Partitions = kept.pop_first().into_iter().collect();
    let actions = member.step(Input::Synced(kept));
    assert_eq!(
        actions,
        [
            Action::Assign(BTreeSet::new()),
            Action::Revoke(gone.clone())
        ]
    );
    let actions = member.step(Input::Released);
    assert_eq!(actions[0], Action::Forget(gone));
    assert_eq!(actions[2], Action::Join { retry: false });
}

#[test]
fn nothing_is_committed_between_the_join_and_the_end_of_the_sync() {
    let mut member = stable(true, false);
    assert_eq!(member.commits_in(), Some(1));
    // While it joins, the group is in its generation still.
    member.step(refused(E::RebalanceInProgress));
    assert_eq!(member.commits_in(), Some(1));
    member.step(Input::Joined(Joined {
        generation: 2,
        member_id: "m1".into(),
        lead: None,
    }));
    assert_eq!(member.commits_in(), None);
    member.step(Input::Synced(all_partitions()));
    assert_eq!(member.commits_in(), Some(2));
    assert_eq!(member.phase(), GroupPhase::Stable);
    // So whatever is refused in this generation is of the rebalance after it.
    let next = member.step(Input::Refused {
        generation: 2,
        code: E::RebalanceInProgress,
    });
    assert_eq!(next.last(), Some(&Action::Join { retry: false }));
    // A member that is closed while it syncs has little time left to commit in.
    member.step(Input::Joined(Joined {
        generation: 3,
        member_id: "m1".into(),
        lead: None,
    }));
    member.step(Input::Close(GroupMembershipOperation::Default));
    assert_eq!(member.commits_in(), Some(3));
}

#[test]
fn a_static_member_does_not_leave_and_a_dynamic_one_does() {
    for (is_static, last) in [(true, Action::End(None)), (false, Action::Leave)] {
        let mut member = stable(false, is_static);
        assert_eq!(
            member.step(Input::Close(GroupMembershipOperation::Default)),
            [Action::Revoke(all_partitions())]
        );
        assert_eq!(member.step(Input::Released).last(), Some(&last));
    }
}

#[test]
fn a_fenced_member_ends() {
    let mut member = stable(false, true);
    let actions = member.step(refused(E::FencedInstanceId));
    assert_eq!(
        actions[0],
        Action::Lose(all_partitions(), LostReason::Fenced)
    );
    assert_eq!(
        actions.last(),
        Some(&Action::End(Some(E::FencedInstanceId)))
    );
    assert_eq!(
        member.step(Input::Close(GroupMembershipOperation::Default)),
        []
    );
}

#[test]
fn an_answer_of_another_generation_means_nothing() {
    let mut member = stable(false, false);
    let late = Input::Refused {
        generation: 0,
        code: E::IllegalGeneration,
    };
    assert_eq!(member.step(late), []);
    assert_eq!(member.phase(), GroupPhase::Stable);
}

#[test]
fn a_member_that_is_unknown_loses_everything_and_joins_without_its_id() {
    let mut member = stable(true, false);
    let actions = member.step(refused(E::UnknownMemberId));
    let lose = Action::Lose(all_partitions(), LostReason::UnknownMember);
    assert_eq!(actions, [Action::Heartbeat(false), lose]);
    assert!(member.member_id().is_empty());
    assert_eq!(
        member.step(Input::Released).last(),
        Some(&Action::Join { retry: false })
    );
}

#[test]
fn a_cooperative_member_that_is_closed_while_it_joins_goes_along_until_it_leaves() {
    let mut member = stable(true, false);
    member.step(refused(E::RebalanceInProgress));
    assert_eq!(
        member.step(Input::Close(GroupMembershipOperation::Default)),
        [Action::Revoke(all_partitions())]
    );
    // Its holders' commits are of a generation that is over; the answer to the join brings the next.
    assert_eq!(member.step(refused(E::IllegalGeneration)), []);
    let actions = member.step(Input::Joined(Joined {
        generation: 2,
        member_id: "m1".into(),
        lead: None,
    }));
    let sync = Action::Sync { lead: None };
    assert_eq!(actions, [Action::Heartbeat(true), sync]);
    assert_eq!(member.generation(), 2);
    assert_eq!(member.step(Input::Synced(all_partitions())), []);
    let actions = member.step(Input::Released);
    let forget = Action::Forget(all_partitions());
    assert_eq!(actions, [forget, Action::Heartbeat(false), Action::Leave]);
}

#[test]
fn a_cooperative_member_that_hears_nothing_while_it_joins_loses_everything() {
    let mut member = stable(true, false);
    member.step(refused(E::RebalanceInProgress));
    let lose = Action::Lose(all_partitions(), LostReason::SessionExpired);
    let actions = member.step(Input::SessionExpired);
    assert_eq!(actions, [Action::Heartbeat(false), lose]);
    // An answer that comes after all is to a member that has given up.
    let late = Input::Joined(Joined {
        generation: 2,
        member_id: "m1".into(),
        lead: None,
    });
    assert_eq!(member.step(late), []);
    let join = Action::Join { retry: false };
    assert_eq!(member.step(Input::Released).last(), Some(&join));
}

#[test]
fn closing_says_whether_the_member_leaves() {
    use GroupMembershipOperation as Op;
    for (is_static, operation, last) in [
        (true, Op::LeaveGroup, Action::Leave),
        (true, Op::RemainInGroup, Action::End(None)),
        (false, Op::LeaveGroup, Action::Leave),
        (false, Op::RemainInGroup, Action::End(None)),
    ] {
        let mut member = stable(false, is_static);
        member.step(Input::Close(operation));
        assert_eq!(member.step(Input::Released).last(), Some(&last));
    }
}

#[test]
fn a_member_whose_holder_is_stuck_leaves_and_joins_when_it_is_there_again() {
    let lose = Action::Lose(all_partitions(), LostReason::MaxPollIntervalExceeded);
    let join = Action::Join { retry: false };
    for released_first in [true, false] {
        let mut member = stable(false, false);
        let actions = member.step(Input::PollOverdue);
        assert_eq!(
            actions,
            [Action::Heartbeat(false), lose.clone(), Action::Leave]
        );
        assert_eq!(member.phase(), GroupPhase::Expelled);
        // However long that takes.
        assert_eq!(member.step(Input::DrainBudgetOver), []);
        let (first, second) = if released_first {
            (Input::Released, Input::Left)
        } else {
            (Input::Left, Input::Released)
        };
        assert_eq!(member.step(first), []);
        let forget = Action::Forget(all_partitions());
        let actions = member.step(second);
        assert_eq!(actions, [forget, Action::Heartbeat(false), join.clone()]);
        assert!(member.member_id().is_empty());
    }
    // One with an instance id is out when its session is (KIP-345).
    let mut member = stable(false, true);
    let actions = member.step(Input::PollOverdue);
    assert_eq!(actions, [Action::Heartbeat(false), lose]);
    assert_eq!(member.step(Input::Released).last(), Some(&join));
    assert_eq!(&**member.member_id(), "m1");
}

#[test]
fn a_static_member_that_is_told_to_leave_does_so_also_while_its_holder_is_stuck() {
    use GroupMembershipOperation as Op;
    let end = [Action::Heartbeat(false), Action::End(None)];
    let leave = [Action::Heartbeat(false), Action::Leave];
    for (operation, actions) in [
        (Op::LeaveGroup, &leave),
        (Op::Default, &end),
        (Op::RemainInGroup, &end),
    ] {
        let mut member = stable(false, true);
        member.step(Input::PollOverdue);
        assert_eq!(member.phase(), GroupPhase::Expelled);
        assert_eq!(member.step(Input::Close(operation)), *actions);
        assert_eq!(&**member.member_id(), "m1");
        if operation == Op::LeaveGroup {
            assert_eq!(member.step(Input::Left), end);
        }
    }
    // One that has left already does not do so twice.
    let mut member = stable(false, false);
    member.step(Input::PollOverdue);
    member.step(Input::Left);
    assert_eq!(member.step(Input::Close(Op::LeaveGroup)), end);
}

#[test]
fn a_static_member_leaves_by_its_instance_id_while_it_does_not_know_its_member_id() {
    use GroupMembershipOperation as Op;
    for (is_static, operation, last) in [
        (true, Op::LeaveGroup, Action::Leave),
        (true, Op::Default, Action::End(None)),
        (true, Op::RemainInGroup, Action::End(None)),
        // Its first join was not taken: it has to come again with the id that it gets.
        (false, Op::LeaveGroup, Action::End(None)),
    ] {
        let mut member = Membership::new(true, is_static);
        member.step(Input::Start);
        assert_eq!(member.step(Input::Close(operation)).last(), Some(&last));
        assert!(member.member_id().is_empty());
    }
}
