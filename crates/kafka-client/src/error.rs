//! Errors, and the one place that decides which of them may be tried again.
//!
//! [`Remedy`] is what an error code calls for wherever it has no meaning of its own: metadata, coordinators, admin requests.
//! Where codes say more, a verdict says what: [`ProduceVerdict`] about a batch and its sequence, [`FetchVerdict`] about an
//! offset, [`GroupVerdict`] about a member and its generation. What is then done is decided where the state is.

use std::sync::Arc;
use std::time::Duration;

use kafka_wire::{ResponseError, WireError};

use crate::producer::ProduceError;

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
            | E::BrokerNotAvailable
            // The broker lost the connection to the one that it passed the request on to (KIP-590).
            | E::NetworkException => Self::RefreshMetadata,
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
            | E::FetchSessionTopicIdError
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
            // The broker may be about to stop.
            WireError::Tls { problem, .. } if problem.may_pass() => Self::RefreshMetadata,
            // The broker is spared for as long as it asks (KIP-219), and is as good as before then.
            WireError::Throttled { .. } => Self::Retry,
            // Neither a certificate nor a password changes by itself. Java's client gives up as well.
            WireError::Tls { .. }
            | WireError::Authentication { .. }
            | WireError::SaslExpected { .. }
            | WireError::MechanismNotOffered { .. }
            | WireError::Sasl { .. } => Self::Fatal,
            // Another attempt gets the same bytes and the same answer.
            WireError::UnsupportedVersion { .. } | WireError::Malformed { .. } => Self::Fatal,
            _ => Self::Fatal,
        }
    }
}

/// What a broker's error says of a batch that was produced with a sequence (KIP-98, KIP-360).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProduceVerdict {
    /// The batch is in the log.
    Written,
    /// The same batch under the same sequence may be sent again.
    Retry {
        /// Whether this attempt may have been written in spite of the error.
        maybe_written: bool,
    },
    /// The batch was not written, because the broker does not go on from what it knows of the producer. The same sequence will not do; whether a
    /// new one may is up to the batches before it.
    SequenceLost,
    /// Refused for its size: parts of it may be taken (KIP-126).
    TooLarge,
    /// Refused for good.
    Refused {
        /// Whether this attempt may have been written in spite of the error.
        maybe_written: bool,
    },
}

impl ProduceVerdict {
    pub(crate) fn of(code: ResponseError) -> Self {
        use ResponseError as E;
        match code {
            // The answer to an earlier attempt was lost, and the broker still has its sequence in memory.
            E::DuplicateSequenceNumber => Self::Written,
            // A batch before it did not arrive.
            E::OutOfOrderSequenceNumber
            // Retention or a restart took all that the broker knew of the producer (KIP-360).
            | E::UnknownProducerId
            // The epoch was counted up by us and the answers to the old epoch come late, or the broker knows a later one.
            | E::InvalidProducerEpoch
            // The id expired.
            | E::InvalidProducerIdMapping => Self::SequenceLost,
            // Over `max.message.bytes` of the topic, or over the size of a segment of its log.
            E::MessageTooLarge | E::RecordListTooLarge => Self::TooLarge,
            code => {
                let maybe_written = Self::may_have_been_written(code);
                match Remedy::of(code) {
                    Remedy::Fatal => Self::Refused { maybe_written },
                    Remedy::Retry | Remedy::RefreshMetadata | Remedy::FindCoordinator => {
                        Self::Retry { maybe_written }
                    }
                }
            }
        }
    }

    /// A request that failed as a whole. The idempotent producer may always repeat it; the delivery timeout ends that.
    pub(crate) fn of_wire(error: &WireError) -> Self {
        Self::Retry {
            // If no version was agreed on, or the broker was to be spared, nothing was sent. Of all else only the answer is known to be missing.
            maybe_written: !matches!(
                error,
                WireError::UnsupportedVersion { .. } | WireError::Throttled { .. }
            ),
        }
    }

    fn may_have_been_written(code: ResponseError) -> bool {
        use ResponseError as E;
        match code {
            // It was appended, and the replicas did not follow in time.
            E::RequestTimedOut | E::NotEnoughReplicasAfterAppend => true,
            // The leadership ended, perhaps while the appended batch waited for the replicas.
            E::NotLeaderOrFollower
            | E::FencedLeaderEpoch
            | E::LeaderNotAvailable
            | E::ReplicaNotAvailable
            | E::BrokerNotAvailable => true,
            // The disk failed in the midst of it, or nobody knows what did.
            E::KafkaStorageError | E::UnknownServerError | E::NetworkException => true,
            // All others are found out before anything is written.
            _ => false,
        }
    }
}

/// What a broker's error says of a partition that was fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FetchVerdict {
    /// The offset is not in this replica's log.
    OutOfRange,
    /// Wait a little, and look at the metadata: the replica or the connection may be the wrong one.
    Retry,
    /// Reading cannot go on.
    Fatal,
}

