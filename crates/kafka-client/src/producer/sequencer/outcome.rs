//! What goes into the sequencer and what comes out: answers, batches that ended, the next one to send.

use super::stamp::Stamp;
use crate::error::ProduceVerdict;

/// How a batch fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is in the log.
    Written,
    /// Worth another attempt. This one may have been written nevertheless, or it certainly was not.
    Again { maybe_written: bool },
    /// The broker expected another sequence, another epoch or does not know the producer. This attempt was not written.
    Disordered,
    /// Refused for good. This attempt may have been written nevertheless, or it certainly was not.
    Refused { maybe_written: bool },
}

impl From<ProduceVerdict> for Answer {
    fn from(verdict: ProduceVerdict) -> Self {
        match verdict {
            ProduceVerdict::Written => Self::Written,
            ProduceVerdict::Retry { maybe_written } => Self::Again { maybe_written },
            ProduceVerdict::SequenceLost => Self::Disordered,
            ProduceVerdict::Refused { maybe_written } => Self::Refused { maybe_written },
            // Found out before anything is written.
            ProduceVerdict::TooLarge => Self::Refused {
                maybe_written: false,
            },
        }
    }
}

/// How a batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// In the log.
    Written,
    /// Refused by the broker.
    Refused,
    /// The broker lost track, and the batch may be in the log from an earlier attempt: sending it under a new epoch could double it.
    Unknown,
    /// Given up while in flight; whoever waited was told then.
    Abandoned,
}

/// A batch that has left.
#[derive(Debug)]
pub(crate) struct Ended<B> {
    pub(crate) batch: B,
    pub(crate) end: End,
    /// Whether some attempt may have been written, whatever the end.
    pub(crate) maybe_written: bool,
}

/// A batch that is given up before it ended.
#[derive(Debug)]
pub(crate) enum Expired<'a, B> {
    /// It left.
    Gone(Ended<B>),
    /// It is in flight and leaves when answered.
    InFlight(&'a mut B),
}

/// The next batch to send.
#[derive(Debug)]
pub(crate) enum Next<'a, B> {
    /// This one.
    Send {
        key: u64,
        stamp: Stamp,
        batch: &'a mut B,
    },
    /// The epochs of the partition's producer id are used up: a fresh id is needed.
    NeedsIdentity,
    /// None now.
    Nothing,
}
