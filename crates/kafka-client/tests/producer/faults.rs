//! What must hold when things go wrong: every acknowledged record exactly once and in the order of its key.

use std::time::Duration;

use kafka_broker::{ApiKey, Fault, FaultAction, ResponseError};
use kafka_client::{ProduceError, Producer, ProducerConfig, ProducerRecord};

use crate::kit::{Bed, load, seeds, send_number, within};

fn producer(bed: &Bed, change: impl FnOnce(&mut ProducerConfig)) -> Producer {
    let mut config = ProducerConfig::default();
    // Smaller batches are more requests to go wrong.
    config.batch_size = 2_048;
    config.max_record_size = 2_048;
    change(&mut config);
    bed.client.producer(config)
}

/// The fault is one with a probability: which requests it meets depends on the seed.
async fn survives(fault: Fault) {
    for seed in seeds() {
        let bed = Bed::embedded_with_seed(1, seed).await;
        let topic = bed.topic(3).await;
        let producer = producer(&bed, |_| {});
        let fault = fault.clone().on(ApiKey::Produce);
        let fault = bed.broker().faults().inject(fault);
        load(&producer, &topic, 10, 1_000).await;
        assert!(fault.hits() > 0, "the fault was not met");
        bed.check_load(&topic, 3, 10, 1_000).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_lost_after_the_append() {
    survives(
        Fault::new(FaultAction::DropAfter)
            .after(3)
            .times(10)
            .probability(0.4),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_lost_before_the_append() {
    survives(
        Fault::new(FaultAction::DropBefore)
            .after(3)
            .times(10)
            .probability(0.4),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_answers() {
    let delay = Duration::from_millis(20);
    survives(Fault::new(FaultAction::DelayAnswer(delay)).probability(0.4)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throttled_answers_are_heeded_and_nothing_is_written_twice() {
    let bed = Bed::embedded(1).await;
    let topic = bed.topic(1).await;
    let producer = producer(&bed, |_| {});
    let throttle = Duration::from_millis(100);
    bed.broker().faults().inject(
        Fault::new(FaultAction::Throttle(throttle))
            .on(ApiKey::Produce)
            .times(3),
    );
    let started = std::time::Instant::now();
    let handle = producer.topic(&topic);
    for number in 0..4 {
        let delivery = send_number(&handle, 0, number).await.unwrap();
        within("sending", delivery).await.unwrap();
    }
    assert!(started.elapsed() >= throttle * 3);
    bed.check_load(&topic, 1, 1, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passing_errors_of_every_kind() {
    for code in [
        ResponseError::NotLeaderOrFollower,
        ResponseError::NotEnoughReplicas,
        ResponseError::NotEnoughReplicasAfterAppend,
        ResponseError::UnknownTopicOrPartition,
        ResponseError::CorruptMessage,
        ResponseError::KafkaStorageError,
        ResponseError::RequestTimedOut,
    ] {
        survives(
            Fault::new(FaultAction::Answer(code))
                .after(2)
                .times(5)
                .probability(0.5),
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_sequence_costs_an_epoch_and_no_record() {
    for code in [
        ResponseError::OutOfOrderSequenceNumber,
        ResponseError::UnknownProducerId,
        ResponseError::InvalidProducerEpoch,
    ] {
        survives(
            Fault::new(FaultAction::Answer(code))
                .after(2)
                .times(4)
                .probability(0.5),
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_never_answers_is_left_after_the_request_timeout() {
    let bed = Bed::embedded(1).await;
    let topic = bed.topic(3).await;
    let producer = producer(&bed, |c| c.request_timeout = Duration::from_millis(300));
    let silent = bed.broker().faults().inject(
        Fault::new(FaultAction::LoseAnswer)
            .on(ApiKey::Produce)
            .after(3)
            .times(2),
    );
    load(&producer, &topic, 5, 500).await;
    assert_eq!(silent.hits(), 2);
    bed.check_load(&topic, 3, 5, 500).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaders_that_move_under_load() {
    let bed = Bed::embedded(3).await;
    let topic = bed.topic(3).await;
    let producer = producer(&bed, |_| {});
    let moving = async {
        for round in 0..30 {
            for partition in 0..3 {
                let node = (round + partition) % 3 + 1;
                bed.broker().move_leader(&topic, partition, node).unwrap();
            }
            // A while of load, told by the log and not by the clock.
            let before = written(&bed, &topic);
            within("records after a move", async {
                while written(&bed, &topic) < before + 50 && written(&bed, &topic) < 20_000 {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
    };
    tokio::join!(load(&producer, &topic, 10, 2_000), moving);
    bed.check_load(&topic, 3, 10, 2_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_cut_and_nodes_crashed_under_load() {
    let bed = Bed::embedded(3).await;
    let topic = bed.topic(3).await;
    let producer = producer(&bed, |_| {});
    let trouble = async {
        for round in 0..12 {
            let node = round % 3 + 1;
            if round % 4 == 3 {
                bed.broker().crash_node(node).await.unwrap();
                bed.broker().start_node(node).await.unwrap();
            } else {
                bed.broker().cut_connections(node).unwrap();
            }
            let before = written(&bed, &topic);
            within("records after a cut", async {
                while written(&bed, &topic) < before + 100 && written(&bed, &topic) < 20_000 {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
    };
    tokio::join!(load(&producer, &topic, 10, 2_000), trouble);
    bed.check_load(&topic, 3, 10, 2_000).await;
}

fn written(bed: &Bed, topic: &str) -> i64 {
    let partitions = bed.broker().inspect().partitions(topic);
    partitions.iter().map(|p| p.end_offset).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_past_its_time_fails_and_the_next_ones_go_on() {
    let bed = Bed::embedded(1).await;
    let topic = bed.topic(1).await;
    let producer = producer(&bed, |c| {
        c.delivery_timeout = Duration::from_millis(500);
        c.request_timeout = Duration::from_millis(200);
    });
    let handle = producer.topic(&topic);
    let first = send_number(&handle, 0, 0).await.unwrap();
    within("sending", first).await.unwrap();

    // Refused again and again: certainly not written.
    let refused = bed.broker().faults().inject(
        Fault::new(FaultAction::Answer(ResponseError::NotEnoughReplicas)).on(ApiKey::Produce),
    );
    let late = send_number(&handle, 0, 99).await.unwrap();
    let error = within("giving up", late).await.unwrap_err();
    assert!(
        matches!(error, ProduceError::DeliveryTimeout { .. }),
        "{error}"
    );
    assert!(!error.may_have_been_written(), "{error}");
    refused.remove();
    let second = send_number(&handle, 0, 1).await.unwrap();
    assert_eq!(within("sending", second).await.unwrap().offset, 1);

    // Written, and never heard of.
    let unheard = bed
        .broker()
        .faults()
        .inject(Fault::new(FaultAction::LoseAnswer).on(ApiKey::Produce));
    let late = send_number(&handle, 0, 2).await.unwrap();
    let error = within("giving up", late).await.unwrap_err();
    assert!(error.may_have_been_written(), "{error}");
    unheard.remove();
    let third = send_number(&handle, 0, 3).await.unwrap();
    assert_eq!(within("sending", third).await.unwrap().offset, 3);
    bed.check_load(&topic, 1, 1, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_batch_fails_and_those_behind_it_are_written() {
    let bed = Bed::embedded(1).await;
    let topic = bed.topic(1).await;
    let producer = producer(&bed, |_| {});
    let handle = producer.topic(&topic);
    let first = send_number(&handle, 0, 0).await.unwrap();
    within("sending", first).await.unwrap();
    bed.broker().faults().inject(
        Fault::new(FaultAction::Answer(ResponseError::InvalidRecord))
            .on(ApiKey::Produce)
            .times(1),
    );
    let refused = send_number(&handle, 0, 99).await.unwrap();
    let error = within("refusing", refused).await.unwrap_err();
    assert!(
        matches!(
            error,
            ProduceError::Refused {
                code: ResponseError::InvalidRecord,
                ..
            }
        ),
        "{error}"
    );
    for number in 1..10 {
        let delivery = send_number(&handle, 0, number).await.unwrap();
        within("sending", delivery).await.unwrap();
    }
    bed.check_load(&topic, 1, 1, 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_undelivered_fails_when_the_producer_goes() {
    for close in [true, false] {
        let bed = Bed::embedded(1).await;
        let topic = bed.topic(1).await;
        let producer = producer(&bed, |_| {});
        let held = bed
            .broker()
            .faults()
            .inject(Fault::new(FaultAction::NeverAnswer).on(ApiKey::Produce));
        let delivery = producer.send(&ProducerRecord::new(&topic)).await.unwrap();
        within("the request", held.wait_for_hits(1)).await;
        if close {
            let closing = producer.close(Duration::from_millis(100));
            within("closing", closing).await.unwrap_err();
        } else {
            drop(producer);
        }
        let error = within("failing", delivery).await.unwrap_err();
        assert!(
            matches!(
                error,
                ProduceError::Closed {
                    maybe_written: true
                }
            ),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_id_that_is_slow_to_come() {
    let bed = Bed::embedded(1).await;
    let topic = bed.topic(1).await;
    let producer = producer(&bed, |_| {});
    let busy = FaultAction::Answer(ResponseError::CoordinatorLoadInProgress);
    bed.broker()
        .faults()
        .inject(Fault::new(busy).on(ApiKey::InitProducerId).times(3));
    load(&producer, &topic, 1, 10).await;

    let refused = FaultAction::Answer(ResponseError::ClusterAuthorizationFailed);
    let refused = bed
        .broker()
        .faults()
        .inject(Fault::new(refused).on(ApiKey::InitProducerId));
    let another = bed.client.producer(ProducerConfig::default());
    let delivery = another.send(&ProducerRecord::new(&topic)).await.unwrap();
    let error = within("refusing", delivery).await.unwrap_err();
    assert!(matches!(error, ProduceError::ProducerId(_)), "{error}");
    refused.remove();
    let delivery = another.send(&ProducerRecord::new(&topic)).await.unwrap();
    within("sending", delivery).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_is_added_is_used() {
    let bed = Bed::embedded(1).await;
    let topic = bed.topic(1).await;
    let producer = producer(&bed, |_| {});
    load(&producer, &topic, 1, 10).await;
    let admin = bed.client.admin();
    for (_, result) in admin.create_partitions(&[(&topic, 3)]).await.unwrap() {
        result.unwrap();
    }
    let record = ProducerRecord::new(&topic).partition(2);
    let delivery = within("sending", producer.send(&record)).await.unwrap();
    assert_eq!(within("sending", delivery).await.unwrap().partition, 2);
}
