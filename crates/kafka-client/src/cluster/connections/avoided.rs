//! Which addresses to ask only if no other answers: requests that any broker answers go elsewhere meanwhile.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long a broker that did not answer is asked last. It may be silent on some of its connections only, so that another one
/// opens and nothing is answered on it.
const REST: Duration = Duration::from_secs(10);

/// Addresses of brokers, each with the end of the time for which it is avoided.
#[derive(Debug, Default)]
pub(super) struct Avoided(Mutex<HashMap<String, Instant>>);

impl Avoided {
    /// The broker did not answer.
    pub(super) fn failed(&self, address: &str) {
        self.throttled(address, REST);
    }

    /// The broker asks to be spared for so long (KIP-219).
    pub(super) fn throttled(&self, address: &str, time: Duration) {
        let now = Instant::now();
        let mut avoided = self.0.lock();
        // What is over is forgotten here, so that this never has more than the brokers of a little while.
        avoided.retain(|_, until| *until > now);
        let until = avoided.entry(address.to_owned()).or_insert(now);
        *until = (*until).max(now + time);
    }

    pub(super) fn contains(&self, address: &str) -> bool {
        let avoided = self.0.lock();
        avoided
            .get(address)
            .is_some_and(|until| *until > Instant::now())
    }
}
