//! What goes wrong with an embedded store because a test wants it to.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::StoreError;

/// The faults of one store.
#[derive(Default)]
pub(super) struct Faults {
    away: AtomicBool,
    /// Writes until one fails, that one included; 0 while none is to fail.
    writes: AtomicU64,
    applied: AtomicBool,
}

impl Faults {
    pub(super) fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    pub(super) fn fail_write(&self, nth: u64, applied: bool) {
        self.applied.store(applied, Ordering::SeqCst);
        self.writes.store(nth, Ordering::SeqCst);
    }

    pub(super) fn is_pending(&self) -> bool {
        self.writes.load(Ordering::SeqCst) > 0
    }

    pub(super) fn there(
        &self,
        operation: &'static str,
        collection: &str,
    ) -> Result<(), StoreError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(unavailable(operation, collection, "it was set away"));
        }
        Ok(())
    }

    /// Writes a document, unless that is the write that is to fail before it is done.
    pub(super) fn writing<O>(
        &self,
        operation: &'static str,
        collection: &str,
        write: impl FnOnce() -> O,
    ) -> Result<O, StoreError> {
        // Looked at before it is changed: without a fault there is nothing that writers on many cores share.
        let fails = self.is_pending()
            && self
                .writes
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                    left.checked_sub(1)
                })
                == Ok(1);
        if !fails {
            return Ok(write());
        }
        if self.applied.load(Ordering::SeqCst) {
            write();
            return Err(unavailable(operation, collection, "failed after a write"));
        }
        Err(unavailable(operation, collection, "failed before a write"))
    }
}

fn unavailable(operation: &'static str, collection: &str, reason: &str) -> StoreError {
    StoreError::Unavailable {
        operation,
        collection: collection.to_owned(),
        cause: "the store is away",
        reason: reason.to_owned(),
    }
}
