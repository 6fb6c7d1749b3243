//! A consumer group of the classic protocol as a pure state machine: what comes in and the time go in, answers come out.
//!
//! It follows Kafka's group coordinator: the states are `GroupState` of the Java sources, the rules those of
//! `GroupCoordinator` and `GroupMetadata`. IO, locks and clocks are the coordinator's part (`coordinator.rs`).
//!
//! ```text
//!            first join                 all joined, or time is up           the leader's sync
//!   Empty ───────────────▶ Preparing ───────────────────────────▶ Completing ───────────────▶ Stable
//!     ▲                      │   ▲                                    │                         │
//!     └── nobody joined ─────┘   └── join, leave, expiry ─────────────┴─────────────────────────┘
//! ```

mod join;
mod leave;
mod member;
mod offsets;
mod rebalance;
mod state;
mod sync;
#[cfg(test)]
mod tests;
mod view;

use std::time::Duration;

use bytes::Bytes;
use kafka_wire::{ResponseError, StrBytes};

pub(crate) use join::JoinRequest;
pub(crate) use leave::MemberToLeave;
pub(crate) use offsets::{Committed, Offsets};
pub(crate) use state::{Group, Limits, Phase};
pub(crate) use sync::{GenerationOf, SyncRequest};
pub(crate) use view::{GroupView, MemberView};

/// Time since the broker's start.
pub(crate) type Time = Duration;

/// Stands for a request whose answer may come later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Token(pub(crate) u64);

/// An answer that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    Join(Token, JoinAnswer),
    Sync(Token, SyncAnswer),
}

/// What a JoinGroup is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JoinAnswer {
    pub(crate) error: Option<ResponseError>,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<StrBytes>,
    pub(crate) protocol: Option<StrBytes>,
    pub(crate) leader: StrBytes,
    pub(crate) skip_assignment: bool,
    pub(crate) member_id: StrBytes,
    /// The members with their metadata for the chosen protocol; only the leader gets them.
    pub(crate) members: Vec<JoinedMember>,
}

/// A member as its leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JoinedMember {
    pub(crate) member_id: StrBytes,
    pub(crate) instance_id: Option<StrBytes>,
    pub(crate) metadata: Bytes,
}

impl JoinAnswer {
    pub(crate) fn error(member_id: StrBytes, error: ResponseError) -> Self {
        Self {
            error: Some(error),
            generation: -1,
            protocol_type: None,
            protocol: None,
            leader: StrBytes::new(),
            skip_assignment: false,
            member_id,
            members: Vec::new(),
        }
    }
}

/// What a SyncGroup is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyncAnswer {
    pub(crate) error: Option<ResponseError>,
    pub(crate) protocol_type: Option<StrBytes>,
    pub(crate) protocol: Option<StrBytes>,
    pub(crate) assignment: Bytes,
}

impl SyncAnswer {
    pub(crate) fn error(error: ResponseError) -> Self {
        Self {
            error: Some(error),
            protocol_type: None,
            protocol: None,
            assignment: Bytes::new(),
        }
    }
}

/// A copy that does not pin the request it came in.
pub(crate) fn owned(string: &StrBytes) -> StrBytes {
    StrBytes::from_string(string.to_string())
}
