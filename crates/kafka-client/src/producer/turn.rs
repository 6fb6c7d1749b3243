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
        let _given = Given;
        tokio::task::yield_now().await;
    }
}

/// A turn that was given, or whose giver went away: the next one need not give it again. The sender may have run on another
/// thread and so not have noted it.
struct Given;

impl Drop for Given {
    fn drop(&mut self) {
        DUE.set(false);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt as _;
    use futures_util::future::maybe_done;

    use super::*;

    #[test]
    fn a_turn_is_given_once() {
        assert!(give().now_or_never().is_some());
        is_due();
        let (mut first, mut second) = (pin!(maybe_done(give())), pin!(maybe_done(give())));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        assert!(first.as_mut().now_or_never().is_some());
        assert!(second.as_mut().now_or_never().is_some());
        assert!(give().now_or_never().is_some());
    }

    #[test]
    fn a_sender_that_has_run_needs_no_turn() {
        is_due();
        is_taken();
        assert!(give().now_or_never().is_some());
    }

    /// Or else a caller that polls once, again and again, would never send.
    #[test]
    fn who_goes_away_has_given_it() {
        is_due();
        assert!(give().now_or_never().is_none());
        assert!(give().now_or_never().is_some());
    }
}
