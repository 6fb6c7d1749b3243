//! The end of a connection, and why.

use std::sync::OnceLock;

use tokio::sync::Notify;

use crate::error::WireError;
use crate::tls::TlsProblem;

/// Who ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// This side, by will.
    Client,
    /// The broker, or whatever is in between.
    Broker,
}

/// The end of a connection, and why; shared by the connection and its stream.
#[derive(Debug, Default)]
pub(crate) struct Closing {
    reason: OnceLock<(By, String)>,
    notify: Notify,
    /// What is wrong with TLS, if that is why.
    tls: OnceLock<(TlsProblem, String)>,
}

impl Closing {
    /// Why it has ended, if it has.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.get().map(|(_, reason)| reason.as_str())
    }

    /// Whether it was not this side that ended it.
    pub(crate) fn is_by_broker(&self) -> bool {
        matches!(self.reason.get(), Some((By::Broker, _)))
    }

    /// This side ends the connection. The first reason stays.
    pub(crate) fn close(&self, reason: &str) {
        self.end(By::Client, reason);
    }

    /// The broker hung up, or the stream failed. The first reason stays.
    pub(crate) fn broken(&self, reason: &str) {
        self.end(By::Broker, reason);
    }

    fn end(&self, by: By, reason: &str) {
        if self.reason.set((by, reason.to_owned())).is_ok() {
            self.notify.notify_waiters();
        }
    }

    pub(crate) fn note_tls(&self, problem: TlsProblem, reason: &str) {
        // The first stays: what comes later follows from it.
        let _ = self.tls.set((problem, reason.to_owned()));
    }

    /// Says more about an error of the very first request, whose causes are known to this and not to the Messenger.
    pub(crate) fn explain(&self, error: WireError, encrypted: bool) -> WireError {
        match (error, self.tls.get()) {
            (WireError::Disconnected { address, .. }, Some((problem, reason))) => WireError::Tls {
                address,
                problem: *problem,
                reason: reason.clone(),
            },
            (WireError::Disconnected { address, reason }, None) if !encrypted => {
                WireError::Disconnected {
                    address,
                    reason: format!("{reason}; nothing was answered, so the port may be for TLS"),
                }
            }
            (error, _) => error,
        }
    }

    /// Returns why, once it has ended.
    pub(crate) async fn wait(&self) -> &str {
        loop {
            let notified = self.notify.notified();
            if let Some(reason) = self.reason() {
                return reason;
            }
            notified.await;
        }
    }
}
