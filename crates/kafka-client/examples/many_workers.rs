//! Works on one partition's records in parallel, in order for each key, and commits only what is done without a gap.
//!
//! `cargo run -p kafka-client --example many_workers`; on a broker of your own with `KAFKA_BOOTSTRAP_SERVERS=host:port`.
//!
//! A partition has one reader. Where the work on a record takes long (a call to another service, say) the reader hands
//! records to several workers, always the same worker for a key. They end out of order, and a commit says that *everything*
//! before it is done: the `OffsetTracker` tells how far that is.

#[path = "common/kafka.rs"]
mod kafka;

use std::time::Duration;

use kafka_client::{
    Client, ClientConfig, GroupConfig, GroupEvent, NewTopic, OffsetReset, OffsetTracker,
    PartitionConsumer, ProducerConfig, ProducerRecord, partition_for_key,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

const RECORDS: i64 = 200;
const WORKERS: u32 = 8;
/// Records that are handed out and not done: what may be read twice after a crash.
const AT_ONCE: usize = 64;

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let kafka = kafka::Kafka::find().await?;
    let committed = run(&kafka.bootstrap_servers).await?;
    println!("committed offset {committed}");
    Ok(())
}

/// Returns what was committed.
pub(crate) async fn run(bootstrap_servers: &str) -> Result<i64, AnyError> {
    let client = Client::new(ClientConfig::new(bootstrap_servers))?;
    write_something(&client).await?;
    let mut config = GroupConfig::new("example-workers", ["example-jobs"]);
    config.consumer.auto_offset_reset = OffsetReset::Earliest;
    let mut group = client.consumer_group(config)?;
    let committed = match group.next().await {
        Some(GroupEvent::Assigned(partition)) => share_out(partition).await?,
        Some(GroupEvent::Error(error)) => return Err(error.into()),
        None => return Err("the group has ended".into()),
    };
    group.close(Duration::from_secs(10)).await?;
    Ok(committed)
}

/// Reads until all records are committed, or the partition is revoked.
async fn share_out(mut partition: PartitionConsumer) -> Result<i64, AnyError> {
    let tracker = OffsetTracker::new();
    let mut workers = JoinSet::new();
    let queues: Vec<mpsc::Sender<Job>> = (0..WORKERS)
        .map(|_| {
            let (queue, jobs) = mpsc::channel(AT_ONCE);
            workers.spawn(work(jobs, tracker.clone()));
            queue
        })
        .collect();

    let mut committed = 0;
    while committed < RECORDS {
        let room = AT_ONCE.saturating_sub(tracker.in_progress());
        tokio::select! {
            next_offset = tracker.progress() => {
                partition.commit(next_offset).await?;
                tracker.committed(next_offset);
                committed = next_offset;
            }
            polled = partition.poll(room), if room > 0 => {
                let Some(records) = polled? else { break };
                tracker.begin(&records);
                for record in &records {
                    let key = record.key.unwrap_or_default();
                    // A key has one worker, so its records stay in order.
                    let worker = partition_for_key(key, WORKERS) as usize;
                    let job = Job { offset: record.offset, key: key.to_vec() };
                    queues[worker].send(job).await?;
                }
            }
        }
    }

    // A revoked partition: what is in progress is finished, within a bound, and committed.
    drop(queues);
    let _ = tokio::time::timeout(Duration::from_secs(5), tracker.idle()).await;
    if let Some(next_offset) = tracker.committable() {
        partition.commit(next_offset).await?;
        committed = next_offset;
    }
    Ok(committed)
}

struct Job {
    offset: i64,
    key: Vec<u8>,
}

async fn work(mut jobs: mpsc::Receiver<Job>, tracker: OffsetTracker) {
    while let Some(job) = jobs.recv().await {
        // Some take longer than others.
        tokio::time::sleep(Duration::from_millis(
            u64::from(job.key.last() == Some(&b'0')) * 3,
        ))
        .await;
        tracker.done(job.offset);
    }
}

async fn write_something(client: &Client) -> Result<(), AnyError> {
    client
        .admin()
        .ensure_topics(&[NewTopic::new("example-jobs", 1, -1)])
        .await?;
    let producer = client.producer(ProducerConfig::default());
    let keys: Vec<String> = (0..RECORDS)
        .map(|number| format!("key-{}", number % 20))
        .collect();
    let records = keys.iter().map(|key| {
        ProducerRecord::new("example-jobs")
            .key(key.as_bytes())
            .value(b"job")
    });
    producer.send_all(records).await?;
    Ok(())
}
