//! The user's own code in the producer: partitioners and interceptors. And what else only the embedded broker can be told to do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use kafka_broker::{ApiKey, Fault, FaultAction, ResponseError};
use kafka_client::{
    AddedHeaders, Partitioner, Placement, ProduceError, Producer, ProducerConfig,
    ProducerInterceptor, ProducerRecord, RecordMetadata, TopicRecord, partition_for_key,
};
use parking_lot::Mutex;

use crate::kit::{Bed, load, seeds, within};

fn producer(bed: &Bed, change: impl FnOnce(&mut ProducerConfig)) -> Producer {
    let mut config = ProducerConfig::default();
    change(&mut config);
    bed.client.producer(config)
}

/// The key says where: a number, `panic`, or as usual.
#[derive(Debug)]
struct ByTheKey;

impl Partitioner for ByTheKey {
    fn partition(&self, record: &Placement<'_>) -> Option<i32> {
        assert_eq!(record.partitions, 3);
        assert!((0..3).all(|partition| record.has_leader(partition)));
        assert!(!record.has_leader(3) && !record.has_leader(-1));
        let key = std::str::from_utf8(record.key?).unwrap();
        assert_ne!(key, "panic");
        key.parse().ok()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partitioner_places_records_and_its_faults_are_errors() {
    let bed = Bed::embedded(1).await;
    let topic = bed.topic(3).await;
    let producer = producer(&bed, |c| c.partitioner = Some(Arc::new(ByTheKey)));
    let usual = partition_for_key(b"other", 3);
    for (key, partition) in [("2", 2), ("0", 0), ("2", 2), ("1", 1), ("other", usual)] {
        let record = ProducerRecord::new(&topic).key(key.as_bytes());
        let delivery = producer.send(&record).await.unwrap();
        let metadata = within("sending", delivery).await.unwrap();
        assert_eq!(metadata.partition, partition, "{key}");
    }
    // Whoever names a partition is not asked about it.
    let named = ProducerRecord::new(&topic).key(b"panic").partition(1);
    let delivery = producer.send(&named).await.unwrap();
    assert_eq!(within("sending", delivery).await.unwrap().partition, 1);
    let none = producer.send(&ProducerRecord::new(&topic)).await.unwrap();
    within("sending", none).await.unwrap();
    for key in ["3", "-1", "panic"] {
        let record = ProducerRecord::new(&topic).key(key.as_bytes());
        let error = producer.send(&record).await.unwrap_err();
        assert!(matches!(error, ProduceError::Partitioner { .. }), "{error}");
        assert!(error.is_of_record() && !error.may_have_been_written());
    }
    let record = ProducerRecord::new(&topic).key(b"0");
    let delivery = producer.send(&record).await.unwrap();
    assert_eq!(within("sending", delivery).await.unwrap().offset, 1);
}

/// Numbers the records, and notes how each ended.
#[derive(Debug, Default)]
struct Tracing {
    next: AtomicU64,
    ends: Mutex<BTreeMap<u64, Vec<Result<RecordMetadata, ProduceError>>>>,
}

impl Tracing {
    /// The one end of each of so many records, by its number.
    async fn ends(&self, count: usize) -> Vec<Result<RecordMetadata, ProduceError>> {
        // Told by the producer's tasks, about when the deliveries are.
        within("being told", async {
            while self.ends.lock().len() < count {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let ends = self.ends.lock();
        let mut all = Vec::new();
        for (number, (token, results)) in ends.iter().enumerate() {
            assert_eq!(*token, number as u64);
            assert_eq!(results.len(), 1, "record {token} ended more than once");
            all.push(results[0].clone());
        }
        all
    }
}

impl ProducerInterceptor for Tracing {
    fn on_send(&self, _topic: &str, record: &TopicRecord<'_>, headers: &mut AddedHeaders) -> u64 {
        assert_ne!(record.key, Some(b"panic".as_slice()));
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        headers.push("traceparent", format!("span-{number}").as_bytes());
        headers.push(String::from("more"), b"");
        number
    }

    fn on_acknowledgement(&self, token: u64, result: Result<&RecordMetadata, &ProduceError>) {
        let result = result.cloned().map_err(Clone::clone);
        self.ends.lock().entry(token).or_default().push(result);
        assert_ne!(token, 1, "a panic that must go no further");
    }
}

fn traced(bed: &Bed, change: impl FnOnce(&mut ProducerConfig)) -> (Producer, Arc<Tracing>) {
    let tracing = Arc::new(Tracing::default());
    let interceptor = Arc::clone(&tracing);
    let producer = producer(bed, |c| {
        c.interceptor = Some(interceptor);
        change(c);
    });
    (producer, tracing)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interceptor_adds_headers_and_hears_of_every_record_once() {
    let bed = Bed::embedded(1).await;
    let topic = bed.topic(1).await;
    let (producer, tracing) = traced(&bed, |_| {});
    let own = [("own", Some(b"1".as_slice()))];
    let record = ProducerRecord::new(&topic).headers(&own);
    let mut deliveries = Vec::new();
    for _ in 0..3 {
        deliveries.push(producer.send(&record).await.unwrap());
    }
    let mut acknowledged = Vec::new();
    for delivery in deliveries {
        acknowledged.push(within("sending", delivery).await.unwrap());
    }
    within("flushing", producer.flush()).await;
    let told: Vec<_> = tracing
        .ends(3)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(told, acknowledged);
    for (number, read) in bed.read(&topic, 0).await.into_iter().enumerate() {
        let named = |name: &str, value: &str| (name.to_owned(), Some(value.as_bytes().to_vec()));
        let span = format!("span-{number}");
        assert_eq!(
            read.headers,
            [
                named("own", "1"),
                named("traceparent", &span),
                named("more", "")
            ]
        );
    }
    // It goes as it is, and nobody is told.
    let panics = ProducerRecord::new(&topic).key(b"panic").headers(&own);
    let delivery = producer.send(&panics).await.unwrap();
    within("sending", delivery).await.unwrap();
    assert_eq!(bed.read(&topic, 0).await[3].headers.len(), 1);
    assert_eq!(tracing.ends(3).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interceptor_hears_of_failures_and_of_parts() {
    let bed = Bed::embedded(1).await;
    let topic = bed
        .topic_with(1, |topic| topic.config("max.message.bytes", "500"))
        .await;
    let (producer, tracing) = traced(&bed, |c| {
        c.linger = Duration::from_secs(3_600);
        c.max_record_size = 4_000;
        c.max_block = Duration::from_millis(300);
    });
    // 0 to 9, in one batch, which goes in parts; 10 is too large for the broker, 11 for the producer, 12 has no topic.
    let mut deliveries = Vec::new();
    for number in 0..11u32 {
        let value = vec![7u8; if number == 10 { 2_000 } else { 100 }];
        let record = ProducerRecord::new(&topic).value(&value).partition(0);
        deliveries.push(producer.send(&record).await.unwrap());
    }
    let value = vec![7u8; 5_000];
    let record = ProducerRecord::new(&topic).value(&value);
    producer.send(&record).await.unwrap_err();
    let nowhere = ProducerRecord::new("nowhere");
    within("no topic", producer.send(&nowhere))
        .await
        .unwrap_err();
    within("flushing", producer.flush()).await;
    for (number, delivery) in deliveries.into_iter().enumerate() {
        let ended = within("the end", delivery).await;
        assert_eq!(ended.is_ok(), number < 10, "{ended:?}");
        assert_eq!(
            ended.map_or(-1, |m| m.offset),
            if number < 10 { number as i64 } else { -1 }
        );
    }
    let ends = tracing.ends(13).await;
    let offsets: Vec<_> = ends
        .iter()
        .map(|end| end.as_ref().map_or(-1, |m| m.offset))
        .collect();
    assert_eq!(offsets, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, -1, -1, -1]);
    assert!(matches!(
        ends[10],
        Err(ProduceError::RecordTooLarge { max: None, .. })
    ));
    assert!(matches!(
        ends[11],
        Err(ProduceError::RecordTooLarge {
            max: Some(4_000),
            ..
        })
    ));
    assert!(matches!(ends[12], Err(ProduceError::Metadata { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interceptor_hears_of_what_is_cancelled_and_closed() {
    let bed = Bed::embedded(1).await;
    let topic = bed.topic(1).await;
    let held = bed
        .broker()
        .faults()
        .inject(Fault::new(FaultAction::NeverAnswer).on(ApiKey::Metadata));
    let (producer, tracing) = traced(&bed, |_| {});
    let record = ProducerRecord::new(&topic);
    {
        // Polled at least once, and then dropped.
        let sending = std::pin::pin!(producer.send(&record));
        assert!(futures_util::poll!(sending).is_pending());
    }
    assert!(matches!(
        tracing.ends(1).await[..],
        [Err(ProduceError::Cancelled { .. })]
    ));
    held.remove();
    bed.broker()
        .faults()
        .inject(Fault::new(FaultAction::NeverAnswer).on(ApiKey::Produce));
    let delivery = within("metadata", producer.send(&record)).await.unwrap();
    within("closing", producer.close(Duration::ZERO))
        .await
        .unwrap_err();
    let error = within("the end", delivery).await.unwrap_err();
    assert!(matches!(error, ProduceError::Closed { .. }), "{error}");
    assert!(matches!(
        tracing.ends(2).await[1],
        Err(ProduceError::Closed { .. })
    ));
}

/// On one thread, so that nothing runs between two polls.
#[tokio::test]
async fn a_send_that_is_dropped_before_it_is_ready_has_sent_nothing() {
    for intercepted in [false, true] {
        let bed = Bed::embedded(1).await;
        let topic = bed.topic(1).await;
        let tracing = Arc::new(Tracing::default());
        let producer = producer(&bed, |c| {
            if intercepted {
                c.interceptor = Some(Arc::clone(&tracing) as Arc<dyn ProducerInterceptor>);
            }
        });
        let first = ProducerRecord::new(&topic).value(b"first");
        let delivery = producer.send(&first).await.unwrap();
        within("sending", delivery).await.unwrap();

        let mut accepted = vec![Some(b"first".to_vec())];
        let mut is_accepted = vec![true];
        let mut deliveries = Vec::new();
        for number in 0..50u32 {
            let value = number.to_be_bytes();
            let record = ProducerRecord::new(&topic).value(&value);
            let sending = std::pin::pin!(producer.send(&record));
            if let Poll::Ready(sent) = futures_util::poll!(sending) {
                deliveries.push(sent.unwrap());
                accepted.push(Some(value.to_vec()));
                is_accepted.push(true);
            } else {
                is_accepted.push(false);
            }
            if number % 5 == 4 {
                within("flushing", producer.flush()).await;
            }
        }
        assert!(deliveries.len() >= 25, "of two calls one is taken");
        for (delivery, offset) in deliveries.into_iter().zip(1..) {
            assert_eq!(within("sending", delivery).await.unwrap().offset, offset);
        }
        let read = bed.read(&topic, 0).await.into_iter();
        assert_eq!(read.map(|r| r.value).collect::<Vec<_>>(), accepted);
        if intercepted {
            let ends = tracing.ends(51).await;
            for (end, is_accepted) in ends.iter().zip(is_accepted) {
                match end {
                    Ok(_) => assert!(is_accepted),
                    Err(error) => {
                        assert!(!is_accepted);
                        assert!(matches!(error, ProduceError::Cancelled { .. }), "{error}");
                    }
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_batches_go_in_parts_under_lost_answers_and_changing_leaders() {
    let actions = [
        FaultAction::DropAfter,
        FaultAction::DropBefore,
        FaultAction::Answer(ResponseError::NotEnoughReplicasAfterAppend),
    ];
    for (action, seed) in seeds().flat_map(|seed| actions.map(|action| (action, seed))) {
        let bed = Bed::embedded_with_seed(1, seed).await;
        let topic = bed
            .topic_with(3, |topic| topic.config("max.message.bytes", "400"))
            .await;
        let producer = producer(&bed, |c| c.batch_size = 4_096);
        let fault = Fault::new(action).after(3).times(10).probability(0.3);
        bed.broker().faults().inject(fault.on(ApiKey::Produce));
        load(&producer, &topic, 10, 500).await;
        bed.check_load(&topic, 3, 10, 500).await;
    }
}

/// Whatever it is that senders wait for: closing ends it, and closing itself ends in its time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_ends_whoever_waits() {
    let bed = Bed::embedded(1).await;
    let topic = bed.topic(1).await;
    let producer = producer(&bed, |c| {
        c.batch_size = 1_024;
        c.max_record_size = 1_024;
        c.buffer_memory = 2_048;
        c.linger = Duration::from_secs(3_600);
    });
    let silence = Fault::new(FaultAction::NeverAnswer);
    bed.broker().faults().inject(silence.on(ApiKey::Produce));
    let value = vec![0u8; 900];
    let record = ProducerRecord::new(&topic).value(&value);
    let mut deliveries = Vec::new();
    for _ in 0..2 {
        deliveries.push(within("sending", producer.send(&record)).await.unwrap());
    }
    let silence = Fault::new(FaultAction::NeverAnswer);
    bed.broker().faults().inject(silence.on(ApiKey::Metadata));
    let elsewhere = ProducerRecord::new("another");
    let waits = async {
        let (memory, metadata) = tokio::join!(producer.send(&record), producer.send(&elsewhere));
        [memory.unwrap_err(), metadata.unwrap_err()]
    };
    let closing = async {
        // The two above are polled first.
        producer.close(Duration::from_millis(200)).await
    };
    let (waited, closed) = within("closing", async { tokio::join!(waits, closing) }).await;
    closed.unwrap_err();
    for error in waited {
        assert!(matches!(error, ProduceError::Closed { .. }), "{error}");
    }
    for delivery in deliveries {
        assert!(delivery.is_complete());
        delivery.await.unwrap_err();
    }
    within("closing again", producer.close(Duration::from_secs(3_600)))
        .await
        .unwrap();
}
