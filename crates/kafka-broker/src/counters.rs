//! How many requests of each API came in.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::handlers::APIS;

#[derive(Debug)]
pub(crate) struct Counters {
    /// In the order of the table of APIs.
    requests: Vec<AtomicU64>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            requests: APIS.iter().map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Counters {
    pub(crate) fn count(&self, key: i16) {
        if let Some(counter) = self.of(key) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn requests(&self, key: i16) -> u64 {
        self.of(key)
            .map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    fn of(&self, key: i16) -> Option<&AtomicU64> {
        let row = APIS.iter().position(|api| api.key == key)?;
        self.requests.get(row)
    }
}
