//! What must hold on every broker.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};

use kafka_client::trace::{self, TRACEPARENT, TracePropagation};
use kafka_client::{
    Compression, ConsumerConfig, ProduceError, ProducerConfig, ProducerRecord, StartAt,
    TopicPartition, TopicRecord, partition_for_key,
};
use parking_lot::Mutex;

use crate::kit::{Bed, load, within};

fn config(change: impl FnOnce(&mut ProducerConfig)) -> ProducerConfig {
    let mut config = ProducerConfig::default();
    change(&mut config);
    config
}

pub(crate) async fn records_come_back_as_they_were_sent(bed: &Bed) {
    let topic = bed.topic(1).await;
    let producer = bed.client.producer(ProducerConfig::default());
    let headers = [
        ("h", Some(b"1".as_slice())),
        ("h", None),
        ("", Some(b"".as_slice())),
    ];
    let big = vec![7u8; 100_000];
    let records = [
        ProducerRecord::new(&topic)
            .key(b"k")
            .value(b"v")
            .headers(&headers),
        ProducerRecord::new(&topic).timestamp(1_700_000_000_123),
        ProducerRecord::new(&topic).key(b"").value(b""),
        ProducerRecord::new(&topic).value(&big).partition(0),
    ];
    let written = within("sending", producer.send_all(records)).await.unwrap();
    let offsets: Vec<_> = written.iter().map(|w| (w.partition, w.offset)).collect();
    assert_eq!(offsets, [(0, 0), (0, 1), (0, 2), (0, 3)]);
    assert_eq!(written[1].timestamp, 1_700_000_000_123);
    assert_eq!(&*written[0].topic, topic.as_str());

    let read = bed.read(&topic, 0).await;
    assert_eq!(read.len(), 4);
    for ((sent, read), written) in records.iter().zip(&read).zip(&written) {
        assert_eq!(sent.key, read.key.as_deref());
        assert_eq!(sent.value, read.value.as_deref());
        assert_eq!(written.timestamp, read.timestamp);
        let sent: Vec<_> = sent
            .headers
            .iter()
            .map(|(k, v)| ((*k).to_owned(), v.map(<[u8]>::to_vec)))
            .collect();
        assert_eq!(sent, read.headers);
    }
}

pub(crate) async fn keys_keep_their_partition_and_their_order(bed: &Bed) {
    let topic = bed.topic(3).await;
    let producer = bed.client.producer(ProducerConfig::default());
    load(&producer, &topic, 20, 2_000).await;
    bed.check_load(&topic, 3, 20, 2_000).await;
    for partition in 0..3 {
        for record in bed.read(&topic, partition).await {
            assert_eq!(partition_for_key(&record.key.unwrap(), 3), partition);
        }
    }
}

pub(crate) async fn records_without_a_key_use_every_partition(bed: &Bed) {
    let topic = bed.topic(4).await;
    let producer = bed.client.producer(ProducerConfig::default());
    let mut used = BTreeSet::new();
    // Each is a batch of its own, since the one before was awaited: a fair die misses a face with 4 × (3/4)^200 at most.
    for _ in 0..200 {
        let record = ProducerRecord::new(&topic).value(b"v");
        let delivery = producer.send(&record).await.unwrap();
        used.insert(within("sending", delivery).await.unwrap().partition);
    }
    assert_eq!(used.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
}

pub(crate) async fn every_compression_is_read_back(bed: &Bed) {
    for compression in [
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let topic = bed.topic(3).await;
        let producer = bed.client.producer(config(|c| c.compression = compression));
        load(&producer, &topic, 5, 2_000).await;
        bed.check_load(&topic, 3, 5, 2_000).await;
    }
}

pub(crate) async fn a_full_memory_makes_senders_wait(bed: &Bed) {
    let topic = bed.topic(3).await;
    // Two batches of memory, and a linger that would never end by itself.
    let producer = bed.client.producer(config(|c| {
        c.batch_size = 16 * 1024;
        c.max_record_size = 16 * 1024;
        c.buffer_memory = 32 * 1024;
        c.linger = Duration::from_secs(3_600);
    }));
    let value = vec![1u8; 5_000];
    let mut deliveries = Vec::new();
    within("sending", async {
        for _ in 0..500 {
            let record = ProducerRecord::new(&topic).value(&value);
            deliveries.push(producer.send(&record).await.unwrap());
        }
        producer.flush().await;
    })
    .await;
    for delivery in deliveries {
        assert!(delivery.is_complete());
        delivery.await.unwrap();
    }
}

pub(crate) async fn what_cannot_be_sent_is_said_at_once(bed: &Bed) {
    let topic = bed.topic(1).await;
    let producer = bed.client.producer(config(|c| {
        c.max_block = Duration::from_millis(700);
        c.max_record_size = 10_000;
    }));
    let value = vec![0u8; 10_001];
    let error = producer
        .send(&ProducerRecord::new(&topic).value(&value))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            ProduceError::RecordTooLarge {
                max: Some(10_000),
                ..
            }
        ),
        "{error}"
    );
    for partition in [1, -1] {
        let record = ProducerRecord::new(&topic).partition(partition);
        let error = within("sending", producer.send(&record)).await.unwrap_err();
        assert!(
            matches!(error, ProduceError::UnknownPartition { .. }),
            "{error}"
        );
    }
    let nowhere = format!("{topic}-is-not");
    let error = within("sending", producer.send(&ProducerRecord::new(&nowhere)))
        .await
        .unwrap_err();
    assert!(matches!(error, ProduceError::Metadata { .. }), "{error}");
    assert!(!error.may_have_been_written());
}

