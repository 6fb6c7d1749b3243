//! What can go wrong with a request.

use std::io;
use std::time::Duration;

use hyper::StatusCode;

use super::BaseUrl;

/// Why a request was not answered as it should be.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Nothing listens there.
    #[error("{base} cannot be reached: {source}")]
    Connect {
        /// Where.
        base: BaseUrl,
        /// Why.
        source: io::Error,
    },
    /// The connection ended before the answer.
    #[error("{base} did not answer: {source}")]
    Lost {
        /// Where.
        base: BaseUrl,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There was no answer in time.
    #[error("{base} did not answer within {patience:?}")]
    TooSlow {
        /// Where.
        base: BaseUrl,
        /// How long was waited.
        patience: Duration,
    },
    /// The answer is an error.
    #[error("{base} answered {status} to {path}: {text}")]
    Status {
        /// Where.
        base: BaseUrl,
        /// What was asked for.
        path: String,
        /// The status.
        status: StatusCode,
        /// How the answer begins.
        text: String,
    },
    /// The answer is not what it should be.
    #[error("{base} answered {path} with what is not understood: {source}")]
    Body {
        /// Where.
        base: BaseUrl,
        /// What was asked for.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
}

impl HttpError {
    /// Whether the same request may be answered a moment later: there was no answer, or it was a 503.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Lost { .. } | Self::TooSlow { .. } => true,
            Self::Status { status, .. } => *status == StatusCode::SERVICE_UNAVAILABLE,
            Self::Body { .. } => false,
        }
    }
}
