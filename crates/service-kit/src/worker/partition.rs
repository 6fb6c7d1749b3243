//! One partition's loop: poll a batch → handle → publish → settle → commit.
//!
//! Each step is done again until it succeeds, and only then the next begins, so an offset is committed only when all that
//! came before it is done. A crash in between has the batch handled again by whoever gets the partition.

use std::fmt::Display;
use std::time::Duration;

use contracts::Message;
use kafka_client::{ConsumerError, PartitionConsumer, Records};

use super::Shared;
use super::route::{Batch, Route};
use crate::publish::publish;

/// Records that are handled together: enough to make a bulk write pay, few enough to be done soon when asked to stop.
const BATCH: usize = 500;
/// The first and the longest wait before a step is tried again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// The partition is not ours any more: nothing of what is under way may be committed.
struct Lost;

/// Reads a partition until it is revoked or lost.
pub(super) async fn work(mut partition: PartitionConsumer, shared: &Shared) {
    let id = partition.topic_partition().clone();
    let Some(route) = shared.reactions.route(&id.topic) else {
        tracing::error!(partition = %id, "nothing reacts to this topic");
        return;
    };
    // Simulated work takes its time for each order, so orders are then taken one by one.
    let batch = if shared.processing_time.is_zero() {
        BATCH
    } else {
        1
    };
    loop {
        match partition.poll(batch).await {
            Ok(Some(records)) => {
                if handle(&partition, &records, &*route, shared).await.is_err() {
                    tracing::info!(partition = %id, "partition lost, what was under way is left to its next owner");
                    return;
                }
            }
            Ok(None) => return,
            Err(error) if error.is_lost() => return,
            // The position stays, so the same records are fetched again.
            Err(error) => {
                tracing::error!(%error, "cannot read the partition");
                if wait(&partition, BACKOFF.1).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn handle(
    partition: &PartitionConsumer,
    records: &Records,
    route: &dyn Route,
    shared: &Shared,
) -> Result<(), Lost> {
    let batch = route.decode(records);
    for (place, error) in batch.poison() {
        put_aside(partition, records, *place, &error.to_string(), shared).await?;
    }
    if !shared.processing_time.is_zero() {
        wait(partition, shared.processing_time).await?;
    }
    let messages = react(partition, records, &*batch, shared).await?;
    retry(
        partition,
        "publish",
        || publish(&shared.producer, &messages),
        |_| true,
    )
    .await?
    .map_err(|_| Lost)?;
    let settled = retry(partition, "settle", || batch.settle(), |e| e.is_retriable()).await?;
    if let Err(error) = settled {
        // The events are out and the decision holds; what is left behind is cleared by the service's own sweep.
        tracing::error!(%error, partition = %partition.topic_partition(), "cannot settle a batch");
    }
    commit(partition, records.next_offset()).await
}

/// The events that tell of the batch. A record that can never be handled is put aside, and the others go on.
async fn react(
    partition: &PartitionConsumer,
    records: &Records,
    batch: &dyn Batch,
    shared: &Shared,
) -> Result<Vec<Message>, Lost> {
    if let Ok(messages) = retry(
        partition,
        "handle",
        || batch.react(None),
        |e| e.is_retriable(),
    )
    .await?
    {
        return Ok(messages);
    }
    let mut messages = Vec::new();
    for index in 0..batch.len() {
        match retry(
            partition,
            "handle",
            || batch.react(Some(index)),
            |e| e.is_retriable(),
        )
        .await?
        {
            Ok(more) => messages.extend(more),
            Err(error) => {
                put_aside(
                    partition,
                    records,
                    batch.record(index),
                    &error.to_string(),
                    shared,
                )
                .await?;
            }
        }
    }
    Ok(messages)
}

async fn put_aside(
    partition: &PartitionConsumer,
    records: &Records,
    place: usize,
    reason: &str,
    shared: &Shared,
) -> Result<(), Lost> {
    let Some(record) = records.iter().nth(place) else {
        return Ok(());
    };
    let put = || {
        shared
            .dead_letters
            .put(partition.topic(), partition.partition(), record, reason)
    };
    retry(partition, "put a dead letter aside", put, |_| true)
        .await?
        .map_err(|_| Lost)
}

async fn commit(partition: &PartitionConsumer, next_offset: i64) -> Result<(), Lost> {
    let committed = retry(
        partition,
        "commit",
        || partition.commit(next_offset),
        |e: &ConsumerError| !e.is_lost() && !matches!(e, ConsumerError::CommitBehind { .. }),
    );
    match committed.await? {
        Ok(()) => Ok(()),
        Err(error) => {
            tracing::warn!(%error, "cannot commit");
            Err(Lost)
        }
    }
}

/// Tries a step until it succeeds or fails for good. A partition that is revoked gets no further attempt: its next owner
/// does the step.
async fn retry<T, E, F>(
    partition: &PartitionConsumer,
    what: &str,
    mut step: impl FnMut() -> F,
    retriable: impl Fn(&E) -> bool,
) -> Result<Result<T, E>, Lost>
where
    E: Display,
    F: Future<Output = Result<T, E>>,
{
    let mut backoff = BACKOFF.0;
    loop {
        match step().await {
            Err(error) if retriable(&error) => {
                tracing::warn!(%error, partition = %partition.topic_partition(), "cannot {what}, trying again");
                wait(partition, backoff).await?;
                backoff = (backoff * 2).min(BACKOFF.1);
            }
            done => return Ok(done),
        }
    }
}

/// Waits, or finds that the partition is taken away.
async fn wait(partition: &PartitionConsumer, time: Duration) -> Result<(), Lost> {
    tokio::select! {
        () = tokio::time::sleep(time) => Ok(()),
        () = partition.revoked() => Err(Lost),
    }
}
