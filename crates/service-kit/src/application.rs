//! The life of a service: main and tests start the same object, and own its listener and its stop.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::http::{AllowedHosts, Routes, serve};

/// Any error of a task.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long a service may take to stop, unless told otherwise.
const GRACE: Duration = Duration::from_secs(4);

/// A service that is ready to run: its HTTP and its tasks.
pub struct Application {
    name: &'static str,
    listener: TcpListener,
    address: SocketAddr,
    routes: Routes,
    hosts: AllowedHosts,
    tasks: Vec<(&'static str, Task)>,
    ends: Vec<End>,
    grace: Duration,
}

type End = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;
type Task = Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, Result<(), BoxError>> + Send>;

/// Why a service ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum ApplicationError {
    /// A task failed.
    #[error("{service}: {task} failed: {source}")]
    Failed {
        /// The service.
        service: &'static str,
        /// The task.
        task: &'static str,
        /// Why.
        source: BoxError,
    },
    /// A task panicked.
    #[error("{service}: {task} panicked")]
    Panicked {
        /// The service.
        service: &'static str,
        /// The task.
        task: &'static str,
    },
}

impl Application {
    /// A service with these routes on this listener. Errors: the listener has no address.
    pub fn build(
        name: &'static str,
        listener: TcpListener,
        routes: Routes,
    ) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        Ok(Self {
            name,
            listener,
            address,
            routes,
            hosts: AllowedHosts::default(),
            tasks: Vec::new(),
            ends: Vec::new(),
            grace: GRACE,
        })
    }

    /// And with this task, which is to end soon after the token that it gets is cancelled. If it fails,
    /// the service ends with its error; if it ends well before that, the service goes on.
    #[must_use]
    pub fn with_task<F>(
        mut self,
        name: &'static str,
        task: impl FnOnce(CancellationToken) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.tasks
            .push((name, Box::new(move |stop| task(stop).boxed())));
        self
    }

    /// And with this at the end, when every task has ended: here what they share is closed. It is cut when the grace is
    /// over, as they are.
    #[must_use]
    pub fn with_end<F>(mut self, end: impl FnOnce() -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.ends.push(Box::new(move || end().boxed()));
        self
    }

    /// And may take so long to stop. Default 4 s.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// And answers to these names, beside localhost, addresses and names without a dot. Default: to no others.
    #[must_use]
    pub fn with_allowed_hosts(mut self, hosts: AllowedHosts) -> Self {
        self.hosts = hosts;
        self
    }

    /// The service's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Runs until `stop` is cancelled or a task fails; then stops everything within the grace, and cuts
    /// what has not ended by then.
    pub async fn run_until_stopped(self, stop: CancellationToken) -> Result<(), ApplicationError> {
        let Self {
            name: service,
            listener,
            address,
            routes,
            hosts,
            tasks,
            ends,
            grace,
        } = self;
        let stop = stop.child_token();
        let mut running = Running {
            service,
            set: JoinSet::new(),
            names: Vec::new(),
        };
        let (http_stop, http_grace) = (stop.clone(), grace);
        running.spawn("http", async move {
            let served = serve(listener, routes, hosts, http_stop, http_grace).await;
            if served.cut > 0 {
                tracing::warn!(service, connections = served.cut, "connections were cut");
            }
            Ok(())
        });
        for (name, task) in tasks {
            running.spawn(name, task(stop.clone()));
        }
        tracing::info!(service, %address, "service is up");

        let failed = tokio::select! {
            () = stop.cancelled() => None,
            failed = running.first_failure() => failed,
        };
        stop.cancel();
        // A little more than the connections have, so that they are cut by their own server.
        let deadline = Instant::now() + grace + Duration::from_millis(200);
        let late = running.drain(deadline).await;
        for end in ends {
            if tokio::time::timeout_at(deadline, end()).await.is_err() {
                tracing::warn!(service, "what the tasks shared was not closed in time");
            }
        }
        tracing::info!(service, "service has stopped");
        failed.or(late).map_or(Ok(()), Err)
    }
}

struct Running {
    service: &'static str,
    set: JoinSet<Result<(), BoxError>>,
    names: Vec<(Id, &'static str)>,
}

impl Running {
    fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), BoxError>> + Send + 'static,
    ) {
        self.names.push((self.set.spawn(task).id(), name));
    }

    /// Waits for a task to fail; none once all have ended well.
    async fn first_failure(&mut self) -> Option<ApplicationError> {
        while let Some(ended) = self.set.join_next_with_id().await {
            let (id, outcome) = match ended {
                Ok((id, Ok(()))) => (id, None),
                Ok((id, Err(source))) => (id, Some(Ok(source))),
                Err(error) => (error.id(), Some(Err(error.is_panic()))),
            };
            let task = self
                .names
                .iter()
                .find(|(known, _)| *known == id)
                .map_or("a task", |(_, name)| name);
            let service = self.service;
            match outcome {
                Some(Ok(source)) => {
                    return Some(ApplicationError::Failed {
                        service,
                        task,
                        source,
                    });
                }
                Some(Err(true)) => return Some(ApplicationError::Panicked { service, task }),
                // Ended well, or cut by us.
                Some(Err(false)) | None => {}
            }
        }
        None
    }

    /// Waits for all tasks, cuts those that take longer; the first failure among them.
    async fn drain(&mut self, deadline: Instant) -> Option<ApplicationError> {
        let all = async {
            let mut first = None;
            while !self.set.is_empty() {
                let failed = self.first_failure().await;
                first = first.or(failed);
            }
            first
        };
        match tokio::time::timeout_at(deadline, all).await {
            Ok(first) => first,
            Err(_) => {
                tracing::warn!(
                    service = self.service,
                    tasks = self.set.len(),
                    "tasks were cut"
                );
                self.set.shutdown().await;
                None
            }
        }
    }
}

/// A token that is cancelled by Ctrl-C and, on Unix, by SIGTERM. Errors: signals cannot be caught.
pub fn stop_on_signal() -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    #[cfg(unix)]
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::spawn(async move {
        #[cfg(unix)]
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
        cancelled.cancel();
    });
    Ok(stop)
}
