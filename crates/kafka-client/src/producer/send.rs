//! The way of a record from its sender into its partition's batch.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::{SystemTime, UNIX_EPOCH};

use kafka_wire::batch::HEADER_LEN;
use tokio::time::Instant;

use super::delivery::Delivery;
use super::error::ProduceError;
use super::interceptor::send_intercepted;
use super::partition::Appended;
use super::record::TopicRecord;
use super::shared::Shared;
use super::topic::Topic;
use super::turn;
use crate::partitioner::{Partitioner, Placement};

enum Offered {
    Taken(Delivery),
    NeedsMemory(u32),
    NeedsMetadata,
}

pub(super) async fn send(
    shared: &Shared,
    topic: &Topic,
    record: &TopicRecord<'_>,
) -> Result<Delivery, ProduceError> {
    match &shared.config.interceptor {
        None => send_as_it_is(shared, topic, record).await,
        Some(interceptor) => Box::pin(send_intercepted(interceptor, shared, topic, record)).await,
    }
}

/// Sends a record with the headers that it has. Nothing is awaited once it is appended, so that a caller that goes away has
/// sent nothing.
#[inline]
pub(super) async fn send_as_it_is(
    shared: &Shared,
    topic: &Topic,
    record: &TopicRecord<'_>,
) -> Result<Delivery, ProduceError> {
    turn::give().await;
    let placed;
    let record = match &shared.config.partitioner {
        Some(partitioner) if record.partition.is_none() => {
            if topic.count() == 0 {
                let deadline = Instant::now() + shared.config.max_block;
                Box::pin(shared.learn(topic, None, deadline)).await?;
            }
            placed = place(&**partitioner, topic, record)?;
            &placed
        }
        _ => record,
    };
    let timestamp = record.timestamp.unwrap_or_else(now_millis);
    match offer(shared, topic, record, timestamp, &mut 0)? {
        Offered::Taken(delivery) => Ok(delivery),
        other => Box::pin(send_slowly(shared, topic, record, timestamp, other)).await,
    }
}

async fn send_slowly(
    shared: &Shared,
    topic: &Topic,
    record: &TopicRecord<'_>,
    timestamp: i64,
    mut offered: Offered,
) -> Result<Delivery, ProduceError> {
    let deadline = Instant::now() + shared.config.max_block;
    loop {
        let mut budget = Budget { shared, bytes: 0 };
        match offered {
            Offered::Taken(delivery) => return Ok(delivery),
            Offered::NeedsMetadata => shared.learn(topic, record.partition, deadline).await?,
            Offered::NeedsMemory(bytes) => {
                let taking = shared.memory.take(bytes);
                tokio::pin!(taking);
                // Whoever waits is counted by now, so nothing lingers.
                let taken = match futures_util::poll!(&mut taking) {
                    Poll::Ready(taken) => taken,
                    Poll::Pending => {
                        shared.wake_senders();
                        taking.await
                    }
                };
                if !taken {
                    return Err(ProduceError::Closed {
                        maybe_written: false,
                    });
                }
                budget.bytes = bytes;
            }
        }
        offered = offer(shared, topic, record, timestamp, &mut budget.bytes)?;
    }
}

/// The record with the partition that the user's code chooses for it, if it chooses one.
fn place<'a>(
    partitioner: &dyn Partitioner,
    topic: &Topic,
    record: &TopicRecord<'a>,
) -> Result<TopicRecord<'a>, ProduceError> {
    let partitions = topic.count();
    let has_leader = |partition: i32| {
        let index = usize::try_from(partition).ok();
        let leads = index.and_then(|index| topic.with(index, |p| p.has_leader()));
        leads.unwrap_or(false)
    };
    let placement = Placement {
        topic: &topic.name,
        key: record.key,
        value: record.value,
        headers: record.headers,
        partitions,
        has_leader: &has_leader,
    };
    let failed = |reason: String| ProduceError::Partitioner {
        topic: Arc::clone(&topic.name),
        reason,
    };
    // Nothing of ours is changed by it.
    match catch_unwind(AssertUnwindSafe(|| partitioner.partition(&placement))) {
        Err(_) => Err(failed("it panicked".to_owned())),
        Ok(None) => Ok(*record),
        Ok(Some(index)) if u32::try_from(index).is_ok_and(|i| i < partitions) => Ok(TopicRecord {
            partition: Some(index),
            ..*record
        }),
        Ok(Some(index)) => Err(failed(format!("{index} of {partitions}"))),
    }
}

/// Memory that was taken and not used goes back.
struct Budget<'a> {
    shared: &'a Shared,
    bytes: u32,
}

impl Drop for Budget<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.shared.memory.give_back(self.bytes);
        }
    }
}

/// Appends the record to its partition's batch, if that can be done at once.
#[inline]
fn offer(
    shared: &Shared,
    topic: &Topic,
    record: &TopicRecord<'_>,
    timestamp: i64,
    budget: &mut u32,
) -> Result<Offered, ProduceError> {
    let size = HEADER_LEN + record.size_bound();
    if size > shared.config.max_record_size {
        return Err(ProduceError::RecordTooLarge {
            topic: Arc::clone(&topic.name),
            size,
            max: Some(shared.config.max_record_size),
        });
    }
    if topic.count() == 0 {
        return Ok(Offered::NeedsMetadata);
    }
    let mut append = |index: usize, only_open: bool| {
        topic.with(index, |partition| {
            partition.append(
                record,
                timestamp,
                only_open,
                budget,
                &shared.limits,
                &shared.memory,
            )
        })
    };
    let appended = match (record.partition, record.key) {
        (Some(partition), _) => match usize::try_from(partition) {
            Ok(index) => append(index, false),
            Err(_) => None,
        },
        (None, Some(key)) => append(topic.of_key(key), false),
        (None, None) => match append(topic.sticky(), true) {
            Some(Ok(Appended::NeedsBatch)) | None => append(topic.switch(), false),
            done => done,
        },
    };
    Ok(match appended {
        Some(appended) => match appended? {
            Appended::Done {
                state,
                index,
                opened,
            } => {
                if opened {
                    turn::is_due();
                }
                Offered::Taken(Delivery::new(state, index, timestamp))
            }
            Appended::NeedsMemory(bytes) => Offered::NeedsMemory(bytes),
            Appended::NeedsBatch => Offered::NeedsMetadata,
        },
        None => Offered::NeedsMetadata,
    })
}

fn now_millis() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| {
        // Not as_millis: that divides 128 bits, once a record.
        d.as_secs() as i64 * 1_000 + i64::from(d.subsec_millis())
    })
}
