//! GET /health.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Map, Value};
use warp::Filter;
use warp::http::StatusCode;
use warp::reply::Response;

use super::{Routes, get, json};
use crate::store::StoreError;

/// How long a check may take: a little more than the 2 s for which a store's server is looked for, since the store then
/// knows better why it was not found.
const PATIENCE: Duration = Duration::from_millis(2500);
/// The same for a check that does not decide: a probe gets its 200 soon, whatever is away that is not needed.
const SHORT_PATIENCE: Duration = Duration::from_millis(500);

type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<Value, Failure>> + Send + Sync>;

/// Why a check failed. Its text goes to the log in full.
pub trait CheckError: Display {
    /// What whoever asks for the health is told: short, and in an operator's words.
    fn brief(&self) -> String {
        self.to_string()
    }
}

impl CheckError for StoreError {
    fn brief(&self) -> String {
        Self::brief(self)
    }
}

impl CheckError for Infallible {}
impl CheckError for &str {}

struct Failure {
    brief: String,
    full: String,
}

impl Failure {
    fn of(error: &impl CheckError) -> Self {
        Self {
            brief: error.brief(),
            full: error.to_string(),
        }
    }

    fn plain(text: String) -> Self {
        Self {
            brief: text.clone(),
            full: text,
        }
    }
}

/// What a service says of itself: 200 with `"status":"up"`, or 503 with `"status":"down"` while a check
/// that is needed fails; and each check with its own status and what it has to tell. When a check fails, fails for another
/// reason, or is well again, that is logged once, however often it is asked.
#[derive(Clone)]
pub struct Health {
    service: &'static str,
    checks: Vec<(&'static str, bool, Check)>,
    /// The checks that failed last time, and why.
    failing: Arc<Mutex<BTreeMap<&'static str, String>>>,
}

#[derive(Serialize)]
struct Report {
    service: &'static str,
    status: &'static str,
    checks: Map<String, Value>,
}

impl Health {
    /// A service without checks: up.
    pub fn new(service: &'static str) -> Self {
        Self {
            service,
            checks: Vec::new(),
            failing: Arc::default(),
        }
    }

    /// A check without which the service cannot do its work. Its `Ok` is told as `detail`.
    #[must_use]
    pub fn needs<F, T, E>(
        self,
        name: &'static str,
        check: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Serialize,
        E: CheckError,
    {
        self.with(name, true, check)
    }

    /// A check that is told but does not take the service down.
    #[must_use]
    pub fn tells<F, T, E>(
        self,
        name: &'static str,
        check: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Serialize,
        E: CheckError,
    {
        self.with(name, false, check)
    }

    fn with<F, T, E>(
        mut self,
        name: &'static str,
        needed: bool,
        check: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Serialize,
        E: CheckError,
    {
        let check: Check = Arc::new(move || {
            let checked = check();
            async move {
                let told = checked.await.map_err(|error| Failure::of(&error))?;
                serde_json::to_value(told).map_err(|error| Failure::plain(error.to_string()))
            }
            .boxed()
        });
        self.checks.push((name, needed, check));
        self
    }

    /// GET /health. It takes any query parameters, for probes that add one to be sure of a fresh answer.
    pub fn route(self) -> Routes {
        warp::path!("health")
            .and(get())
            .then(move || {
                let health = self.clone();
                async move { health.reply().await }
            })
            .boxed()
    }

    fn log_change(&self, check: &'static str, failure: Option<&Failure>) {
        let service = self.service;
        let mut failing = self.failing.lock();
        match failure {
            Some(failure) => {
                let before = failing.insert(check, failure.brief.clone());
                if before.as_ref() != Some(&failure.brief) {
                    tracing::warn!(
                        service,
                        check,
                        error = failure.full,
                        "a check of the service fails"
                    );
                }
            }
            None => {
                if failing.remove(check).is_some() {
                    tracing::info!(service, check, "a check of the service is well again");
                }
            }
        }
    }

    async fn reply(&self) -> Response {
        let run = self.checks.iter().map(|(name, needed, check)| async move {
            let patience = if *needed { PATIENCE } else { SHORT_PATIENCE };
            let late = |_| {
                let text = format!("no answer within {} s", patience.as_secs_f32());
                Err(Failure::plain(text))
            };
            (
                *name,
                *needed,
                tokio::time::timeout(patience, check())
                    .await
                    .unwrap_or_else(late),
            )
        });
        let mut down = false;
        let mut checks = Map::new();
        for (name, needed, outcome) in join_all(run).await {
            down |= needed && outcome.is_err();
            self.log_change(name, outcome.as_ref().err());
            checks.insert(name.to_owned(), told(outcome));
        }
        let (code, status) = if down {
            (StatusCode::SERVICE_UNAVAILABLE, "down")
        } else {
            (StatusCode::OK, "up")
        };
        json(
            code,
            &Report {
                service: self.service,
                status,
                checks,
            },
        )
    }
}

fn told(outcome: Result<Value, Failure>) -> Value {
    match outcome {
        Ok(Value::Null) => serde_json::json!({ "status": "up" }),
        Ok(detail) => serde_json::json!({ "status": "up", "detail": detail }),
        Err(failure) => serde_json::json!({ "status": "down", "detail": failure.brief }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::telemetry::Captured;

    /// What the driver says is different each time.
    struct Broken(usize);

    impl Display for Broken {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "Kind: I/O, Topology: {}", self.0)
        }
    }

    impl CheckError for Broken {
        fn brief(&self) -> String {
            "away".to_owned()
        }
    }

    #[tokio::test]
    async fn a_failure_is_told_in_brief_and_logged_in_full_once() {
        let (log, _capturing) = Captured::start();
        let asked = AtomicUsize::new(0);
        let health = Health::new("test").needs("store", move || {
            let asked = asked.fetch_add(1, Ordering::Relaxed);
            async move {
                if asked == 3 {
                    Ok(())
                } else {
                    Err(Broken(asked))
                }
            }
        });
        for code in [503, 503, 503, 200, 503] {
            assert_eq!(health.reply().await.status().as_u16(), code);
        }
        let lines = log.lines();
        let of = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
        assert_eq!(
            (lines.len(), of("Topology"), of("well again")),
            (3, 2, 1),
            "{lines:?}"
        );
        assert_eq!(
            told(Err(Failure::of(&Broken(0)))),
            serde_json::json!({ "status": "down", "detail": "away" })
        );
    }
}
