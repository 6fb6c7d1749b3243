//! Errors, and the one place that decides which of them may be tried again.

use std::sync::Arc;
use std::time::Duration;

use kafka_wire::{ResponseError, WireError};

/// What must be done before an operation that failed is worth another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Wait a little and do the same again.
    Retry,
    /// Learn the partition's leader anew, then try again.
    RefreshMetadata,
    /// Find the group's coordinator anew, then try again.
    FindCoordinator,
    /// Nothing: the caller has to know.
    Fatal,
}

impl Remedy {
    /// What Kafka's error code calls for.
    ///
    /// Codes that change the state of a producer (sequences) or of a member (generations) are `Fatal` here: a repetition
    /// is no cure for them, and the state machines that own that state handle them first.
    pub fn of(code: ResponseError) -> Self {
        use ResponseError as E;
        match code {
            // The leader is elsewhere, is being elected, or was asked by an epoch that metadata will bring up to date.
            E::NotLeaderOrFollower
            | E::LeaderNotAvailable
            | E::ReplicaNotAvailable
            | E::FencedLeaderEpoch
            | E::UnknownLeaderEpoch
            | E::OffsetNotAvailable
            | E::KafkaStorageError
            | E::ListenerNotFound
            | E::BrokerNotAvailable => Self::RefreshMetadata,
            // A topic that was just made reaches the brokers one after the other. Whoever asks bounds the waiting.
            E::UnknownTopicOrPartition | E::UnknownTopicId | E::InconsistentTopicId => {
                Self::RefreshMetadata
            }
            // The controller is elsewhere: metadata names it.
            E::NotController => Self::RefreshMetadata,
            // The group moved, or its new coordinator still reads the offsets topic.
            E::NotCoordinator | E::CoordinatorNotAvailable => Self::FindCoordinator,
            // A transaction that commits offsets is about to end (KIP-447).
            E::CoordinatorLoadInProgress | E::UnstableOffsetCommit => Self::Retry,
            // The brokers are busy or short of replicas for the moment; nothing was written.
            E::RequestTimedOut
            | E::NotEnoughReplicas
            | E::NotEnoughReplicasAfterAppend
            | E::ThrottlingQuotaExceeded
            | E::ConcurrentTransactions
            | E::FetchSessionIdNotFound
            | E::InvalidFetchSessionEpoch
            | E::PreferredLeaderNotAvailable => Self::Retry,
            // The bytes were damaged on the way: the same batch again is another try, not another batch.
            E::CorruptMessage => Self::Retry,
            // Requests that are wrong, forbidden, fenced or unknown stay so.
            _ => Self::Fatal,
        }
    }

    /// What a failed connection or request calls for.
    pub fn of_wire(error: &WireError) -> Self {
        match error {
            // The broker may be gone and its partitions led by others.
            WireError::ConnectTimeout { .. }
            | WireError::Connect { .. }
            | WireError::RequestTimeout { .. }
            | WireError::Disconnected { .. } => Self::RefreshMetadata,
            // Another attempt gets the same bytes and the same answer.
            WireError::UnsupportedVersion { .. } | WireError::Malformed { .. } => Self::Fatal,
            _ => Self::Fatal,
        }
    }
}

/// An error of the client as a whole: metadata, connections, admin requests.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// A connection or request failed.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The broker answered with an error.
    #[error("{api} for {subject}: {code}{}", message.as_deref().map(|m| format!(" ({m})")).unwrap_or_default())]
    Broker {
        /// The API.
        api: &'static str,
        /// What it was about: a topic, partition, group or broker.
        subject: String,
        /// Kafka's error.
        code: ResponseError,
        /// What the broker added in words, if anything.
        message: Option<String>,
    },
    /// No bootstrap server or known broker answered.
    #[error("no broker of {bootstrap} can be reached: {last}")]
    Unreachable {
        /// The bootstrap servers, comma separated.
        bootstrap: String,
        /// The last attempt's error.
        last: String,
    },
    /// The operation did not come to an end in time.
    #[error("{what} took longer than {after:?}{}", last.as_deref().map(|l| format!("; last: {l}")).unwrap_or_default())]
    Timeout {
        /// Which operation.
        what: String,
        /// The bound.
        after: Duration,
        /// The last error on the way, if any.
        last: Option<String>,
    },
    /// A broker id that the metadata does not know.
    #[error("broker {0} is not part of the cluster's metadata")]
    UnknownBroker(i32),
    /// The topic or partition does not exist.
    #[error("partition {topic}-{partition} does not exist")]
    UnknownPartition {
        /// The topic.
        topic: Arc<str>,
        /// The partition.
        partition: i32,
    },
    /// The configuration cannot work.
    #[error("invalid configuration: {0}")]
    Config(String),
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
}

impl ClientError {
    pub(crate) fn broker(
        api: &'static str,
        subject: impl Into<String>,
        code: ResponseError,
    ) -> Self {
        Self::Broker {
            api,
            subject: subject.into(),
            code,
            message: None,
        }
    }

    /// What this error calls for.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Wire(e) => Remedy::of_wire(e),
            Self::Broker { code, .. } => Remedy::of(*code),
            // The cluster may be starting, or metadata older than the broker.
            Self::Unreachable { .. } | Self::UnknownBroker(_) => Remedy::RefreshMetadata,
            Self::UnknownPartition { .. } => Remedy::RefreshMetadata,
            Self::Timeout { .. } | Self::Config(_) | Self::Closed => Remedy::Fatal,
        }
    }

    /// Whether another attempt may succeed.
    pub fn is_retriable(&self) -> bool {
        self.remedy() != Remedy::Fatal
    }
}
