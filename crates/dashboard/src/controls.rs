//! What the page can do to the processes behind it, where somebody gives it the means.

use std::fmt::Debug;

use futures_util::future::BoxFuture;
use serde::Serialize;

/// The means to stop, crash and start what runs in the same process.
///
/// The all-in-one process has them; a dashboard that runs by itself has none, and says how it is done by hand.
pub trait Controls: Debug + Send + Sync + 'static {
    /// The instances that there are, by service and number; also those that are stopped.
    fn instances(&self) -> Vec<Instance>;

    /// One more instance of this service, on a free port. Errors: no such service, or as many as there may be.
    fn add(&self, service: &str) -> BoxFuture<'static, Result<Instance, ControlError>>;

    /// Does that to an instance. Errors: no such instance, or it is not in a state for that.
    fn instance(
        &self,
        instance: &str,
        what: InstanceAction,
    ) -> BoxFuture<'static, Result<(), ControlError>>;

    /// Whether the embedded broker runs; none where there is none.
    fn broker(&self) -> Option<bool>;

    /// Does that to the embedded broker. Errors: there is none, or it is not in a state for that.
    fn act_on_broker(&self, what: BrokerAction) -> BoxFuture<'static, Result<(), ControlError>>;
}

/// One process of a service, or what would be one if it did not share this process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Instance {
    /// Its name, which it keeps: `payment-service-1`.
    pub instance: String,
    /// Of which service: `payment-service`.
    pub service: String,
    /// Where its HTTP listens, `http://127.0.0.1:8002`; the same after a restart.
    pub url: String,
    /// How it is.
    pub state: InstanceState,
}

/// How an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceState {
    /// Up.
    Running,
    /// Told to end, and not at its end yet: it finishes what is under way.
    Stopping,
    /// Told to stop: what was under way was finished, and its group left.
    Stopped,
    /// Cut off in the middle, as by `kill -9`; or failed.
    Crashed,
    /// It does not answer, and nobody here knows why.
    Away,
}

/// What can be done to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceAction {
    /// As SIGTERM: finishes what is under way and leaves its group.
    Stop,
    /// As SIGKILL: nothing more is done, stored, published or committed, and nobody is told.
    Crash,
    /// Up again, at the same place.
    Start,
    /// Stopped, and no longer there.
    Remove,
}

/// What can be done to the embedded broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerAction {
    /// As SIGTERM. The log is kept.
    Stop,
    /// As SIGKILL. The log is kept, since it lies in this process.
    Crash,
    /// Up again, at the same address.
    Start,
    /// Cuts every connection.
    Cut,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// There is no such service or instance.
    #[error("there is no {0}")]
    Unknown(String),
    /// It is not in a state for that.
    #[error("{0}")]
    Conflict(String),
    /// It was tried and failed.
    #[error("{0}")]
    Failed(String),
    /// It was not done in time, and nobody knows whether it will be.
    #[error("{0}")]
    Late(String),
}
