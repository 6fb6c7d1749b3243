//! crates/kafka-client: a call for each record, a task for each partition that is read.

use std::time::{Duration, Instant};

use kafka_client::{
    Client, ClientConfig, ConsumerConfig, OffsetReset, PartitionConsumer, ProducerConfig, StartAt,
    TopicPartition, TopicRecord,
};
use tokio::sync::mpsc;

use crate::Failure;
use crate::measure::{
    Job, Meter, PARTITIONS, PATIENCE, Report, Seen, Tally, gather, paced, sequence,
};

/// Every so many deliveries one is kept and asked how it ended; the count in the log tells of the others.
const SAMPLE: u64 = 4_096;

pub(super) async fn produce(job: &Job) -> Result<Report, Failure> {
    let client = Client::new(ClientConfig::new(&job.servers))?;
    let producer = client.producer(ProducerConfig::default());
    let topic = producer.topic(&job.topic);
    let value = job.value();
    let record = TopicRecord {
        value: Some(&value),
        ..TopicRecord::default()
    };
    // Metadata, connection and producer id are not what is measured.
    topic.send(&record).await?.await?;

    let meter = Meter::start()?;
    let mut sample = Vec::new();
    for n in 0..job.records {
        let delivery = topic.send(&record).await?;
        if n % SAMPLE == 0 {
            sample.push(delivery);
        }
    }
    producer.flush().await;
    let report = meter.stop(job.records, 1)?;
    for delivery in sample {
        delivery.await?;
    }
    producer.close(PATIENCE).await?;
    Ok(report)
}

pub(super) async fn consume(job: &Job) -> Result<Report, Failure> {
    let client = Client::new(ClientConfig::new(&job.servers))?;
    let (tell, counts) = mpsc::unbounded_channel();
    let mut tasks = tokio::task::JoinSet::new();
    for mut partition in partitions(&client, job)? {
        let (tell, mut tally) = (tell.clone(), Tally::new(job.size));
        tasks.spawn(async move {
            loop {
                let read = poll(&mut partition, &mut tally).await;
                if tell.send(read).is_err() {
                    break;
                }
            }
        });
    }
    gather(counts, job.records).await
}

/// Polls once and looks at every record.
async fn poll(partition: &mut PartitionConsumer, tally: &mut Tally) -> Result<u64, Failure> {
    let number = partition.partition();
    let records = partition
        .poll(usize::MAX)
        .await?
        .ok_or("the partition was taken away")?;
    for record in &records {
        tally.take(number, record.offset, record.value)?;
    }
    Ok(records.len() as u64)
}

pub(super) async fn latency(job: &Job) -> Result<Report, Failure> {
    let client = Client::new(ClientConfig::new(&job.servers))?;
    let (tell, seen) = mpsc::unbounded_channel();
    let mut tasks = tokio::task::JoinSet::new();
    for mut partition in partitions(&client, job)? {
        let tell = tell.clone();
        tasks.spawn(async move {
            if let Err(problem) = watch(&mut partition, &tell).await {
                // Nobody listens any more once the measurement is over.
                let _ = tell.send(Err(problem));
            }
        });
    }
    let producer = client.producer(ProducerConfig::default());
    let topic = producer.topic(&job.topic);
    let runtime = tokio::runtime::Handle::current();
    let send = move |value: &[u8]| {
        let record = TopicRecord {
            value: Some(value),
            ..TopicRecord::default()
        };
        // How it ended shows in whether it is read.
        drop(runtime.block_on(topic.send(&record))?);
        Ok(())
    };
    let report = paced(job, send, seen).await?;
    producer.close(Duration::from_secs(10)).await?;
    Ok(report)
}

async fn watch(
    partition: &mut PartitionConsumer,
    tell: &mpsc::UnboundedSender<Seen>,
) -> Result<(), Failure> {
    while let Some(records) = partition.poll(usize::MAX).await? {
        let at = Instant::now();
        for record in &records {
            tell.send(Ok((sequence(record.value)?, at)))?;
        }
    }
    Ok(())
}

fn partitions(client: &Client, job: &Job) -> Result<Vec<PartitionConsumer>, Failure> {
    let config = ConsumerConfig {
        auto_offset_reset: OffsetReset::Earliest,
        ..ConsumerConfig::default()
    };
    let all = (0..PARTITIONS).map(|p| {
        (
            TopicPartition::new(job.topic.as_str(), p),
            StartAt::Offset(0),
        )
    });
    Ok(client.consume(config, all)?)
}
