//! When heartbeats are due, and what is heard of them.

use std::time::Duration;

use futures_util::future::BoxFuture;
use kafka_wire::ResponseError;
use tokio::time::Instant;

/// The cadence of the heartbeats, and the session as seen from here.
#[derive(Default)]
pub(super) struct Heartbeat {
    on: bool,
    pub(super) next: Option<Instant>,
    pub(super) under_way: Option<BoxFuture<'static, HeartbeatAnswer>>,
    /// When the coordinator was last heard to know this member.
    pub(super) heard: Option<Instant>,
    /// Since when joins and syncs have not been answered.
    silent_since: Option<Instant>,
}

/// The generation that was sent, and the answer if there was one.
pub(super) type HeartbeatAnswer = (i32, Option<Result<(), ResponseError>>);

impl Heartbeat {
    pub(super) fn set(&mut self, on: bool, interval: Duration) {
        if on != self.on {
            self.on = on;
            self.next = on.then(|| Instant::now() + interval);
            self.under_way = None;
        }
    }

    /// Notes a join or sync that was answered as the coordinator answers a member that it knows.
    pub(super) fn answered(&mut self) {
        self.heard = Some(Instant::now());
        self.silent_since = None;
    }

    /// Notes one that was not. Returns whether none was for the session timeout. There are no heartbeats while joining, and
    /// a join may be held back for longer than the session timeout, so it is the failures that are counted.
    pub(super) fn unanswered(&mut self, session_timeout: Duration) -> bool {
        let now = Instant::now();
        let is_over = now >= *self.silent_since.get_or_insert(now) + session_timeout;
        if is_over {
            self.silent_since = None;
        }
        is_over
    }

    /// When a heartbeat is to be sent or the session is over, whichever comes first.
    pub(super) fn due(&self, session_timeout: Duration) -> Option<Instant> {
        if !self.on {
            return None;
        }
        let expires = self.heard.map(|heard| heard + session_timeout);
        match (self.next, expires) {
            (Some(next), Some(expires)) => Some(next.min(expires)),
            (next, expires) => next.or(expires),
        }
    }
}
