//! Joins a group, reads each of its partitions in a task of its own, and commits what is done.
//!
//! `cargo run -p kafka-client --example consume_and_commit`; on a broker of your own with
//! `KAFKA_BOOTSTRAP_SERVERS=host:port`. Start it twice on one broker and see the partitions being shared.

#[path = "common/kafka.rs"]
mod kafka;

use std::time::Duration;

use kafka_client::{
    Client, ClientConfig, GroupConfig, GroupEvent, NewTopic, OffsetReset, PartitionConsumer,
    ProducerConfig, ProducerRecord,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

const RECORDS: usize = 30;

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let kafka = kafka::Kafka::find().await?;
    let read = run(&kafka.bootstrap_servers).await?;
    println!("{read} records read");
    Ok(())
}

/// Returns how many records were read.
pub(crate) async fn run(bootstrap_servers: &str) -> Result<usize, AnyError> {
    let client = Client::new(ClientConfig::new(bootstrap_servers))?;
    write_something(&client).await?;

    let mut config = GroupConfig::new("example-readers", ["example-readings"]);
    config.consumer.auto_offset_reset = OffsetReset::Earliest;
    let mut group = client.consumer_group(config)?;
    let (report, mut reports) = mpsc::channel(16);
    let mut readers = JoinSet::new();
    let mut read = 0;
    while read < RECORDS {
        tokio::select! {
            event = group.next() => match event {
                // The handle is the ownership: nobody else in the group reads this partition while it is there.
                Some(GroupEvent::Assigned(partition)) => {
                    readers.spawn(read_partition(partition, report.clone()));
                }
                Some(GroupEvent::Error(error)) => return Err(error.into()),
                None => return Err("the group has ended".into()),
            },
            Some(count) = reports.recv() => read += count,
            Some(ended) = readers.join_next() => ended??,
        }
    }

    // Takes the partitions away: each reader's poll returns none, it ends, and the group is left.
    group.close(Duration::from_secs(10)).await?;
    while let Some(ended) = readers.join_next().await {
        ended??;
    }
    Ok(read)
}

async fn read_partition(
    mut partition: PartitionConsumer,
    report: mpsc::Sender<usize>,
) -> Result<(), AnyError> {
    while let Some(records) = partition.poll(100).await? {
        for record in &records {
            println!(
                "{} offset {}: {}",
                partition.topic_partition(),
                record.offset,
                String::from_utf8_lossy(record.value.unwrap_or_default()),
            );
        }
        // Only now are they done. Whoever owns the partition after a crash reads on from what was committed last. It need not
        // be waited for: the next commit says as much as this one, and a partition that is revoked stays until its last
        // commit is answered. Where something else hangs on it, `commit` waits.
        partition.commit_async(records.next_offset());
        if report.send(records.len()).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn write_something(client: &Client) -> Result<(), AnyError> {
    client
        .admin()
        .ensure_topics(&[NewTopic::new("example-readings", 3, -1)])
        .await?;
    let producer = client.producer(ProducerConfig::default());
    let lines: Vec<String> = (0..RECORDS)
        .map(|number| format!("reading {number}"))
        .collect();
    let records = lines.iter().map(|line| {
        ProducerRecord::new("example-readings")
            .key(line.as_bytes())
            .value(line.as_bytes())
    });
    producer.send_all(records).await?;
    Ok(())
}
