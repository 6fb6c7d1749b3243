//! The loop that starts, stops and watches the instances. Nothing else changes them.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use dashboard::controls::{ControlError, Instance, InstanceAction, InstanceState};
use futures_util::FutureExt;
use service_kit::application::{Application, ApplicationError};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::blueprint::{Blueprint, InstanceName};
use super::{Answer, Board, MOST, Order, shown};
use crate::cli::Role;

/// How long a port may stay taken after whoever had it was crashed: its socket is closed when the last task is dropped.
const CLOSING: Duration = Duration::from_secs(1);
/// How often it is looked whether it is free.
const LOOK: Duration = Duration::from_millis(5);

/// How a task of the shop ended.
type Ended = Result<(Id, Result<(), ApplicationError>), JoinError>;

/// The instances and what runs of them.
pub(crate) struct Supervisor {
    blueprint: Arc<Blueprint>,
    board: Board,
    entries: BTreeMap<InstanceName, Entry>,
    running: JoinSet<Result<(), ApplicationError>>,
    /// Cancelled when all are to stop.
    stop: CancellationToken,
    /// Whether somebody looks after the instances: then one that fails is shown to be crashed, and does not end the others.
    attended: bool,
}

struct Entry {
    /// Where it listens, also after it was started again.
    address: SocketAddr,
    phase: Phase,
}

enum Phase {
    Running {
        task: AbortHandle,
        stop: CancellationToken,
    },
    /// Told to end, and not at its end yet.
    Ending {
        task: AbortHandle,
        then: Then,
        asked: Answer<()>,
    },
    Down(InstanceState),
}

/// What an instance that has ended is then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Is(InstanceState),
    Removed,
}

impl Supervisor {
    pub(crate) fn new(
        blueprint: Arc<Blueprint>,
        board: Board,
        stop: CancellationToken,
        attended: bool,
    ) -> Self {
        Self {
            blueprint,
            board,
            entries: BTreeMap::new(),
            running: JoinSet::new(),
            stop,
            attended,
        }
    }

    /// Runs an instance.
    pub(crate) fn run(&mut self, name: InstanceName, application: Application) {
        let (address, stop) = (application.address(), self.stop.child_token());
        let task = self.running.spawn(run(application, stop.clone()));
        let phase = Phase::Running { task, stop };
        self.entries.insert(name, Entry { address, phase });
        self.show();
    }

    /// Runs something beside the instances; if it ends by itself, so do they.
    pub(crate) fn run_beside(&mut self, application: Application) {
        self.running
            .spawn(run(application, self.stop.child_token()));
    }

