//! krafka: `enqueue` for each record, which pipelines, and one loop of polls.

use std::time::{Duration, Instant};

use ::krafka::Kafka;
use ::krafka::consumer::{AutoOffsetReset, Consumer};
use ::krafka::producer::{Producer, Record};
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::Failure;
use crate::measure::{
    Job, Meter, PARTITIONS, PATIENCE, Report, Seen, Setting, Tally, paced, sequence,
};

const SAMPLE: u64 = 4_096;

pub(super) async fn produce(job: &Job) -> Result<Report, Failure> {
    let producer = producer(job).await?;
    let value = Bytes::from(job.value());
    let first = Record::new(job.topic.as_str(), value.clone());
    drop(producer.send(first).await?);

    let meter = Meter::start()?;
    let mut sample = Vec::new();
    for n in 0..job.records {
        let record = Record::new(job.topic.as_str(), value.clone());
        let delivery = producer.enqueue(record).await?;
        if n % SAMPLE == 0 {
            sample.push(delivery);
        }
    }
    producer.flush().await?;
    let report = meter.stop(job.records, 1)?;
    for delivery in sample {
        drop(delivery.await?);
    }
    producer.close().await?;
    Ok(report)
}

pub(super) async fn consume(job: &Job) -> Result<Report, Failure> {
    let consumer = consumer(job).await?;
    let mut tally = Tally::new(job.size);
    let mut meter = None;
    while tally.records < job.records {
        let records = consumer.poll(PATIENCE).await?;
        if records.is_empty() {
            return Err(format!("only {} records came", tally.records).into());
        }
        if meter.is_none() {
            meter = Some(Meter::start()?);
        }
        for record in records {
            tally.take(record.partition, record.offset, record.value.as_deref())?;
        }
    }
    meter
        .ok_or("nothing was to be read")?
        .stop(tally.records, 0)
}

pub(super) async fn latency(job: &Job) -> Result<Report, Failure> {
    let (tell, seen) = mpsc::unbounded_channel();
    // A client of its own: a record that shares the consumer's connection waits behind its long polls.
    let consumer = consumer(job).await?;
    let reading = tokio::spawn(async move {
        if let Err(problem) = watch(&consumer, &tell).await {
            let _ = tell.send(Err(problem));
        }
    });
    let producer = producer(job).await?;
    let (runtime, topic) = (tokio::runtime::Handle::current(), job.topic.clone());
    let send = move |value: &[u8]| {
        let record = Record::new(topic.as_str(), value.to_vec());
        drop(runtime.block_on(producer.enqueue(record))?);
        Ok(())
    };
    let report = paced(job, send, seen).await;
    reading.abort();
    report
}

async fn watch(consumer: &Consumer, tell: &mpsc::UnboundedSender<Seen>) -> Result<(), Failure> {
    loop {
        let records = consumer.poll(Duration::from_secs(1)).await?;
        let at = Instant::now();
        for record in records {
            tell.send(Ok((sequence(record.value.as_deref())?, at)))?;
        }
    }
}

async fn producer(job: &Job) -> Result<Producer, Failure> {
    let kafka = Kafka::builder(job.servers.as_str()).connect().await?;
    let producer = kafka.producer();
    let producer = match job.setting {
        Setting::Default => producer,
        Setting::Tuned => producer
            .batch_size(1_000_000)
            .linger(Duration::from_millis(5))
            .buffer_memory(64 * 1024 * 1024),
        Setting::NoLinger => producer.linger(Duration::ZERO),
    };
    Ok(producer.build().await?)
}

async fn consumer(job: &Job) -> Result<Consumer, Failure> {
    let kafka = Kafka::builder(job.servers.as_str()).connect().await?;
    let consumer = kafka
        .consumer_without_group()
        .auto_offset_reset(AutoOffsetReset::Earliest);
    let consumer = match job.setting {
        Setting::Default | Setting::NoLinger => consumer,
        Setting::Tuned => consumer
            .max_poll_records(100_000)
            .max_buffered_records(100_000),
    };
    let consumer = consumer.build().await?;
    consumer
        .assign(&job.topic, (0..PARTITIONS).collect())
        .await?;
    Ok(consumer)
}
