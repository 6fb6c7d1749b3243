//! The recorder of the process, and GET /metrics.

use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use warp::http::HeaderValue;
use warp::http::header::CONTENT_TYPE;
use warp::reply::Response;
use warp::{Filter, Reply};

use super::{BYTES, RECORDS, SECONDS, describe};
use crate::http::{Problem, Routes, get};

/// The text format (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
const CONTENT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// How often histograms are drained: what was recorded since waits in memory, a number each.
const UPKEEP: Duration = Duration::from_secs(5);

/// The recorder of this process; none if it has another one, or none can be made.
static INSTALLED: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Installs the recorder of this process, the first time that it is called. Comes before the Kafka client is made, whose
/// counters keep the recorder that there is then. A process that has another recorder keeps it, and GET /metrics is a 404.
pub fn install() {
    INSTALLED.get_or_init(|| {
        let recorder = match recorder() {
            Ok(recorder) => recorder,
            Err(error) => {
                tracing::error!(%error, "nothing is measured");
                return None;
            }
        };
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::info!(
                "this process has a metrics recorder, so GET /metrics has nothing to tell"
            );
            return None;
        }
        kafka_client::metric::describe();
        describe();
        Some(handle)
    });
}

/// Drains the histograms once in a while until `stop`. Without it they would grow wherever nobody asks for them. That
/// several services of a process do so does no harm.
pub async fn upkeep(stop: CancellationToken) {
    let Some(handle) = installed() else {
        return;
    };
    let mut ticks = tokio::time::interval(UPKEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        handle.run_upkeep();
    }
}

/// GET /metrics. It takes any query parameters, as scrapers may be configured to send some.
pub fn route() -> Routes {
    warp::path!("metrics")
        .and(get())
        .map(|| reply(installed()))
        .boxed()
}

pub(super) fn reply(handle: Option<&PrometheusHandle>) -> Response {
    let Some(handle) = handle else {
        return Problem::not_found("this process tells its metrics elsewhere").into_response();
    };
    let mut response = Response::new(handle.render().into());
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT));
    response
}

/// A recorder whose histograms have the buckets that their names ask for.
pub(crate) fn recorder() -> Result<PrometheusRecorder, BuildError> {
    let suffix = |suffix: &str| Matcher::Suffix(suffix.to_owned());
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(suffix("_seconds"), &SECONDS)?
        .set_buckets_for_metric(suffix("_bytes"), &BYTES)?
        .set_buckets_for_metric(suffix("_records"), &RECORDS)?;
    Ok(builder.build_recorder())
}

fn installed() -> Option<&'static PrometheusHandle> {
    INSTALLED.get().and_then(Option::as_ref)
}
