//! A session that was proven by SASL, and its renewal (KIP-368).

use std::sync::Arc;
use std::time::Duration;

use rskafka::messenger::Messenger;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::closing::Closing;
use crate::error::WireError;
use crate::sasl;
use crate::security::Sasl;
use crate::stream::WireStream;

/// The least time between two authentications of a connection.
const LEAST_RENEWAL: Duration = Duration::from_millis(1100);

/// A session that the broker ends at some time unless the client authenticates again. The next request after
/// [`Session::renewal`] does so, as in Java's client; without requests nothing needs to be done, since the broker looks at the clock
/// only when one comes.
#[derive(Debug)]
pub(crate) struct Session {
    sasl: Sasl,
    renew_at: Mutex<Option<Instant>>,
}

/// A session that is not about to end. Nobody else authenticates, or sends, until this is dropped.
#[derive(Debug)]
pub(crate) struct Renewed<'a> {
    _renew_at: MutexGuard<'a, Option<Instant>>,
}

impl Session {
    pub(crate) fn new(sasl: Sasl, lifetime: Duration) -> Self {
        Self {
            sasl,
            renew_at: Mutex::new(Some(Self::renewal(lifetime))),
        }
    }

    /// When to authenticate again: early enough for the request to get there, and no sooner than a second after the last time, since
    /// Kafka takes that for an attack.
    fn renewal(lifetime: Duration) -> Instant {
        Instant::now() + lifetime.mul_f64(0.85).max(LEAST_RENEWAL)
    }

    /// Authenticates again if that is due. What is under way is answered first; the broker takes nothing else in between.
    pub(crate) async fn renewed(
        &self,
        messenger: &Messenger<WireStream>,
        closing: &Closing,
        address: &Arc<str>,
    ) -> Result<Renewed<'_>, WireError> {
        let mut renew_at = self.renew_at.lock().await;
        if renew_at.is_some_and(|at| Instant::now() >= at) {
            let mut broken_off = CloseOnDrop(Some(closing));
            let renewed = sasl::authenticate(messenger, &self.sasl, address).await;
            broken_off.0 = None;
            let lifetime = renewed?;
            tracing::debug!(broker = %address, ?lifetime, "authenticated again");
            *renew_at = lifetime.map(Self::renewal);
        }
        Ok(Renewed {
            _renew_at: renew_at,
        })
    }
}

/// Closes a connection whose authentication was given up half way, with a request's future: nothing else could be sent on it.
struct CloseOnDrop<'a>(Option<&'a Closing>);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(closing) = self.0 {
            closing.close("authenticating again was broken off");
        }
    }
}
