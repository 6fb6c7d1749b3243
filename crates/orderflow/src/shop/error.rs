//! Why a shop did not start or go on, and why a command failed.

use std::net::SocketAddr;
use std::time::Duration;

use kafka_broker::BrokerError;
use kafka_client::{ClientError, ResetError};
use service_kit::application::ApplicationError;
use service_kit::context::BuildError;
use service_kit::dead_letters::DeskError;
use service_kit::store::StoreError;

use crate::load::LoadError;
use crate::verify::VerifyError;

/// Why a shop did not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ShopError {
    /// A port is taken, or the address is not this machine's.
    #[error("{service} cannot listen on {address}: {source}")]
    Listen {
        /// Which service.
        service: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The embedded broker did not start.
    #[error("the embedded broker did not start: {0}")]
    Broker(#[from] BrokerError),
    /// The Kafka client's settings are wrong.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// One service alone was not told where its documents go.
    #[error(
        "MONGODB_URI is not set: a store inside this process would be seen by no other service and lost at its end; set \
         MONGODB_URI, for example to mongodb://127.0.0.1:27017, or give --embedded-store if that is what you want"
    )]
    NoStore,
    /// One service alone was told of two stores.
    #[error("MONGODB_URI is set and --embedded-store is given: only one of them can be the store")]
    TwoStores,
    /// Somebody asked for a consumer group that Kafka does not know.
    #[error("Kafka knows no group {group}; it knows {}", named(.known))]
    UnknownGroup {
        /// Which was asked for.
        group: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// Offsets of a group were to be set while somebody commits others.
    #[error(
        "group {group} has {members} member(s), which would commit over what is set: stop its services first, then set its offsets"
    )]
    GroupHasMembers {
        /// Which group.
        group: String,
        /// How many members.
        members: usize,
    },
    /// A group has committed nothing, so nobody knows which topics are meant.
    #[error("group {0} has committed no offset: say which topic is meant by --topic")]
    NothingCommitted(String),
    /// A group's offsets were not set, or not all of them.
    #[error(transparent)]
    Reset(Box<ResetError>),
    /// The dead letters cannot be had.
    #[error(transparent)]
    DeadLetters(#[from] DeskError),
    /// Somebody asked for a dead letter that is not there.
    #[error("there is no letter at offset {offset} of {topic}")]
    UnknownLetter {
        /// Of which topic.
        topic: String,
        /// At which offset.
        offset: i64,
    },
    /// It was told to stop and did not.
    #[error("told to stop, but not done within {0:?}: what was left was cut off")]
    Late(Duration),
    /// There was no load.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Nothing can be said of a shop.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The store's settings are wrong.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A service could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The dashboard could not be built.
    #[error("the dashboard cannot be had: {0}")]
    Dashboard(#[from] dashboard::BuildError),
    /// A service failed.
    #[error(transparent)]
    Service(#[from] ApplicationError),
    /// There is nothing to draw on.
    #[error(
        "standard output is no terminal to draw on; `orderflow offsets` prints where the groups are, once"
    )]
    NoTerminal,
    /// Signals or standard streams cannot be had.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Logging cannot be set up.
    #[error(transparent)]
    Telemetry(#[from] service_kit::telemetry::TelemetryError),
}

impl From<ResetError> for ShopError {
    fn from(error: ResetError) -> Self {
        match error {
            ResetError::UnknownGroup { group, known } => Self::UnknownGroup { group, known },
            ResetError::HasMembers { group, members } => Self::GroupHasMembers { group, members },
            ResetError::NothingCommitted(group) => Self::NothingCommitted(group),
            ResetError::Client(error) => Self::Client(error),
            error => Self::Reset(Box::new(error)),
        }
    }
}

/// The groups by name; of a long list the beginning, since a cluster may have thousands.
fn named(groups: &[String]) -> String {
    const MOST: usize = 10;
    match groups.len() {
        0 => "none".to_owned(),
        all if all > MOST => format!("{} and {} more", groups[..MOST].join(", "), all - MOST),
        _ => groups.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn of_many_groups_the_first_are_named() {
        let groups: Vec<String> = (0..12).map(|group| group.to_string()).collect();
        assert_eq!(named(&[]), "none");
        assert_eq!(named(&groups[..10]), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9");
        assert_eq!(named(&groups), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more");
    }
}
