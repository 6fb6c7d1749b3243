//! GET /health.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use serde::Serialize;
use serde_json::{Map, Value};
use warp::http::StatusCode;
use warp::reply::Response;
use warp::{Filter, Rejection};

use super::json;

/// How long a check may take.
const PATIENCE: Duration = Duration::from_secs(2);

type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<Value, String>> + Send + Sync>;

/// What a service says of itself: 200 with `"status":"up"`, or 503 with `"status":"down"` while a check
/// that is needed fails; and each check with its own status and what it has to tell.
#[derive(Clone)]
pub struct Health {
    service: &'static str,
    checks: Vec<(&'static str, bool, Check)>,
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
        E: Display,
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
        E: Display,
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
        E: Display,
    {
        let check: Check = Arc::new(move || {
            let checked = check();
            async move {
                let told = checked.await.map_err(|error| error.to_string())?;
                serde_json::to_value(told).map_err(|error| error.to_string())
            }
            .boxed()
        });
        self.checks.push((name, needed, check));
        self
    }

    /// GET /health.
    pub fn route(self) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone {
        warp::path!("health").and(warp::get()).then(move || {
            let health = self.clone();
            async move { health.reply().await }
        })
    }

    async fn reply(&self) -> Response {
        let run = self.checks.iter().map(|(name, needed, check)| async move {
            let late = |_| Err(format!("no answer within {} s", PATIENCE.as_secs()));
            (
                *name,
                *needed,
                tokio::time::timeout(PATIENCE, check())
                    .await
                    .unwrap_or_else(late),
            )
        });
        let mut down = false;
        let mut checks = Map::new();
        for (name, needed, outcome) in join_all(run).await {
            down |= needed && outcome.is_err();
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

fn told(outcome: Result<Value, String>) -> Value {
    match outcome {
        Ok(Value::Null) => serde_json::json!({ "status": "up" }),
        Ok(detail) => serde_json::json!({ "status": "up", "detail": detail }),
        Err(error) => serde_json::json!({ "status": "down", "detail": error }),
    }
}
