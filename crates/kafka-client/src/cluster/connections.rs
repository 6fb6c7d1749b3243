//! The connections to the brokers: one a broker and purpose, opened once however many ask for it.

mod any;
mod avoided;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kafka_wire::{ConnectOptions, Connection, WireError};
use parking_lot::Mutex;
use tokio::time::Instant;

use self::any::Any;
use self::avoided::Avoided;
use crate::backoff::Backoff;

/// What a shared connection is for. A broker serves a connection serially, so a small request behind megabytes of records
/// would wait for them: each of these has a connection of its own. Fetches and the group protocol, which a broker holds
/// back on purpose, are not here: they use connections that nobody shares, see [`Cluster::dedicated`](super::Cluster).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    /// Metadata, admin requests, offsets of partitions.
    General,
    /// Produce requests.
    Produce,
}

#[derive(Debug)]
pub(super) struct Connections {
    options: ConnectOptions,
    brokers: Mutex<HashMap<(i32, Purpose), Arc<Slot>>>,
    any: Any,
    avoided: Avoided,
}

/// One broker and purpose. The lock is held while connecting, so that one attempt serves all who wait, however it ends.
#[derive(Debug, Default)]
struct Slot {
    /// Attempts that failed: whoever finds more of them than there were when it came has waited for one.
    failures: AtomicU64,
    state: tokio::sync::Mutex<SlotState>,
}

#[derive(Debug, Default)]
struct SlotState {
    connection: Option<Arc<Connection>>,
    backoff: Backoff,
    not_before: Option<Instant>,
    /// The last failure, and the address that it is of.
    failure: Option<(String, WireError)>,
}

impl Connections {
    pub(super) fn new(options: ConnectOptions) -> Self {
        Self {
            options,
            brokers: Mutex::default(),
            any: Any::default(),
            avoided: Avoided::default(),
        }
    }

    /// The open connection, or a new one to `address`. After failures it waits before it tries, at most a second. Whoever
    /// comes while another tries shares the outcome.
    pub(super) async fn to_broker(
        &self,
        node: i32,
        purpose: Purpose,
        address: &str,
    ) -> Result<Arc<Connection>, WireError> {
        let slot = Arc::clone(self.brokers.lock().entry((node, purpose)).or_default());
        let failures = slot.failures.load(Ordering::Acquire);
        let mut state = slot.state.lock().await;
        if let Some(open) = state
            .connection
            .as_ref()
            .filter(|c| !c.is_closed() && &**c.address() == address)
        {
            return Ok(Arc::clone(open));
        }
        if slot.failures.load(Ordering::Acquire) > failures
            && let Some((_, error)) = state.failure.as_ref().filter(|(of, _)| of == address)
        {
            return Err(error.clone());
        }
        state.connection = None;
        if let Some(not_before) = state.not_before {
            tokio::time::sleep_until(not_before).await;
        }
        match Connection::open(address, &self.options).await {
            Ok(connection) => {
                let connection = Arc::new(connection);
                *state = SlotState {
                    connection: Some(Arc::clone(&connection)),
                    ..SlotState::default()
                };
                Ok(connection)
            }
            Err(error) => {
                state.not_before = Some(Instant::now() + state.backoff.next());
                state.failure = Some((address.to_owned(), error.clone()));
                slot.failures.fetch_add(1, Ordering::AcqRel);
                tracing::debug!(broker = node, ?purpose, %error, "cannot connect");
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests;
