//! rskafka's `PartitionClient`, as it is: whole batches in and out, one request at a time for each partition, no idempotence.
//! It shows what the broker and the bare protocol cost; it has no call for a record and so is no peer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use ::rskafka::client::ClientBuilder;
use ::rskafka::client::partition::{Compression, PartitionClient, UnknownTopicHandling};
use ::rskafka::record::Record;
use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::Failure;
use crate::measure::{Job, Meter, PARTITIONS, Report, Seen, Tally, gather, paced, sequence};

/// Bytes of the values in a batch, and the most of a fetch: 1 MB, less what a record has besides its value.
const BATCH: usize = 900_000;
const RECORD_OVERHEAD: usize = 12;
const FETCH: i32 = 1024 * 1024;
const MAX_WAIT_MS: i32 = 500;

pub(super) async fn produce(job: &Job) -> Result<Report, Failure> {
    let partitions = partitions(job).await?;
    let value = job.value();
    for partition in &partitions {
        let first = vec![record(&value, Utc::now())];
        partition.produce(first, Compression::NoCompression).await?;
    }
    let in_batch = (BATCH / (job.size + RECORD_OVERHEAD)).max(1) as u64;
    let share = job.records / PARTITIONS as u64;
    let meter = Meter::start()?;
    let mut tasks = JoinSet::new();
    for (partition, index) in partitions.into_iter().zip(0_u64..) {
        let rest = if index == 0 {
            job.records % PARTITIONS as u64
        } else {
            0
        };
        let (value, mut left) = (value.clone(), share + rest);
        tasks.spawn(async move {
            while left > 0 {
                let count = left.min(in_batch);
                let now = Utc::now();
                let batch = (0..count).map(|_| record(&value, now)).collect();
                partition.produce(batch, Compression::NoCompression).await?;
                left -= count;
            }
            Ok::<(), Failure>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    meter.stop(job.records, PARTITIONS as u64)
}

pub(super) async fn consume(job: &Job) -> Result<Report, Failure> {
    let (tell, counts) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    for partition in partitions(job).await? {
        let (tell, mut tally) = (tell.clone(), Tally::new(job.size));
        tasks.spawn(async move {
            loop {
                let read = fetch(&partition, &mut tally).await;
                if tell.send(read).is_err() {
                    break;
                }
            }
        });
    }
    gather(counts, job.records).await
}

async fn fetch(partition: &PartitionClient, tally: &mut Tally) -> Result<u64, Failure> {
    let from = i64::try_from(tally.records)?;
    let (records, _) = partition.fetch_records(from, 1..FETCH, MAX_WAIT_MS).await?;
    for record in &records {
        tally.take(
            partition.partition(),
            record.offset,
            record.record.value.as_deref(),
        )?;
    }
    Ok(records.len() as u64)
}

pub(super) async fn latency(job: &Job) -> Result<Report, Failure> {
    let (tell, seen) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    // Connections of their own, so that a record that is sent does not wait behind a fetch.
    for partition in partitions(job).await? {
        let tell = tell.clone();
        tasks.spawn(async move {
            if let Err(problem) = watch(&partition, &tell).await {
                let _ = tell.send(Err(problem));
            }
        });
    }
    let senders = partitions(job).await?;
    let runtime = tokio::runtime::Handle::current();
    let mut turn = 0;
    let send = move |value: &[u8]| {
        turn = (turn + 1) % senders.len();
        let (sender, tell) = (Arc::clone(&senders[turn]), tell.clone());
        let batch = vec![record(value, Utc::now())];
        runtime.spawn(async move {
            if let Err(problem) = sender.produce(batch, Compression::NoCompression).await {
                let _ = tell.send(Err(problem.into()));
            }
        });
        Ok(())
    };
    paced(job, send, seen).await
}

async fn watch(
    partition: &PartitionClient,
    tell: &mpsc::UnboundedSender<Seen>,
) -> Result<(), Failure> {
    let mut next = 0;
    loop {
        let (records, _) = partition.fetch_records(next, 1..FETCH, MAX_WAIT_MS).await?;
        let at = Instant::now();
        for record in records {
            next = record.offset + 1;
            tell.send(Ok((sequence(record.record.value.as_deref())?, at)))?;
        }
    }
}

fn record(value: &[u8], timestamp: DateTime<Utc>) -> Record {
    Record {
        key: None,
        value: Some(value.to_vec()),
        headers: BTreeMap::new(),
        timestamp,
    }
}

async fn partitions(job: &Job) -> Result<Vec<Arc<PartitionClient>>, Failure> {
    let servers = job.servers.split(',').map(str::to_owned).collect();
    let client = ClientBuilder::new(servers).build().await?;
    let mut partitions = Vec::new();
    for partition in 0..PARTITIONS {
        let made = client
            .partition_client(job.topic.as_str(), partition, UnknownTopicHandling::Retry)
            .await?;
        partitions.push(Arc::new(made));
    }
    Ok(partitions)
}