pub(crate) async fn closing_delivers_first(bed: &Bed) {
    let topic = bed.topic(3).await;
    let producer = bed
        .client
        .producer(config(|c| c.linger = Duration::from_secs(3_600)));
    let handle = producer.topic(&topic);
    let mut deliveries = Vec::new();
    for n in 0..1_000u32 {
        let value = n.to_be_bytes();
        let record = TopicRecord {
            key: Some(&value),
            value: Some(&value),
            ..TopicRecord::default()
        };
        deliveries.push(handle.send(&record).await.unwrap());
    }
    within("closing", producer.close(Duration::from_secs(30)))
        .await
        .unwrap();
    for delivery in deliveries {
        assert!(delivery.is_complete());
        delivery.await.unwrap();
    }
    let error = handle.send(&TopicRecord::default()).await.unwrap_err();
    assert!(matches!(error, ProduceError::Closed { .. }), "{error}");
}

pub(crate) async fn a_lone_record_leaves_at_once_and_lingering_ones_together(bed: &Bed) {
    let topic = bed.topic(1).await;
    let prompt = bed.client.producer(ProducerConfig::default());
    let record = ProducerRecord::new(&topic).value(b"v");
    let delivery = prompt.send(&record).await.unwrap();
    assert_eq!(within("sending", delivery).await.unwrap().offset, 0);

    let patient = bed
        .client
        .producer(config(|c| c.linger = Duration::from_millis(300)));
    let started = std::time::Instant::now();
    let first = patient.send(&record).await.unwrap();
    let second = patient.send(&record).await.unwrap();
    assert_eq!(within("sending", second).await.unwrap().offset, 2);
    assert!(first.is_complete(), "both are in one batch");
    assert!(started.elapsed() >= Duration::from_millis(300));
}

pub(crate) async fn batches_too_large_for_the_topic_go_in_parts(bed: &Bed) {
    for compression in [Compression::None, Compression::Lz4] {
        let topic = bed
            .topic_with(3, |topic| topic.config("max.message.bytes", "1000"))
            .await;
        let producer = bed.client.producer(config(|c| {
            c.compression = compression;
            c.linger = Duration::from_millis(5);
        }));
        load(&producer, &topic, 10, 300).await;
        bed.check_load(&topic, 3, 10, 300).await;

        // One that is too large by itself fails alone.
        let mut random = rand::rngs::StdRng::seed_from_u64(1);
        let noise: Vec<u8> = (0..2_000).map(|_| random.random()).collect();
        let small = ProducerRecord::new(&topic).key(b"k").value(b"v");
        let records = [small, small.value(&noise), small];
        let mut deliveries = Vec::new();
        for record in &records {
            deliveries.push(producer.send(record).await.unwrap());
        }
        within("flushing", producer.flush()).await;
        let mut ends = Vec::new();
        for delivery in deliveries {
            assert!(delivery.is_complete());
            ends.push(delivery.await);
        }
        let [Ok(first), Err(error), Ok(last)] = &ends[..] else {
            panic!("{ends:?}");
        };
        assert_eq!(last.offset, first.offset + 1);
        assert!(
            matches!(error, ProduceError::RecordTooLarge { max: None, .. }),
            "{error}"
        );
    }
}

pub(crate) async fn a_trace_goes_along_with_records(bed: &Bed) {
    let topic = bed.topic(1).await;
    let current = Arc::new(Mutex::new(None));
    let asked = Arc::clone(&current);
    let propagation = TracePropagation::new(move || *asked.lock());
    let producer = bed.client.producer(config(|c| {
        c.interceptor = Some(Arc::new(propagation));
    }));
    let (span, other) = (trace::root(true), trace::root(false));
    let (by_hand, other_text) = (trace::child_of(span).to_string(), other.to_string());
    let later = other_text.replacen("00-", "cc-", 1) + "-more";
    let of = |value| (TRACEPARENT, value);
    for (headers, now, expected) in [
        // What is sent within no span has no trace, unless it brings one.
        (vec![], None, None),
        (vec![of(Some(&*by_hand))], None, by_hand.parse().ok()),
        (vec![of(Some(&*later))], None, Some(other)),
        (vec![], Some(span), Some(span)),
        (vec![("Traceparent", None)], Some(other), Some(other)),
        // One that is there is the record's own, whatever it is worth.
        (vec![of(Some(&*other_text))], Some(span), Some(other)),
        (vec![of(Some("junk"))], Some(span), None),
        (vec![of(None)], Some(span), None),
        (vec![of(Some(&*by_hand)); 2], Some(span), None),
    ] {
        *current.lock() = now;
        let headers = headers.into_iter().map(|(k, v)| (k, v.map(str::as_bytes)));
        let headers: Vec<_> = headers.collect();
        let record = ProducerRecord::new(&topic).headers(&headers);
        let written = within("sending", producer.send(&record)).await.unwrap();
        let offset = within("sending", written).await.unwrap().offset;
        let place = (TopicPartition::new(&*topic, 0), StartAt::Offset(offset));
        let mut consumers = bed.client.consume(ConsumerConfig::default(), [place]);
        let consumer = &mut consumers.as_mut().unwrap()[0];
        let records = within("polling", consumer.poll(1)).await.unwrap().unwrap();
        let parent = trace::parent_of(&records.iter().next().unwrap());
        assert_eq!(parent, expected, "{headers:?} within {now:?}");
    }
    assert!(span.is_random() && span.is_sampled() && !other.is_sampled());
    assert_ne!(span.trace_id(), other.trace_id());
    let child = trace::child_of(span);
    assert_eq!(child.trace_id(), span.trace_id());
    assert_ne!(child.span_id(), span.span_id());
}
