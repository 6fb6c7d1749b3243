//! A member of a group.

use std::time::Duration;

use bytes::Bytes;
use kafka_wire::StrBytes;

use super::{Time, Token};

/// How long a new member's first join may wait: clients of old time out and come again under another id, and would pile
/// up as members that nobody speaks for.
const NEW_MEMBER_TIMEOUT: Duration = Duration::from_secs(5 * 60);

#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) id: StrBytes,
    pub(crate) instance_id: Option<StrBytes>,
    pub(crate) client_id: StrBytes,
    pub(crate) client_host: StrBytes,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    /// Name and metadata, in the member's order of preference.
    pub(crate) protocols: Vec<(StrBytes, Bytes)>,
    pub(crate) assignment: Bytes,
    pub(crate) awaiting_join: Option<Token>,
    pub(crate) awaiting_sync: Option<Token>,
    /// It was told a generation and did not ask for its assignment yet.
    pub(crate) pending_sync: bool,
    /// Its first join was not answered yet.
    pub(crate) is_new: bool,
    pub(crate) session_ends: Time,
}

impl Member {
    /// When the member is given up, unless it is heard of. While the group owes it an answer, it is not.
    pub(crate) fn expires(&self) -> Option<Time> {
        let owed = self.awaiting_join.is_some() || self.awaiting_sync.is_some();
        (self.is_new || !owed).then_some(self.session_ends)
    }

    /// The member was heard of.
    pub(crate) fn touch(&mut self, now: Time) {
        let patience = if self.is_new {
            NEW_MEMBER_TIMEOUT
        } else {
            self.session_timeout
        };
        self.session_ends = now.saturating_add(patience);
    }

    pub(crate) fn supports(&self, protocol: &StrBytes) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    /// The first of its protocols that is one of `candidates`.
    pub(crate) fn vote<'a>(&self, candidates: &[&'a StrBytes]) -> Option<&'a StrBytes> {
        self.protocols
            .iter()
            .find_map(|(name, _)| candidates.iter().find(|candidate| **candidate == name))
            .copied()
    }

    pub(crate) fn metadata(&self, protocol: Option<&StrBytes>) -> Bytes {
        self.protocols
            .iter()
            .find(|(name, _)| Some(name) == protocol)
            .map(|(_, metadata)| metadata.clone())
            .unwrap_or_default()
    }
}
