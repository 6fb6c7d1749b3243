//! What a service does when an event arrives.

use std::future::Future;

use contracts::{EncodeError, Envelope, Event, Message};

use crate::store::StoreError;

/// How a service reacts to one type of event. A service has one such type in each file of `reactions/`.
///
/// A batch is one partition's, in order. It may have been handled before, wholly or in part, by this process or by
/// another that died or lost the partition: handling it again must come to the same end and return the same events.
pub trait Reaction: Send + Sync + 'static {
    /// What it reacts to.
    type Event: Event;

    /// Does the work and returns the events that tell of it, in the order in which they are to be published.
    ///
    /// # Errors
    ///
    /// While the store, or another server that the work needs, [is away](ReactionError::is_unavailable) the batch is handed in
    /// again, without end: no record is to blame for that. What [may pass](ReactionError::is_retriable) is tried a bounded
    /// number of times. After that, and after any other error at once, the events are handed in one by one, and one that fails
    /// is put aside.
    fn react(
        &self,
        batch: &[Envelope<Self::Event>],
    ) -> impl Future<Output = Result<Vec<Message>, ReactionError>> + Send;

    /// Whether there is anything to do for an event: only that takes simulated time.
    fn is_work(event: &Self::Event) -> bool {
        let _ = event;
        true
    }

    /// Clears away what only the work itself needed. Called once the events are acknowledged and before the offset is
    /// committed, so that nobody downstream waits for it.
    ///
    /// # Errors
    ///
    /// As [`Reaction::react`].
    fn settle(
        &self,
        batch: &[Envelope<Self::Event>],
    ) -> impl Future<Output = Result<(), ReactionError>> + Send {
        let _ = batch;
        async { Ok(()) }
    }
}

/// Why a batch could not be handled.
#[derive(Debug, thiserror::Error)]
pub enum ReactionError {
    /// The store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event could not be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A server that the work needs beside the store is away or busy: nothing is known of the events.
    #[error("{what} is away: {reason}")]
    Away {
        /// Which server.
        what: &'static str,
        /// What is the matter. It says the same while that stays so, since it is logged each time.
        reason: String,
    },
    /// Something is not there that was there, or was written, a moment ago. A read that misses a write passes; nothing may
    /// be skipped for it.
    #[error("{what} of {id} is not there")]
    Missing {
        /// What.
        what: &'static str,
        /// Of which order or document.
        id: String,
    },
}

impl ReactionError {
    /// Whether the store, or another server that the work needs, is away or busy, and nothing is known of the events.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_unavailable(),
            Self::Away { .. } => true,
            Self::Encode(_) | Self::Missing { .. } => false,
        }
    }

    /// Whether the same batch may succeed later.
    pub fn is_retriable(&self) -> bool {
        self.is_unavailable() || matches!(self, Self::Missing { .. })
    }
}
