//! The connections to the brokers: one a broker and purpose, opened once however many ask for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use kafka_wire::{ConnectOptions, Connection, WireError};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::error::{ClientError, of_authentication};

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

/// How long an address may be silent before the next is tried beside it.
const HEAD_START: Duration = Duration::from_millis(300);

#[derive(Debug)]
pub(super) struct Connections {
    options: ConnectOptions,
    brokers: Mutex<HashMap<(i32, Purpose), Arc<Slot>>>,
    any: tokio::sync::Mutex<Option<Arc<Connection>>>,
}

/// One broker and purpose. The lock is held while connecting, so that one attempt serves all who wait.
type Slot = tokio::sync::Mutex<SlotState>;

#[derive(Debug, Default)]
struct SlotState {
    connection: Option<Arc<Connection>>,
    backoff: Backoff,
    not_before: Option<Instant>,
}

impl Connections {
    pub(super) fn new(options: ConnectOptions) -> Self {
        Self {
            options,
            brokers: Mutex::default(),
            any: tokio::sync::Mutex::default(),
        }
    }

    /// The open connection, or a new one to `address`. After failures it waits before it tries, at most a second.
    pub(super) async fn to_broker(
        &self,
        node: i32,
        purpose: Purpose,
        address: &str,
    ) -> Result<Arc<Connection>, WireError> {
        let slot = Arc::clone(self.brokers.lock().entry((node, purpose)).or_default());
        let mut slot = slot.lock().await;
        if let Some(open) = slot
            .connection
            .as_ref()
            .filter(|c| !c.is_closed() && &**c.address() == address)
        {
            return Ok(Arc::clone(open));
        }
        slot.connection = None;
        if let Some(not_before) = slot.not_before {
            tokio::time::sleep_until(not_before).await;
        }
        match Connection::open(address, &self.options).await {
            Ok(connection) => {
                let connection = Arc::new(connection);
                slot.connection = Some(Arc::clone(&connection));
                slot.backoff.reset();
                slot.not_before = None;
                Ok(connection)
            }
            Err(error) => {
                slot.not_before = Some(Instant::now() + slot.backoff.next());
                tracing::debug!(broker = node, ?purpose, %error, "cannot connect");
                Err(error)
            }
        }
    }

    /// A connection to any broker: the one in use while it lasts, else the first that answers of the known brokers and
    /// the bootstrap servers (KIP-899). An address that stays silent holds the others up by a third of a second.
    pub(super) async fn to_any(
        &self,
        known: &[String],
        bootstrap: &[String],
    ) -> Result<Arc<Connection>, ClientError> {
        let mut any = self.any.lock().await;
        if let Some(open) = any.as_ref().filter(|c| !c.is_closed()) {
            return Ok(Arc::clone(open));
        }
        *any = None;
        let mut addresses: Vec<&String> = Vec::new();
        for address in known.iter().chain(bootstrap) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let answered = self.first_to_answer(&addresses).await;
        let connection = Arc::new(answered.map_err(|last| match last {
            Some(error) if of_authentication(&error) => ClientError::Wire(error),
            last => ClientError::Unreachable {
                bootstrap: bootstrap.join(","),
                last: last.map_or_else(|| "no address is known".to_owned(), |e| e.to_string()),
            },
        })?);
        *any = Some(Arc::clone(&connection));
        Ok(connection)
    }

    /// The error is the last; or, if there was one, the last that is of the security: it says most.
    async fn first_to_answer(
        &self,
        addresses: &[&String],
    ) -> Result<Connection, Option<WireError>> {
        let mut attempts = FuturesUnordered::new();
        let mut waiting = addresses.iter();
        let mut last: Option<WireError> = None;
        loop {
            let started = match waiting.next() {
                Some(address) => {
                    attempts.push(Connection::open(address, &self.options));
                    true
                }
                None => false,
            };
            let failed = if started {
                match tokio::time::timeout(HEAD_START, attempts.next()).await {
                    Ok(Some(result)) => result,
                    Ok(None) | Err(_) => continue,
                }
            } else {
                match attempts.next().await {
                    Some(result) => result,
                    None => return Err(last),
                }
            };
            match failed {
                Ok(connection) => return Ok(connection),
                Err(error) => {
                    if !last.as_ref().is_some_and(of_authentication) || of_authentication(&error) {
                        last = Some(error);
                    }
                }
            }
        }
    }
}
