//! The consumer group alone, for a profiler: records a second from a topic that is there, and the time from append to poll.
//! `just bench-client` compares the client with others.
//!
//! ```text
//! [KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092] cargo run --profile dist -p kafka-client --example consume_bench -- [records] [value bytes]
//! ```
//!
//! Without the variable it measures against the embedded broker. It makes a topic of three partitions, fills it, reads it through a group that commits after each poll, and then sends 1,000 records a
//! second for five seconds to measure the time from `send` to `poll`.

use std::error::Error;
use std::time::{Duration, Instant};

use kafka_broker::{Broker, BrokerConfig};
use kafka_client::{
    Client, ClientConfig, ConsumerConfig, GroupConfig, GroupEvent, NewTopic, OffsetReset,
    PartitionConsumer, ProducerConfig, TopicRecord,
};
use tokio::sync::mpsc;

const PARTITIONS: i32 = 3;
const RATE: u32 = 1000;
const SECONDS: u32 = 5;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1).map(|a| a.parse::<u64>());
    let records = args.next().transpose()?.unwrap_or(1_000_000);
    let size = args.next().transpose()?.unwrap_or(100);
    let embedded = Broker::start(BrokerConfig::default()).await?;
    let servers =
        std::env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or_else(|_| embedded.bootstrap_servers());
    let client = Client::new(ClientConfig::new(&servers))?;
    let name = format!("consume-bench-{}", std::process::id());
    let topic = NewTopic::new(&name, PARTITIONS, 1);
    for (_, made) in client.admin().create_topics(&[topic]).await? {
        made?;
    }
    fill(&client, &name, records, usize::try_from(size)?).await?;

    let config = GroupConfig {
        consumer: ConsumerConfig {
            auto_offset_reset: OffsetReset::Earliest,
            ..ConsumerConfig::default()
        },
        ..GroupConfig::new(format!("{name}-group"), [name.clone()])
    };
    let mut group = client.consumer_group(config)?;
    let (report, mut reports) = mpsc::unbounded_channel();
    for _ in 0..PARTITIONS {
        match group.next().await {
            Some(GroupEvent::Assigned(partition)) => {
                tokio::spawn(read(partition, report.clone()));
            }
            other => return Err(format!("expected a partition, got {other:?}").into()),
        }
    }
    let mut read = 0;
    let mut started = None;
    while read < records {
        let Some(Report { records, .. }) = reports.recv().await else {
            break;
        };
        started.get_or_insert_with(Instant::now);
        read += records;
    }
    let took = started.map_or(Duration::ZERO, |s| s.elapsed());
    println!(
        "{read} records of {size} B in {took:?}: {:.0}/s",
        read as f64 / took.as_secs_f64()
    );

    latency(&client, &name, &mut reports).await?;
    group.close(Duration::from_secs(10)).await?;
    client.admin().delete_topics(&[&name]).await?;
    Ok(())
}

/// What a poll brought.
struct Report {
    records: u64,
    bytes: u64,
    /// The time stamp in the last record's key, in nanoseconds since the start.
    last_key: u64,
    at: Instant,
}

async fn read(
    mut partition: PartitionConsumer,
    report: mpsc::UnboundedSender<Report>,
) -> Result<(), Failure> {
    while let Some(batch) = partition.poll(100_000).await? {
        let at = Instant::now();
        let mut bytes = 0;
        let mut last_key = 0;
        for record in &batch {
            bytes += record.value.map_or(0, <[u8]>::len) as u64;
            if let Some(Ok(key)) = record.key.map(<[u8; 8]>::try_from) {
                last_key = u64::from_be_bytes(key);
            }
        }
        let records = batch.len() as u64;
        if report
            .send(Report {
                records,
                bytes,
                last_key,
                at,
            })
            .is_err()
        {
            break;
        }
        partition.commit(batch.next_offset()).await?;
    }
    Ok(())
}

async fn fill(client: &Client, topic: &str, records: u64, size: usize) -> Result<(), Failure> {
    let producer = client.producer(ProducerConfig::default());
    let topic = producer.topic(topic);
    let value = vec![b'x'; size];
    for n in 0..records {
        let record = TopicRecord {
            partition: i32::try_from(n % PARTITIONS as u64).ok(),
            value: Some(&value),
            ..TopicRecord::default()
        };
        drop(topic.send(&record).await?);
    }
    producer.flush().await;
    producer.close(Duration::from_secs(30)).await?;
    Ok(())
}

async fn latency(
    client: &Client,
    topic: &str,
    reports: &mut mpsc::UnboundedReceiver<Report>,
) -> Result<(), Failure> {
    let producer = client.producer(ProducerConfig::default());
    let topic = producer.topic(topic);
    let origin = Instant::now();
    let value = [b'x'; 100];
    let mut waits = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE);
    let mut sent = 0;
    let (mut seen, mut bytes) = (0, 0);
    while seen < u64::from(RATE * SECONDS) {
        tokio::select! {
            _ = ticks.tick(), if sent < RATE * SECONDS => {
                let key = u64::try_from(origin.elapsed().as_nanos())?.to_be_bytes();
                let record = TopicRecord {
                    partition: i32::try_from(sent).ok().map(|n| n % PARTITIONS),
                    key: Some(&key),
                    value: Some(&value),
                    ..TopicRecord::default()
                };
                drop(topic.send(&record).await?);
                sent += 1;
            }
            report = reports.recv() => {
                let Some(report) = report else { break };
                seen += report.records;
                bytes += report.bytes;
                let sent_at = origin + Duration::from_nanos(report.last_key);
                waits.push(report.at.saturating_duration_since(sent_at));
            }
        }
    }
    waits.sort_unstable();
    let percentile = |p: usize| waits[(waits.len() - 1) * p / 1000];
    println!(
        "send to poll at {RATE}/s ({bytes} B): p50 {:?}, p99 {:?}, p99.9 {:?}",
        percentile(500),
        percentile(990),
        percentile(999)
    );
    producer.close(Duration::from_secs(10)).await?;
    Ok(())
}
