//! The acknowledgement of a record: one state a batch, shared by the deliveries of its records.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::error::ProduceError;

/// Where a record is in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordMetadata {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset in the partition; −1 where the broker confirmed that it has the record but no longer knows where: the
    /// answer to the first attempt was lost, and more batches followed than the broker remembers offsets of.
    pub offset: i64,
    /// Milliseconds since 1970: the record's, or the broker's where the topic says `LogAppendTime`.
    pub timestamp: i64,
}

/// Where a batch is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ack {
    /// Of the first record, or −1.
    pub(crate) base_offset: i64,
    /// The broker's clock, under `LogAppendTime`.
    pub(crate) append_time: Option<i64>,
}

/// The fate of one batch.
#[derive(Debug)]
pub(crate) struct BatchState {
    topic: Arc<str>,
    partition: i32,
    outcome: OnceLock<Result<Ack, ProduceError>>,
    wakers: Mutex<Vec<Waker>>,
}

impl BatchState {
    pub(crate) fn new(topic: Arc<str>, partition: i32) -> Self {
        Self {
            topic,
            partition,
            outcome: OnceLock::new(),
            wakers: Mutex::default(),
        }
    }

    /// Tells all who wait. Only the first outcome counts.
    pub(crate) fn complete(&self, outcome: Result<Ack, ProduceError>) {
        if self.outcome.set(outcome).is_err() {
            return;
        }
        let wakers = std::mem::take(&mut *self.wakers.lock());
        for waker in wakers {
            waker.wake();
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.outcome.get().is_some()
    }
}

/// The acknowledgement of one record, to come: a future of where it is in the log, or why it is not.
///
/// Dropping it changes nothing: the record is sent all the same. It resolves within the producer's delivery timeout.
#[derive(Debug)]
#[must_use = "a delivery that nobody awaits says nothing about whether the record was written"]
pub struct Delivery {
    state: Arc<BatchState>,
    /// The record's place in the batch.
    index: u32,
    timestamp: i64,
    /// Where this delivery's waker stands among the batch's, if it has one.
    slot: u32,
}

/// A delivery is made for every record: it is kept small.
const NO_SLOT: u32 = u32::MAX;

impl Delivery {
    #[inline]
    pub(crate) fn new(state: Arc<BatchState>, index: u32, timestamp: i64) -> Self {
        Self {
            state,
            index,
            timestamp,
            slot: NO_SLOT,
        }
    }

    /// Whether the outcome is known: then awaiting does not wait.
    pub fn is_complete(&self) -> bool {
        self.state.is_complete()
    }

    fn result(&self, outcome: &Result<Ack, ProduceError>) -> Result<RecordMetadata, ProduceError> {
        let ack = outcome.as_ref().map_err(Clone::clone)?;
        Ok(RecordMetadata {
            topic: Arc::clone(&self.state.topic),
            partition: self.state.partition,
            offset: if ack.base_offset < 0 {
                -1
            } else {
                ack.base_offset + i64::from(self.index)
            },
            timestamp: ack.append_time.unwrap_or(self.timestamp),
        })
    }
}

impl Future for Delivery {
    type Output = Result<RecordMetadata, ProduceError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Some(outcome) = this.state.outcome.get() {
            return Poll::Ready(this.result(outcome));
        }
        let mut wakers = this.state.wakers.lock();
        // The outcome is set before the wakers are taken, so whoever sees none here is woken.
        if let Some(outcome) = this.state.outcome.get() {
            return Poll::Ready(this.result(outcome));
        }
        match wakers.get_mut(this.slot as usize) {
            Some(waker) => waker.clone_from(cx.waker()),
            None => {
                this.slot = u32::try_from(wakers.len()).unwrap_or(NO_SLOT);
                wakers.push(cx.waker().clone());
            }
        }
        Poll::Pending
    }
}
