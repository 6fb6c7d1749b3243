//! The producer end to end: the same scenarios on the embedded broker and on a real Kafka, and faults on the embedded one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod extensions;
mod faults;
mod in_flight;
mod kit;
mod leaders;
mod scenarios;

macro_rules! on_every_broker {
    ($($scenario:ident)+) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $scenario() {
                crate::scenarios::$scenario(&crate::kit::Bed::embedded(1).await).await;
            })+
        }

        mod real {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs KAFKA_BOOTSTRAP_SERVERS: eval \"$(deploy/testbed/up)\" && cargo test -p kafka-client --test producer -- --ignored"]
            async fn $scenario() {
                crate::scenarios::$scenario(&crate::kit::Bed::real()).await;
            })+
        }
    };
}

on_every_broker! {
    records_come_back_as_they_were_sent
    keys_keep_their_partition_and_their_order
    records_without_a_key_use_every_partition
    every_compression_is_read_back
    a_full_memory_makes_senders_wait
    what_cannot_be_sent_is_said_at_once
    closing_delivers_first
    batches_too_large_for_the_topic_go_in_parts
    a_lone_record_leaves_at_once_and_lingering_ones_together
    a_trace_goes_along_with_records
}
