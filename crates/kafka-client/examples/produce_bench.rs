//! The producer alone, for a profiler; `just bench-client` compares it with others.
//!
//! ```text
//! [KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092] cargo run --profile dist -p kafka-client --example produce_bench -- [runs] [value bytes]
//! ```
//!
//! Without the variable it measures against the embedded broker, which then shares the process. Prints records a second and this process's CPU seconds a million records, for records of 10 B, 100 B, 1 KB and 10 KB: medians of
//! the runs, with the default settings (acks=all, idempotent, no linger, no compression), one task that sends record by record.

use std::time::{Duration, Instant};

use kafka_broker::{Broker, BrokerConfig};
use kafka_client::{
    Admin, Client, ClientConfig, NewTopic, ProducerConfig, TopicPartition, TopicRecord,
};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let embedded = Broker::start(BrokerConfig::default()).await?;
    let servers =
        std::env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or_else(|_| embedded.bootstrap_servers());
    let mut arguments = std::env::args().skip(1);
    let runs: usize = arguments.next().map_or(Ok(3), |a| a.parse())?;
    let only: Option<usize> = arguments.next().map(|a| a.parse()).transpose()?;
    let client = Client::new(ClientConfig::new(&servers))?;
    println!("{:>8} {:>12} {:>14}", "bytes", "records/s", "CPU s/million");
    for (size, count) in [
        (10, 10_000_000),
        (100, 3_000_000),
        (1_000, 1_000_000),
        (10_000, 100_000),
    ] {
        if only.is_some_and(|only| only != size) {
            continue;
        }
        let mut rates = Vec::new();
        let mut costs = Vec::new();
        for run in 0..runs {
            let (rate, cost) = measure(&client, size, count, run).await?;
            rates.push(rate);
            costs.push(cost);
        }
        rates.sort_by(f64::total_cmp);
        costs.sort_by(f64::total_cmp);
        println!(
            "{size:>8} {:>12.0} {:>14.3}",
            rates[runs / 2],
            costs[runs / 2]
        );
    }
    Ok(())
}

async fn measure(
    client: &Client,
    size: usize,
    count: u64,
    run: usize,
) -> Result<(f64, f64), AnyError> {
    let name = format!("produce-bench-{size}-{}-{run}", std::process::id());
    let admin: Admin = client.admin();
    admin.ensure_topics(&[NewTopic::new(&name, 3, 1)]).await?;
    let producer = client.producer(ProducerConfig::default());
    let topic = producer.topic(&name);
    let value = vec![b'x'; size];
    let record = TopicRecord {
        value: Some(&value),
        ..TopicRecord::default()
    };
    // Metadata, connection and producer id are not what is measured.
    topic.send(&record).await?.await?;

    let cpu = cpu_time()?;
    let started = Instant::now();
    let mut last = Vec::with_capacity(4_000);
    for n in 0..count {
        let delivery = topic.send(&record).await?;
        if n % 4_096 == 0 {
            last.push(delivery);
        }
    }
    producer.flush().await;
    let took = started.elapsed();
    let spent = cpu_time()?.saturating_sub(cpu);
    for delivery in last {
        delivery.await?;
    }
    producer.close(Duration::from_secs(10)).await?;

    let partitions: Vec<_> = (0..3)
        .map(|p| TopicPartition::new(name.as_str(), p))
        .collect();
    let ends = admin
        .list_offsets(&partitions, kafka_client::OffsetAt::Latest)
        .await?;
    let mut written = 0;
    for (_, end) in ends {
        written += end?.offset.unwrap_or_default();
    }
    if written != i64::try_from(count + 1)? {
        return Err(format!("{written} records in the log of {} sent", count + 1).into());
    }
    admin.delete_topics(&[&name]).await?;
    Ok((
        count as f64 / took.as_secs_f64(),
        spent.as_secs_f64() / (count as f64 / 1e6),
    ))
}

/// User and system time of this process, from /proc: in hundredths of a second.
fn cpu_time() -> Result<Duration, AnyError> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .ok_or("no command in /proc/self/stat")?
        .1
        .split_whitespace()
        .collect();
    let ticks = |index: usize| -> Result<u64, AnyError> {
        Ok(fields.get(index).ok_or("short /proc/self/stat")?.parse()?)
    };
    Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
}
