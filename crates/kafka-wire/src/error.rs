//! What can go wrong on one connection.

use std::sync::Arc;
use std::time::Duration;

use rskafka::messenger::{RequestError, SyncVersionsError};

use crate::security::SaslMechanism;
use crate::tls::TlsProblem;

/// An error of one connection, with the broker's address in each.
///
/// Whether a request may be sent again is not decided here: this crate does not know what the request did.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// No connection came about within the connect timeout.
    #[error("connecting to {address} took longer than {after:?}")]
    ConnectTimeout {
        /// Where to.
        address: Arc<str>,
        /// The connect timeout.
        after: Duration,
    },
    /// The address could not be resolved or refused the connection.
    #[error("cannot connect to {address}: {reason}")]
    Connect {
        /// Where to.
        address: Arc<str>,
        /// What the operating system said.
        reason: String,
    },
    /// The broker did not answer in time, or did not renew the session that the request was to be sent in. The connection is unusable
    /// from here on.
    #[error("{address} did not answer {api} within {after:?}")]
    RequestTimeout {
        /// Which broker.
        address: Arc<str>,
        /// Which request.
        api: &'static str,
        /// The deadline it missed.
        after: Duration,
    },
    /// The broker had asked to be spared for longer than the request had time. It was not sent, and the connection stays (KIP-219).
    #[error("{address} is to be spared for longer than {api} may wait ({after:?})")]
    Throttled {
        /// Which broker.
        address: Arc<str>,
        /// Which request.
        api: &'static str,
        /// The request's deadline, for which it waited.
        after: Duration,
    },
    /// The connection ended. A request that was under way may or may not have been carried out.
    #[error("connection to {address} is closed: {reason}")]
    Disconnected {
        /// Which broker.
        address: Arc<str>,
        /// Why, as far as known.
        reason: String,
    },
    /// Broker and client have no version of this API in common.
    #[error("{address} speaks no version of {api} that this client knows")]
    UnsupportedVersion {
        /// Which broker.
        address: Arc<str>,
        /// Which API.
        api: &'static str,
    },
    /// A message could not be encoded or decoded.
    #[error("malformed {api} message with {address}: {reason}")]
    Malformed {
        /// Which broker.
        address: Arc<str>,
        /// Which API.
        api: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no TLS session with the broker, or none is wanted and the broker insists.
    #[error("no TLS with {address}: {problem} ({reason})")]
    Tls {
        /// Which broker.
        address: Arc<str>,
        /// What is likely wrong.
        problem: TlsProblem,
        /// What was seen.
        reason: String,
    },
    /// The broker does not accept the user and password (SASL_AUTHENTICATION_FAILED).
    #[error("{address} refused the credentials for {mechanism}: {reason}")]
    Authentication {
        /// Which broker.
        address: Arc<str>,
        /// How the client tried to prove who it is.
        mechanism: SaslMechanism,
        /// The broker's own words.
        reason: String,
    },
    /// The broker does not know the mechanism (UNSUPPORTED_SASL_MECHANISM).
    #[error("{address} does not offer {mechanism}, but {}", offered.join(", "))]
    MechanismNotOffered {
        /// Which broker.
        address: Arc<str>,
        /// The mechanism that was asked for.
        mechanism: SaslMechanism,
        /// Those that the broker offers, by name.
        offered: Vec<String>,
    },
    /// The listener is one for SASL, and the client is configured without it.
    #[error("{address} wants SASL ({}), and the client is configured without it", offered.join(", "))]
    SaslExpected {
        /// Which broker.
        address: Arc<str>,
        /// The mechanisms that the broker offers, by name.
        offered: Vec<String>,
    },
    /// The SASL exchange broke off for another reason than wrong credentials.
    #[error("{mechanism} with {address} failed: {reason}")]
    Sasl {
        /// Which broker.
        address: Arc<str>,
        /// How the client tried to prove who it is.
        mechanism: SaslMechanism,
        /// What is wrong.
        reason: String,
    },
}

impl WireError {
    pub(crate) fn from_request(error: RequestError, address: &Arc<str>, api: &'static str) -> Self {
        let address = Arc::clone(address);
        match error {
            RequestError::NoVersionMatch { .. } => Self::UnsupportedVersion { address, api },
            RequestError::WriteError(_)
            | RequestError::ReadError(_)
            | RequestError::ReadVersionedError(_)
            | RequestError::TooMuchData { .. } => Self::Malformed {
                address,
                api,
                reason: error.to_string(),
            },
            // Framing and transport: the stream is out of step or gone.
            other => Self::Disconnected {
                address,
                reason: other.to_string(),
            },
        }
    }

    pub(crate) fn from_sync_versions(error: SyncVersionsError, address: &Arc<str>) -> Self {
        match error {
            SyncVersionsError::RequestError(e) => Self::from_request(e, address, "ApiVersions"),
            SyncVersionsError::NoWorkingVersion => Self::UnsupportedVersion {
                address: Arc::clone(address),
                api: "ApiVersions",
            },
            other => Self::Malformed {
                address: Arc::clone(address),
                api: "ApiVersions",
                reason: other.to_string(),
            },
        }
    }

    /// Whether the connection that gave this error can carry further requests.
    pub fn leaves_connection_usable(&self) -> bool {
        matches!(
            self,
            Self::UnsupportedVersion { .. } | Self::Throttled { .. }
        )
    }
}
