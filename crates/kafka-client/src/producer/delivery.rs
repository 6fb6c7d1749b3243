//! The acknowledgement of a record: one state a batch, shared by the deliveries of its records.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::error::ProduceError;
use super::interceptor::{ProducerInterceptor, Watched};

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
    outcome: OnceLock<Outcome>,
    wakers: Mutex<Vec<Waker>>,
    /// Records of which an interceptor is to be told. Where there is none, this allocates nothing.
    watched: Mutex<Vec<Watched>>,
}

#[derive(Debug)]
enum Outcome {
    Ended(Result<Ack, ProduceError>),
    /// It was sent again in parts, each from this record of it on.
    Split(Vec<(u32, Arc<BatchState>)>),
}

impl BatchState {
    pub(crate) fn new(topic: Arc<str>, partition: i32) -> Self {
        Self {
            topic,
            partition,
            outcome: OnceLock::new(),
            wakers: Mutex::default(),
            watched: Mutex::default(),
        }
    }

    /// Tells all who wait. Only the first outcome counts.
    pub(crate) fn complete(&self, outcome: Result<Ack, ProduceError>) {
        self.set(Outcome::Ended(outcome));
    }

    /// Sends all who wait to the parts that the batch was split into. There are some, and the first begins at 0.
    pub(crate) fn split(&self, parts: Vec<(u32, Arc<BatchState>)>) {
        self.set(Outcome::Split(parts));
    }

    fn set(&self, outcome: Outcome) {
        if self.outcome.set(outcome).is_err() {
            return;
        }
        // Whoever is watched from now on sees the outcome.
        let watched = std::mem::take(&mut *self.watched.lock());
        for watched in watched {
            self.watch(watched);
        }
        let wakers = std::mem::take(&mut *self.wakers.lock());
        for waker in wakers {
            waker.wake();
        }
    }

    /// Has an interceptor told how a record of this batch ends.
    pub(crate) fn watch(&self, mut watched: Watched) {
        let mut waiting = self.watched.lock();
        match self.outcome.get() {
            None => waiting.push(watched),
            Some(Outcome::Ended(outcome)) => {
                drop(waiting);
                let result = self.result(outcome, watched.index, watched.timestamp);
                watched.tell(result.as_ref());
            }
            Some(Outcome::Split(parts)) => {
                drop(waiting);
                if let Some((first, part)) = part_of(parts, watched.index) {
                    watched.index -= first;
                    part.watch(watched);
                }
            }
        }
    }

    /// Whether the fate of this record is known.
    fn is_complete(&self, index: u32) -> bool {
        match self.outcome.get() {
            None => false,
            Some(Outcome::Ended(_)) => true,
            Some(Outcome::Split(parts)) => {
                part_of(parts, index).is_none_or(|(first, part)| part.is_complete(index - first))
            }
        }
    }

    /// The outcome, or a waker in its place. `slot` is where the waker stands.
    fn poll(&self, slot: &mut u32, cx: &Context<'_>) -> Poll<&Outcome> {
        if let Some(outcome) = self.outcome.get() {
            return Poll::Ready(outcome);
        }
        let mut wakers = self.wakers.lock();
        // The outcome is set before the wakers are taken, so whoever sees none here is woken.
        if let Some(outcome) = self.outcome.get() {
            return Poll::Ready(outcome);
        }
        match wakers.get_mut(*slot as usize) {
            Some(waker) => waker.clone_from(cx.waker()),
            None => {
                *slot = u32::try_from(wakers.len()).unwrap_or(NO_SLOT);
                wakers.push(cx.waker().clone());
            }
        }
        Poll::Pending
    }

    /// Waits until all of the batch's records have their fate.
    pub(crate) async fn ended(self: Arc<Self>) {
        let mut open = vec![self];
        while let Some(state) = open.pop() {
            let mut slot = NO_SLOT;
            let parts = std::future::poll_fn(|cx| {
                state.poll(&mut slot, cx).map(|outcome| match outcome {
                    Outcome::Ended(_) => Vec::new(),
                    Outcome::Split(parts) => parts.clone(),
                })
            });
            open.extend(parts.await.into_iter().map(|(_, part)| part));
        }
    }

    fn result(
        &self,
        outcome: &Result<Ack, ProduceError>,
        index: u32,
        timestamp: i64,
    ) -> Result<RecordMetadata, ProduceError> {
        let ack = outcome.as_ref().map_err(Clone::clone)?;
        Ok(RecordMetadata {
            topic: Arc::clone(&self.topic),
            partition: self.partition,
            offset: if ack.base_offset < 0 {
                -1
            } else {
                ack.base_offset + i64::from(index)
            },
            timestamp: ack.append_time.unwrap_or(timestamp),
        })
    }
}

/// The part that this record is in, and the part's first record.
fn part_of(parts: &[(u32, Arc<BatchState>)], index: u32) -> Option<(u32, &Arc<BatchState>)> {
    let following = parts.partition_point(|(first, _)| *first <= index);
    let (first, part) = parts.get(following.checked_sub(1)?)?;
    Some((*first, part))
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
        self.state.is_complete(self.index)
    }

    /// Has an interceptor told of the outcome.
    pub(crate) fn watch(&self, interceptor: Arc<dyn ProducerInterceptor>, token: u64) {
        self.state.watch(Watched {
            interceptor,
            token,
            index: self.index,
            timestamp: self.timestamp,
        });
    }
}

impl Future for Delivery {
    type Output = Result<RecordMetadata, ProduceError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            let part = match this.state.poll(&mut this.slot, cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Outcome::Ended(outcome)) => {
                    let result = this.state.result(outcome, this.index, this.timestamp);
                    return Poll::Ready(result);
                }
                Poll::Ready(Outcome::Split(parts)) => part_of(parts, this.index),
            };
            // A split batch has a first part, which begins at its first record.
            let Some((first, part)) = part else {
                return Poll::Pending;
            };
            this.index -= first;
            this.slot = NO_SLOT;
            this.state = Arc::clone(part);
        }
    }
}
