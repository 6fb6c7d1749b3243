//! One partition's loop: poll a batch → handle → publish → settle → commit.
//!
//! Each step is done again until it succeeds, and only then the next begins, so an offset is committed only when all that
//! came before it is done. A crash in between has the batch handled again by whoever gets the partition.

use std::fmt::Display;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kafka_client::{ConsumerError, PartitionConsumer, ProduceError, Records};

use super::Shared;
use super::error::WorkerError;
use super::route::{Batch, Route};
use crate::dead_letters::{DeadLetterError, Refusal};
use crate::publish::publish;
use crate::reaction::ReactionError;

/// Records that are handled together: enough to make a bulk write pay, few enough to be done soon when asked to stop.
const BATCH: usize = 500;
/// How often an event is tried whose failure may pass: for about a second and a half. What has not passed by then is for
/// somebody to look at, while the events behind it go on.
const ATTEMPTS: u32 = 6;
/// The first and the longest wait before a step is tried again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Why what is under way is not done to its end.
enum Interruption {
    /// The partition is not ours any more: nothing of what is under way may be committed.
    TakenAway,
    GaveUp(WorkerError),
}

/// Why a batch, or one event of it, will not be handled however often it is tried.
#[derive(Debug, thiserror::Error)]
enum Unhandled {
    #[error(transparent)]
    Reaction(#[from] ReactionError),
    #[error("the events that tell of it cannot be published: {0}")]
    Publish(#[from] ProduceError),
}

/// Reads a partition until it is revoked or lost.
///
/// # Errors
///
/// [`WorkerError`]: nobody reads the partition any more although this member still has it.
pub(super) async fn work(
    mut partition: PartitionConsumer,
    shared: &Shared,
) -> Result<(), WorkerError> {
    let id = partition.topic_partition().clone();
    let Some(route) = shared.reactions.route(&id.topic) else {
        return Err(WorkerError::NoReaction(id.topic));
    };
    // Simulated work takes its time for each order, so orders are then taken one by one.
    let batch = if shared.processing_time.is_zero() {
        BATCH
    } else {
        1
    };
    loop {
        let step = match partition.poll(batch).await {
            Ok(Some(records)) => handle(&partition, &records, &*route, shared).await,
            Ok(None) => return Ok(()),
            Err(error) if error.is_lost() => return Ok(()),
            // It stays so until somebody seeks, and nobody here does.
            Err(error @ ConsumerError::NoOffset { .. }) => return Err(error.into()),
            // The position stays, so the same records are fetched again; where there is none yet, it is looked for again.
            // That holds for a batch that cannot be decoded, too: another replica may have it whole, and to skip records is
            // for somebody who knows what they are.
            Err(error) => {
                tracing::error!(%error, "cannot read the partition");
                wait(&partition, BACKOFF.1).await
            }
        };
        match step {
            Ok(()) => {}
            Err(Interruption::TakenAway) => {
                tracing::info!(partition = %id, "partition taken away, what was under way is left to its next owner");
                return Ok(());
            }
            Err(Interruption::GaveUp(error)) => return Err(error),
        }
    }
}

async fn handle(
    partition: &PartitionConsumer,
    records: &Records,
    route: &dyn Route,
    shared: &Shared,
) -> Result<(), Interruption> {
    let batch = route.decode(records);
    for (place, error) in batch.poison() {
        let refusal = Refusal {
            reason: error.to_string(),
            attempts: 0,
        };
        put_aside(partition, records, *place, &refusal, shared).await?;
    }
    if !shared.processing_time.is_zero() && batch.is_work() {
        wait(partition, shared.processing_time).await?;
    }
    if let Err(error) = react_and_publish(partition, &*batch, None, shared).await? {
        // One of the events is to blame. Taken one by one it shows, and the others go on.
        tracing::warn!(error = error.reason, partition = %partition.topic_partition(), "cannot handle a batch, handling its events one by one");
        for index in 0..batch.len() {
            if let Err(refusal) = react_and_publish(partition, &*batch, Some(index), shared).await?
            {
                put_aside(partition, records, batch.record(index), &refusal, shared).await?;
            }
        }
    }
    let settled = retry(partition, "settle", || batch.settle(), |e| e.is_retriable()).await?;
    if let Err(error) = settled {
        // The events are out and the decision holds; what is left behind is cleared by the service's own sweep.
        tracing::error!(%error, partition = %partition.topic_partition(), "cannot settle a batch");
    }
    commit(partition, records.next_offset()).await
}

/// Handles all events of the batch, or the one at `only`, and publishes what tells of them.
async fn react_and_publish(
    partition: &PartitionConsumer,
    batch: &dyn Batch,
    only: Option<usize>,
    shared: &Shared,
) -> Result<Result<(), Refusal>, Interruption> {
    let attempts = AtomicU32::new(0);
    let react = || {
        attempts.fetch_add(1, Ordering::Relaxed);
        batch.react(only)
    };
    let refused = |error: Unhandled| Refusal {
        reason: error.to_string(),
        attempts: attempts.load(Ordering::Relaxed),
    };
    let again = |e: &ReactionError| {
        e.is_of_store() || (e.is_retriable() && attempts.load(Ordering::Relaxed) < ATTEMPTS)
    };
    let messages = match retry(partition, "handle", react, again).await? {
        Ok(messages) => messages,
        Err(error) => return Ok(Err(refused(error.into()))),
    };
    let publish = || publish(&shared.producer, &messages);
    // What is of neither is of the topic or of the moment: a missing permission may be given.
    let retriable = |e: &ProduceError| !e.is_of_record() && !e.is_of_producer();
    match retry(partition, "publish", publish, retriable).await? {
        Err(error) if error.is_of_producer() => Err(Interruption::GaveUp(error.into())),
        published => Ok(published.map_err(|error| refused(error.into()))),
    }
}

async fn put_aside(
    partition: &PartitionConsumer,
    records: &Records,
    place: usize,
    refusal: &Refusal,
    shared: &Shared,
) -> Result<(), Interruption> {
    let Some(record) = records.iter().nth(place) else {
        return Ok(());
    };
    let put = || {
        shared
            .dead_letters
            .put(partition.topic(), partition.partition(), record, refusal)
    };
    let retriable = |e: &DeadLetterError| !e.is_of_producer();
    retry(partition, "put a dead letter aside", put, retriable)
        .await?
        .map_err(|error| Interruption::GaveUp(error.into()))
}

async fn commit(partition: &PartitionConsumer, next_offset: i64) -> Result<(), Interruption> {
    let committed = retry(
        partition,
        "commit",
        || partition.commit(next_offset),
        |e: &ConsumerError| !e.is_lost() && !matches!(e, ConsumerError::CommitBehind { .. }),
    );
    committed.await?.map_err(|error| {
        tracing::warn!(%error, "cannot commit");
        if error.is_lost() {
            Interruption::TakenAway
        } else {
            Interruption::GaveUp(error.into())
        }
    })
}

/// Tries a step until it succeeds or fails for good. A partition that is revoked gets no further attempt: its next owner
/// does the step.
async fn retry<T, E, F>(
    partition: &PartitionConsumer,
    what: &str,
    mut step: impl FnMut() -> F,
    retriable: impl Fn(&E) -> bool,
) -> Result<Result<T, E>, Interruption>
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
async fn wait(partition: &PartitionConsumer, time: Duration) -> Result<(), Interruption> {
    tokio::select! {
        () = tokio::time::sleep(time) => Ok(()),
        () = partition.revoked() => Err(Interruption::TakenAway),
    }
}
