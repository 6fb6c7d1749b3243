//! Consumer groups end to end: the same scenarios on the embedded broker and on a real Kafka.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod commits;
mod faults;
mod fetching;
mod java;
mod kit;
mod leaving;
mod losses;
mod reading;
mod real_only;
mod rebalances;
mod scenarios;
mod starts;

macro_rules! on_every_broker {
    ($($module:ident: $($scenario:ident)+;)+) => {
        mod embedded {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $scenario() {
                crate::$module::$scenario(&crate::kit::Bed::embedded().await).await;
            })+)+
        }

        mod real {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs KAFKA_BOOTSTRAP_SERVERS: eval \"$(deploy/testbed/up)\" && cargo test -p kafka-client --test group -- --ignored"]
            async fn $scenario() {
                crate::$module::$scenario(&crate::kit::Bed::real()).await;
            })+)+
        }
    };
}

on_every_broker! {
    commits:
        commits_that_nobody_awaits_go_out_all_the_same;
    scenarios:
        members_come_and_go_and_every_record_is_handled_once
        a_revoked_partition_is_drained_before_it_moves
        a_holder_that_does_not_let_go_loses_its_partition
        the_last_member_standing_gets_all_when_another_crashes
        a_topic_that_is_made_later_is_waited_for
        a_pause_keeps_what_is_in_memory
        many_partitions_are_committed_together
        topics_that_match_a_pattern_come_and_go;
    starts:
        earliest_reads_all_that_is_there
        latest_reads_only_what_comes
        reading_goes_on_where_it_was_committed
        without_an_offset_polls_fail_until_somebody_seeks
        a_partition_is_read_without_a_group_from_any_place
        a_group_without_offsets_starts_at_a_time;
    rebalances:
        partitions_that_stay_are_not_interrupted
        cooperative_members_come_and_go_and_every_record_is_handled_once
        a_group_changes_from_range_to_cooperative_sticky_without_a_stop
        sticky_members_get_back_what_they_had
        a_static_member_that_restarts_finds_its_partitions_without_a_rebalance
        closing_says_whether_the_member_leaves;
    leaving:
        a_static_member_whose_holder_is_stuck_leaves_when_it_is_told_to
        a_static_member_leaves_before_it_knows_whether_its_first_join_was_taken;
}