impl FetchVerdict {
    pub(crate) fn of(code: ResponseError) -> Self {
        match code {
            // The reset policy decides, if it was the leader who said so (KIP-392).
            ResponseError::OffsetOutOfRange => Self::OutOfRange,
            code => match Remedy::of(code) {
                Remedy::Fatal => Self::Fatal,
                Remedy::Retry | Remedy::RefreshMetadata | Remedy::FindCoordinator => Self::Retry,
            },
        }
    }
}

/// What a coordinator's error says of a member of a group: of its joins, syncs, heartbeats and commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GroupVerdict {
    /// A new member is to join again under the id that it was given (KIP-394).
    MemberIdRequired,
    /// The group is between two generations: join it.
    Rebalance,
    /// The session is over or the group was forgotten: join as a new member. What was owned is lost.
    UnknownMember,
    /// The group went on without this member, which still belongs to it: join again. What was owned is lost.
    IllegalGeneration,
    /// Another process goes by the same instance id (KIP-345). To join again would only fence that one in turn.
    Fenced,
    /// Wait a little; the coordinator may be elsewhere by then.
    Retry,
    /// The group will not have this member.
    Fatal,
}

impl GroupVerdict {
    pub(crate) fn of(code: ResponseError) -> Self {
        use ResponseError as E;
        match code {
            E::MemberIdRequired => Self::MemberIdRequired,
            E::RebalanceInProgress => Self::Rebalance,
            E::UnknownMemberId => Self::UnknownMember,
            E::IllegalGeneration => Self::IllegalGeneration,
            E::FencedInstanceId => Self::Fenced,
            code => match Remedy::of(code) {
                Remedy::Fatal => Self::Fatal,
                Remedy::Retry | Remedy::RefreshMetadata | Remedy::FindCoordinator => Self::Retry,
            },
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

    /// Whether a broker and this client do not accept each other: by the certificate, the user and password, or what they
    /// agreed to speak. Until one of the two is configured otherwise, every attempt ends so.
    pub fn is_authentication(&self) -> bool {
        match self {
            Self::Wire(error) => of_authentication(error),
            _ => false,
        }
    }

    /// Whether this says that a topic or partition does not exist: so does a broker that has not heard of a new one yet. How often to ask again
    /// is up to who asks.
    pub(crate) fn is_unknown_topic(&self) -> bool {
        match self {
            Self::UnknownPartition { .. } => true,
            Self::Broker { code, .. } => matches!(
                code,
                ResponseError::UnknownTopicOrPartition | ResponseError::UnknownTopicId
            ),
            _ => false,
        }
    }
}

/// Whether a connection did not come about because of its security.
pub(crate) fn of_authentication(error: &WireError) -> bool {
    match error {
        WireError::Tls { problem, .. } => !problem.may_pass(),
        WireError::Authentication { .. }
        | WireError::SaslExpected { .. }
        | WireError::MechanismNotOffered { .. }
        | WireError::Sasl { .. } => true,
        _ => false,
    }
}

impl ProduceError {
    /// Whether sending the same record again later may succeed, as far as the error tells.
    pub fn is_retriable(&self) -> bool {
        match self {
            // The cluster was away for too long. (Whether the record may be doubled is another question.)
            Self::DeliveryTimeout { .. } | Self::UnknownFate { .. } => true,
            // So it was, if the time for it ran out; otherwise the error tells.
            Self::Metadata { source, .. }
            | Self::ProducerId(source)
            | Self::Leader { source, .. } => {
                source.is_retriable() || matches!(**source, ClientError::Timeout { .. })
            }
            // What could be repeated was, until the broker or the record itself gave a reason not to.
            Self::Refused { .. }
            | Self::RecordTooLarge { .. }
            | Self::UnknownPartition { .. }
            | Self::Partitioner { .. }
            | Self::Compression { .. } => false,
            // Nothing was sent, because whoever sent it changed its mind.
            Self::Cancelled { .. } => true,
            // This producer sends nothing any more.
            Self::Closed { .. } => false,
        }
    }

    /// Whether it is the record that cannot be written, or one of its batch, whoever sends it: others can be.
    pub fn is_of_record(&self) -> bool {
        use ResponseError as E;
        match self {
            Self::RecordTooLarge { .. } | Self::Partitioner { .. } => true,
            Self::Refused { code, .. } => match code {
                // The topic's bound may be lower than the producer's.
                E::MessageTooLarge | E::RecordListTooLarge => true,
                // Such as one without a key in a compacted topic, or from too far in the past.
                E::InvalidRecord | E::InvalidTimestamp => true,
                // A permission that is missing, for example, is missing for every record of the topic.
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether it is the producer that is at its end: nothing that is sent with it will be acknowledged.
    pub fn is_of_producer(&self) -> bool {
        match self {
            Self::Closed { .. } => true,
            // The client under it is gone.
            Self::Metadata { source, .. } => matches!(**source, ClientError::Closed),
            // The brokers refuse to give it an id, and without one it sends nothing.
            Self::ProducerId(_) => !self.is_retriable(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