    /// Does what it is told until all are to stop, or until one of them fails whose failure nobody looks after; then stops them.
    ///
    /// # Errors
    ///
    /// The first failure.
    pub(crate) async fn supervise(
        mut self,
        mut orders: mpsc::Receiver<Order>,
    ) -> Result<(), ApplicationError> {
        let mut outcome = Ok(());
        let stop = self.stop.clone();
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => {}
                Some(order) = orders.recv() => self.obey(order).await,
                // None while nothing runs, which may be started again.
                Some(ended) = self.running.join_next_with_id() => {
                    if let Err(error) = self.ended(ended) {
                        outcome = error.map_or(Ok(()), Err);
                        stop.cancel();
                    }
                }
            }
        }
        drop(orders);
        while let Some(ended) = self.running.join_next().await {
            if let (Ok(Err(error)), Ok(())) = (ended, &outcome) {
                outcome = Err(error);
            }
        }
        outcome
    }

    /// Takes in that a task has ended.
    ///
    /// # Errors
    ///
    /// The others are to end, too; with the error if there is one.
    fn ended(&mut self, ended: Ended) -> Result<(), Option<ApplicationError>> {
        let (task, outcome) = match ended {
            Ok((task, outcome)) => (task, outcome),
            // Aborted: a panic is an outcome.
            Err(error) => (error.id(), Ok(())),
        };
        let of_task = |entry: &Entry| match &entry.phase {
            Phase::Running { task: of, .. } | Phase::Ending { task: of, .. } => of.id() == task,
            Phase::Down(_) => false,
        };
        let found = self
            .entries
            .iter_mut()
            .find(|(_, entry)| of_task(entry))
            .map(|(name, entry)| (*name, entry));
        let Some((name, entry)) = found else {
            return Err(outcome.err());
        };
        let crashed = Phase::Down(InstanceState::Crashed);
        match std::mem::replace(&mut entry.phase, crashed) {
            Phase::Ending { then, asked, .. } => {
                let answer = self.told_to_end(name, then, outcome);
                self.show();
                // Whoever asked may have gone.
                let _ = asked.send(answer);
            }
            // One that ends by itself has failed: a shop without it would look as if it worked.
            _ if !self.attended => return Err(outcome.err()),
            _ => {
                let error = outcome.err().map(|error| error.to_string());
                tracing::error!(instance = %name, error, "an instance failed, the others go on");
                self.show();
            }
        }
        Ok(())
    }

    /// Takes in that an instance has ended which is down as crashed by now, and was to be `then`.
    fn told_to_end(
        &mut self,
        name: InstanceName,
        then: Then,
        outcome: Result<(), ApplicationError>,
    ) -> Result<(), ControlError> {
        if let Err(error) = outcome {
            tracing::error!(instance = %name, ?then, %error, "an instance was told to end and failed");
            // One that was to crash has.
            return match then {
                Then::Is(InstanceState::Crashed) => Ok(()),
                _ => Err(ControlError::Failed(format!(
                    "{name} failed while it ended: {error}"
                ))),
            };
        }
        match (then, self.entries.get_mut(&name)) {
            (Then::Is(state), Some(entry)) => entry.phase = Phase::Down(state),
            (Then::Is(_), None) => {}
            (Then::Removed, _) => drop(self.entries.remove(&name)),
        }
        tracing::warn!(instance = %name, ?then, "an instance was told to end and has ended");
        Ok(())
    }

    async fn obey(&mut self, order: Order) {
        // Whoever asked may have gone.
        match order {
            Order::Add(role, answer) => {
                let added = self.add(role).await;
                let _ = answer.send(added);
            }
            Order::Act(name, what, answer) => {
                let found = self.entries.keys().find(|known| known.to_string() == name);
                let Some(name) = found.copied() else {
                    let unknown = ControlError::Unknown(format!("instance {name}"));
                    let _ = answer.send(Err(unknown));
                    return;
                };
                self.act(name, what, answer).await;
            }
        }
    }

    async fn add(&mut self, role: Role) -> Result<Instance, ControlError> {
        let of_role = self.entries.keys().filter(|name| name.role == role);
        let of_role: Vec<u16> = of_role.map(|name| name.number).collect();
        if !self.blueprint.roles.contains(&role) {
            let service = role.service();
            return Err(ControlError::Unknown(format!("{service} in this process")));
        }
        if of_role.len() >= MOST {
            return Err(ControlError::Conflict(format!(
                "there are {MOST} instances of {} already, and that is the most",
                role.service()
            )));
        }
        let mut numbers = 1..;
        let number = numbers.find(|number| !of_role.contains(number));
        let name = InstanceName {
            role,
            number: number.unwrap_or(1),
        };
        let address = self
            .start(name, SocketAddr::new(self.blueprint.host, 0))
            .await?;
        tracing::warn!(instance = %name, %address, "an instance was added");
        Ok(shown(name, address, InstanceState::Running))
    }

    /// Whether the service has no other instance but those that are being removed.
    fn is_last(&self, name: InstanceName) -> bool {
        let goes = |entry: &Entry| {
            matches!(
                &entry.phase,
                Phase::Ending {
                    then: Then::Removed,
                    ..
                }
            )
        };
        let mut others = self.entries.iter();
        !others.any(|(other, entry)| other.role == name.role && *other != name && !goes(entry))
    }

    async fn act(&mut self, name: InstanceName, what: InstanceAction, answer: Answer<()>) {
        if what == InstanceAction::Remove && self.is_last(name) {
            let only = format!(
                "{name} is the only instance of {}: it can be stopped, but not removed",
                name.role.service()
            );
            let _ = answer.send(Err(ControlError::Conflict(only)));
            return;
        }
        let Some(entry) = self.entries.get_mut(&name) else {
            return;
        };
        let refusal = match (&mut entry.phase, what) {
            (Phase::Running { .. }, InstanceAction::Start) => format!("{name} is running already"),
            (Phase::Running { task, stop }, _) => {
                let then = end(task, stop, what);
                let (task, asked) = (task.clone(), answer);
                entry.phase = Phase::Ending { task, then, asked };
                self.show();
                return;
            }
            (Phase::Down(_), InstanceAction::Start) => {
                let address = entry.address;
                let _ = answer.send(self.start(name, address).await.map(drop));
                return;
            }
            (Phase::Down(_), InstanceAction::Remove) => {
                self.entries.remove(&name);
                self.show();
                let _ = answer.send(Ok(()));
                return;
            }
            (Phase::Ending { .. }, _) => format!("{name} is just ending: try again in a moment"),
            (Phase::Down(InstanceState::Stopped), _) => {
                format!("{name} is not running: it was stopped")
            }
            (Phase::Down(_), _) => format!("{name} is not running: it has crashed"),
        };
        let _ = answer.send(Err(ControlError::Conflict(refusal)));
    }

    /// Starts an instance that does not run, there. Returns where it listens.
    async fn start(
        &mut self,
        name: InstanceName,
        address: SocketAddr,
    ) -> Result<SocketAddr, ControlError> {
        let failed = |why: String| ControlError::Failed(format!("{name} cannot be started: {why}"));
        let listener = listen(address).await.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => {
                failed(format!("{address} was taken meanwhile by something else"))
            }
            _ => failed(format!("cannot listen on {address}: {error}")),
        })?;
        let application = self
            .blueprint
            .build(name, listener)
            .map_err(|error| failed(error.to_string()))?;
        let address = application.address();
        self.run(name, application);
        Ok(address)
    }

    fn show(&self) {
        self.board.show(self.entries.iter().map(|(name, entry)| {
            let state = match entry.phase {
                Phase::Running { .. } => InstanceState::Running,
                Phase::Ending { .. } => InstanceState::Stopping,
                Phase::Down(state) => state,
            };
            (*name, entry.address, state)
        }));
    }
}

/// Runs until told to stop. A panic is a failure like others, and names the service.
async fn run(application: Application, stop: CancellationToken) -> Result<(), ApplicationError> {
    let service = application.name();
    let running = AssertUnwindSafe(application.run_until_stopped(stop)).catch_unwind();
    running.await.unwrap_or(Err(ApplicationError::Panicked {
        service,
        task: "the application",
    }))
}

/// Tells a running instance to end, and says what it is then.
fn end(task: &AbortHandle, stop: &CancellationToken, what: InstanceAction) -> Then {
    match what {
        InstanceAction::Crash => {
            task.abort();
            Then::Is(InstanceState::Crashed)
        }
        InstanceAction::Remove => {
            stop.cancel();
            Then::Removed
        }
        InstanceAction::Stop | InstanceAction::Start => {
            stop.cancel();
            Then::Is(InstanceState::Stopped)
        }
    }
}

/// Listens there; waits a moment where the one that was there before is not quite gone.
async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let until = Instant::now() + CLOSING;
    loop {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                tokio::time::sleep(LOOK).await;
            }
            bound => return bound,
        }
    }
}
