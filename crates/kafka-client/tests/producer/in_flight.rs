//! How many batches of a partition are in flight, and that their order holds when one of them fails.

use std::time::Duration;

use kafka_broker::{ApiKey, Fault, FaultAction, ResponseError};
use kafka_client::{Producer, ProducerConfig, ProducerRecord};

use crate::kit::{Bed, send_number, within};

/// Batches as small as they can be: no two records of this size fit into one.
const VALUE: [u8; 100] = [7; 100];

fn producer(bed: &Bed, change: impl FnOnce(&mut ProducerConfig)) -> Producer {
    let mut config = ProducerConfig::default();
    config.batch_size = 0;
    change(&mut config);
    bed.client.producer(config)
}

/// Only what was sent may have been written when its time is up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_to_five_batches_of_a_partition_are_in_flight() {
    for max_in_flight in [1, 3, 5] {
        let bed = Bed::embedded(1).await;
        let topic = bed.topic(1).await;
        let producer = producer(&bed, |c| {
            c.max_in_flight = max_in_flight;
            c.delivery_timeout = Duration::from_secs(1);
        });
        let record = ProducerRecord::new(&topic).value(&VALUE);
        // Until the leader has acknowledged one, no more than one is in flight to it.
        let delivery = producer.send(&record).await.unwrap();
        within("sending", delivery).await.unwrap();

        let silence = Fault::new(FaultAction::NeverAnswer);
        bed.broker().faults().inject(silence.on(ApiKey::Produce));
        let mut deliveries = Vec::new();
        for _ in 0..8 {
            deliveries.push(producer.send(&record).await.unwrap());
        }
        let mut were_sent = Vec::new();
        for delivery in deliveries {
            let error = within("giving up", delivery).await.unwrap_err();
            were_sent.push(error.may_have_been_written());
        }
        let expected: Vec<_> = (0..8).map(|place| place < max_in_flight).collect();
        assert_eq!(were_sent, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_holds_when_the_first_of_several_in_flight_fails() {
    for action in [
        FaultAction::Answer(ResponseError::NotEnoughReplicas),
        FaultAction::Answer(ResponseError::NotEnoughReplicasAfterAppend),
        FaultAction::Answer(ResponseError::OutOfOrderSequenceNumber),
        FaultAction::DropBefore,
        FaultAction::DropAfter,
    ] {
        let bed = Bed::embedded(1).await;
        let topic = bed.topic(1).await;
        let producer = producer(&bed, |_| {});
        let handle = producer.topic(&topic);
        let first = send_number(&handle, 0, 0).await.unwrap();
        within("sending", first).await.unwrap();

        // The broker takes its time with it, and those behind it are on their way.
        let slow = FaultAction::Delay(Duration::from_millis(200));
        for action in [slow, action] {
            let fault = Fault::new(action).on(ApiKey::Produce).times(1);
            bed.broker().faults().inject(fault);
        }
        let mut deliveries = Vec::new();
        for number in 1..100 {
            deliveries.push(send_number(&handle, 0, number).await.unwrap());
        }
        for (delivery, offset) in deliveries.into_iter().zip(1..) {
            let metadata = within("sending", delivery).await.unwrap();
            assert_eq!(metadata.offset, offset, "{action:?}");
        }
        bed.check_load(&topic, 1, 1, 100).await;
    }
}
