//! A turn for the sender that was just woken.
//!
//! A runtime runs a task that was woken on a worker thread after the one that woke it, on the same thread; a task that sends
//! without a pause would keep the sender from running until its batch is full. So whoever sends next on the thread goes
//! behind the sender first. It does so before its record is appended and not after: a caller that goes away in between has
//! sent nothing.

use std::cell::Cell;

thread_local! {
    /// Whether a sender was woken on this thread and has not had its turn.
    static DUE: Cell<bool> = const { Cell::new(false) };
}

/// A sender was woken on this thread.
pub(super) fn is_due() {
    DUE.set(true);
}

/// A sender runs on this thread.
pub(super) fn is_taken() {
    DUE.set(false);
}

/// Lets a sender that was woken on this thread run.
#[inline]
pub(super) async fn give() {
    if DUE.get() {
        // Whoever else comes meanwhile waits, too, so that calls that are polled in turn keep their order.
        tokio::task::yield_now().await;
        // It may have run on another thread.
        DUE.set(false);
    }
}
