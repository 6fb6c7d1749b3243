//! The connection for requests that any broker answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use kafka_wire::{ApiRequest, Connection, Throttled as _, WireError};

use super::Connections;
use crate::error::{ClientError, Remedy, of_authentication};

/// How long an address may be silent before the next is tried beside it.
const HEAD_START: Duration = Duration::from_millis(300);

/// As [`Slot`](super::Slot) is for one broker: the lock is held while connecting, and the outcome is that of all who wait.
#[derive(Debug, Default)]
pub(super) struct Any {
    failures: AtomicU64,
    state: tokio::sync::Mutex<AnyState>,
}

#[derive(Debug, Default)]
struct AnyState {
    connection: Option<Arc<Connection>>,
    failure: Option<ClientError>,
}

impl Connections {
    /// Sends to any broker, and remembers if this one is better avoided.
    pub(in crate::cluster) async fn request_any<R: ApiRequest>(
        &self,
        known: &[String],
        bootstrap: &[String],
        request: R,
        within: Duration,
    ) -> Result<R::Response, ClientError> {
        let connection = self.to_any(known, bootstrap).await?;
        let address = connection.address();
        let answer = connection.request_within(request, within).await;
        match &answer {
            Ok(answer) => {
                if let Ok(asked @ 1..) = u64::try_from(answer.throttle_time_ms()) {
                    self.avoided
                        .throttled(address, Duration::from_millis(asked));
                }
            }
            Err(WireError::Throttled { after, .. }) => self.avoided.throttled(address, *after),
            Err(error) if Remedy::of_wire(error) != Remedy::Fatal => self.avoided.failed(address),
            Err(_) => {}
        }
        Ok(answer?)
    }

    /// A broker did not answer somebody: others are asked before it what any can tell.
    pub(in crate::cluster) fn avoid(&self, address: &str) {
        self.avoided.failed(address);
    }

    /// A connection to any broker: the one in use while it lasts and need not be avoided, else the first that answers of the
    /// known brokers and the bootstrap servers (KIP-899). An address that stays silent holds the others up by a third of a
    /// second.
    async fn to_any(
        &self,
        known: &[String],
        bootstrap: &[String],
    ) -> Result<Arc<Connection>, ClientError> {
        let failures = self.any.failures.load(Ordering::Acquire);
        let mut any = self.any.state.lock().await;
        if let Some(open) = any.connection.clone().filter(|c| !c.is_closed()) {
            if !self.avoided.contains(open.address()) {
                return Ok(open);
            }
            // It stays in use if there is no other. The bootstrap servers are brokers by other names, perhaps the same: a
            // new connection to one that asked to be spared would not spare it.
            let mut others: Vec<&String> = known.iter().collect();
            others.retain(|a| ***a != **open.address() && !self.avoided.contains(a));
            return Ok(match self.first_to_answer(&others).await {
                Ok(other) => {
                    let other = Arc::new(other);
                    any.connection = Some(Arc::clone(&other));
                    other
                }
                Err(_) => {
                    // Not tried again with every request meanwhile.
                    others.into_iter().for_each(|other| self.avoid(other));
                    open
                }
            });
        }
        if self.any.failures.load(Ordering::Acquire) > failures
            && let Some(failure) = &any.failure
        {
            return Err(failure.clone());
        }
        any.connection = None;
        let mut addresses: Vec<&String> = Vec::new();
        for address in known.iter().chain(bootstrap) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses.sort_by_key(|address| self.avoided.contains(address));
        match self.first_to_answer(&addresses).await {
            Ok(connection) => {
                let connection = Arc::new(connection);
                any.connection = Some(Arc::clone(&connection));
                any.failure = None;
                Ok(connection)
            }
            Err(last) => {
                let error = unreachable(last, bootstrap);
                any.failure = Some(error.clone());
                self.any.failures.fetch_add(1, Ordering::AcqRel);
                Err(error)
            }
        }
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

fn unreachable(last: Option<WireError>, bootstrap: &[String]) -> ClientError {
    match last {
        Some(error) if of_authentication(&error) => ClientError::Wire(error),
        last => ClientError::Unreachable {
            bootstrap: bootstrap.join(","),
            last: last.map_or_else(|| "no address is known".to_owned(), |e| e.to_string()),
        },
    }
}
