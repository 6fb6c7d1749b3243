//! Who waits for a commit, on both sides.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::CommitError;
use crate::consumer::{ConsumerError, LostReason, Slot, TopicPartition};

type Answer = Result<(), ConsumerError>;

/// A commit that is on its way: a future of how it ends.
///
/// It goes out whether or not this is awaited. If this is dropped, and the commit fails, that is logged.
///
/// The errors that it ends with are those of [`PartitionConsumer::commit`](crate::PartitionConsumer::commit).
#[derive(Debug)]
pub struct PendingCommit {
    answer: oneshot::Receiver<Answer>,
    /// The partition, and its loss; none if the commit was refused before it was queued.
    held: Option<(Arc<Slot>, Pin<Box<WaitForCancellationFutureOwned>>)>,
}

/// Commits of several partitions that are on their way: a future of how they end.
///
/// They go out whether or not this is awaited. If this is dropped, those that fail are logged.
///
/// It ends with a [`CommitError`] that names each partition that was not committed, and why; the others were.
#[derive(Debug)]
pub struct PendingCommits {
    pending: Vec<(TopicPartition, PendingCommit)>,
    failed: Vec<(TopicPartition, ConsumerError)>,
}

/// Somebody who wants to know how a commit ended.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) offset: i64,
    pub(super) deadline: Instant,
    answer: oneshot::Sender<Answer>,
}

impl PendingCommit {
    pub(super) fn new(slot: &Arc<Slot>, answer: oneshot::Receiver<Answer>) -> Self {
        let lost = Box::pin(slot.lost.clone().cancelled_owned());
        Self {
            answer,
            held: Some((Arc::clone(slot), lost)),
        }
    }

    /// One that has failed already.
    pub(crate) fn failed(error: ConsumerError) -> Self {
        let (waiter, answer) = oneshot::channel();
        let _ = waiter.send(Err(error));
        Self { answer, held: None }
    }
}

impl Future for PendingCommit {
    type Output = Result<(), ConsumerError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let answer = Pin::new(&mut this.answer).poll(cx);
        let Some((slot, lost)) = &mut this.held else {
            // It was there from the start.
            return answer.map(|answer| answer.unwrap_or(Ok(())));
        };
        match answer {
            Poll::Ready(Ok(answer)) => Poll::Ready(answer),
            // The group ended, and with it whoever sends commits.
            Poll::Ready(Err(_)) => {
                let closed = || Err(slot.lost_error(LostReason::Closed));
                Poll::Ready(slot.check_not_lost().and_then(|()| closed()))
            }
            // An answer to what is under way may take long, and does not matter any more.
            Poll::Pending => lost.as_mut().poll(cx).map(|()| slot.check_not_lost()),
        }
    }
}

impl Drop for PendingCommit {
    fn drop(&mut self) {
        self.answer.close();
        if let Ok(Err(error)) = self.answer.try_recv() {
            log(&error);
        }
    }
}

impl PendingCommits {
    pub(in crate::group) fn new(pending: Vec<(TopicPartition, PendingCommit)>) -> Self {
        Self {
            pending,
            failed: Vec::new(),
        }
    }
}

impl Future for PendingCommits {
    type Output = Result<(), CommitError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { pending, failed } = self.get_mut();
        pending.retain_mut(|(partition, commit)| match Pin::new(commit).poll(cx) {
            Poll::Pending => true,
            Poll::Ready(result) => {
                failed.extend(result.err().map(|error| (partition.clone(), error)));
                false
            }
        });
        if !pending.is_empty() {
            return Poll::Pending;
        }
        let failed = std::mem::take(failed);
        Poll::Ready(if failed.is_empty() {
            Ok(())
        } else {
            Err(CommitError { failed })
        })
    }
}

impl Waiter {
    pub(super) fn new(offset: i64, deadline: Instant) -> (Self, oneshot::Receiver<Answer>) {
        let (answer, receiver) = oneshot::channel();
        let waiter = Self {
            offset,
            deadline,
            answer,
        };
        (waiter, receiver)
    }

    pub(super) fn is_gone(&self) -> bool {
        self.answer.is_closed()
    }

    pub(super) fn tell(self, answer: Answer) {
        if let Err(Err(error)) = self.answer.send(answer) {
            log(&error);
        }
    }

    /// The holder sought back, and commits from there on.
    pub(super) fn supersede(self, partition: TopicPartition) {
        let offset = self.offset;
        self.tell(Err(ConsumerError::CommitSuperseded { partition, offset }));
    }
}

/// Nobody else will tell.
fn log(error: &ConsumerError) {
    // Of partitions that were lost there is a line already.
    if error.is_lost() {
        tracing::debug!(%error, "a commit that nobody awaits failed");
    } else {
        tracing::warn!(%error, "a commit that nobody awaits failed");
    }
}
