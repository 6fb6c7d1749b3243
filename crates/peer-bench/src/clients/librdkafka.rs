//! librdkafka through the crate rdkafka: `send` and `poll` for each record, librdkafka's own threads behind them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{
    BaseProducer, BaseRecord, NoCustomPartitioner, Producer, ProducerContext, ThreadedProducer,
};
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use tokio::sync::mpsc;

use crate::Failure;
use crate::measure::{
    Job, Meter, PARTITIONS, PATIENCE, Report, Seen, Setting, Tally, paced, sequence,
};

/// Counts the delivery reports.
#[derive(Debug, Clone, Default)]
struct Deliveries {
    good: Arc<AtomicU64>,
    bad: Arc<AtomicU64>,
}

impl ClientContext for Deliveries {}

impl ProducerContext<NoCustomPartitioner> for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let count = if result.is_ok() {
            &self.good
        } else {
            &self.bad
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

pub(super) fn produce(job: &Job) -> Result<Report, Failure> {
    let deliveries = Deliveries::default();
    let producer: BaseProducer<Deliveries> =
        producer_config(job).create_with_context(deliveries.clone())?;
    let value = job.value();
    send(&producer, job, &value)?;
    producer.flush(PATIENCE)?;

    let meter = Meter::start()?;
    for n in 0..job.records {
        send(&producer, job, &value)?;
        if n % 1_024 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(PATIENCE)?;
    let report = meter.stop(job.records, 1)?;
    let (good, bad) = (
        deliveries.good.load(Ordering::Relaxed),
        deliveries.bad.load(Ordering::Relaxed),
    );
    if bad > 0 || good != job.records + 1 {
        return Err(format!("{good} records delivered, {bad} not").into());
    }
    Ok(report)
}

/// Waits for room in librdkafka's queue, as its documentation says: by serving delivery reports.
fn send(producer: &BaseProducer<Deliveries>, job: &Job, value: &[u8]) -> Result<(), Failure> {
    let mut record: BaseRecord<'_, (), [u8]> = BaseRecord::to(&job.topic).payload(value);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), returned)) => {
                producer.poll(Duration::from_millis(100));
                record = returned;
            }
            Err((problem, _)) => return Err(problem.into()),
        }
    }
}

pub(super) fn consume(job: &Job) -> Result<Report, Failure> {
    let consumer = consumer(job)?;
    let mut tally = Tally::new(job.size);
    let mut meter = None;
    while tally.records < job.records {
        let message = consumer
            .poll(PATIENCE)
            .ok_or_else(|| format!("only {} records came", tally.records))??;
        if meter.is_none() {
            meter = Some(Meter::start()?);
        }
        tally.take(message.partition(), message.offset(), message.payload())?;
    }
    meter
        .ok_or("nothing was to be read")?
        .stop(tally.records, 0)
}

pub(super) async fn latency(job: &Job) -> Result<Report, Failure> {
    let (tell, seen) = mpsc::unbounded_channel();
    let consumer = consumer(job)?;
    let over = Arc::new(AtomicBool::new(false));
    let reading = tokio::task::spawn_blocking({
        let over = Arc::clone(&over);
        move || {
            if let Err(problem) = watch(&consumer, &tell, &over) {
                let _ = tell.send(Err(problem));
            }
        }
    });
    let producer: ThreadedProducer<Deliveries> =
        producer_config(job).create_with_context(Deliveries::default())?;
    let topic = job.topic.clone();
    let send = move |value: &[u8]| {
        let record: BaseRecord<'_, (), [u8]> = BaseRecord::to(&topic).payload(value);
        producer.send(record).map_err(|(problem, _)| problem)?;
        Ok(())
    };
    let report = paced(job, send, seen).await;
    over.store(true, Ordering::Relaxed);
    reading.await?;
    report
}

fn watch(
    consumer: &BaseConsumer,
    tell: &mpsc::UnboundedSender<Seen>,
    over: &AtomicBool,
) -> Result<(), Failure> {
    while !over.load(Ordering::Relaxed) {
        if let Some(message) = consumer.poll(Duration::from_millis(500)) {
            let message = message?;
            tell.send(Ok((sequence(message.payload())?, Instant::now())))?;
        }
    }
    Ok(())
}

fn producer_config(job: &Job) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &job.servers)
        .set("acks", "all")
        .set("enable.idempotence", "true");
    match job.setting {
        Setting::Default => {}
        Setting::Tuned => {
            config
                .set("batch.size", "1000000")
                .set("batch.num.messages", "1000000")
                .set("linger.ms", "5");
        }
        Setting::NoLinger => {
            config.set("linger.ms", "0");
        }
    }
    config
}

fn consumer(job: &Job) -> Result<BaseConsumer, Failure> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &job.servers)
        .set("group.id", "peer-bench")
        .set("enable.auto.commit", "false");
    if job.setting == Setting::Tuned {
        config
            .set("queued.min.messages", "1000000")
            .set("fetch.queue.backoff.ms", "10");
    }
    let consumer: BaseConsumer = config.create()?;
    let mut partitions = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        partitions.add_partition_offset(&job.topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&partitions)?;
    Ok(consumer)
}
