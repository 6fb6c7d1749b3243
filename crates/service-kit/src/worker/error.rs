//! Why a worker cannot go on as it is.

use std::sync::Arc;

use kafka_client::{ConsumerError, ProduceError, ResponseError};
use tokio::task::JoinError;

use crate::dead_letters::DeadLetterError;

/// Why the group has to be joined anew or, where that is [no help](WorkerError::is_final), the worker ends.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The group failed, or one of its partitions cannot be read or committed on from where it stands.
    #[error(transparent)]
    Consumer(#[from] ConsumerError),
    /// The group ended, though nobody had closed it.
    #[error("the group has ended")]
    GroupEnded,
    /// The task of a partition panicked.
    #[error("the task of a partition failed: {0}")]
    Task(#[from] JoinError),
    /// A partition is of a topic that was not asked for.
    #[error("nothing reacts to the topic {0}")]
    NoReaction(Arc<str>),
    /// Nothing can be published any more.
    #[error(transparent)]
    Producer(#[from] ProduceError),
    /// No record can be put aside any more.
    #[error(transparent)]
    DeadLetter(#[from] DeadLetterError),
}

impl WorkerError {
    /// Whether this worker is to end: its producer is at its end, or another process has its group instance id. If it joined
    /// anew it would shut that one out, and the two would go on like this for ever (KIP-345).
    pub fn is_final(&self) -> bool {
        match self {
            Self::Consumer(ConsumerError::Group { code, .. }) => {
                *code == ResponseError::FencedInstanceId
            }
            Self::Producer(error) => error.is_of_producer(),
            Self::DeadLetter(error) => error.is_of_producer(),
            _ => false,
        }
    }
}
