//! What is measured, through the [`metrics`] facade, and GET /metrics, which tells it in Prometheus' text format.
//!
//! A recorder belongs to a process, and so does what it tells: where several services share a process, each port shows all
//! of them. What a service measures therefore has the label `service`. Beside these there is [what the Kafka client
//! measures](kafka_client::metric).
//!
//! | name | kind | labels | what |
//! |---|---|---|---|
//! | [`HTTP_REQUESTS`] | counter | `service`, `method`, `route`, `status` | requests answered; `route` is the path's template, or `other` |
//! | [`HTTP_DURATION`] | histogram, seconds | `service`, `method`, `route` | from a request's head to its answer's |
//! | [`EVENTS`] | counter | `service`, `topic`, `outcome` | events done with; `outcome` is `handled` or `dead_letter` |
//! | [`BATCH_DURATION`] | histogram, seconds | `service`, `topic` | a batch, from when it is begun until what tells of it is published and settled |
//! | [`RETRIES`] | counter | `service`, `step` | attempts that failed and are made again |
//! | [`OUTBOX_BACKLOG`] | gauge | `service` | documents that are not known to be published; each replica tells all of them |
//! | [`OUTBOX_OLDEST_AGE`] | gauge, seconds | `service` | for how long the first of them has been waiting; 0 if there is none |
//! | [`OUTBOX_PUBLISHED`] | counter | `service` | documents published from the outbox |
//! | [`OUTBOX_REDRIVEN`] | counter | `service` | those of them that were found in the store instead of in the queue |
//!
//! Histograms have buckets, so that those of several processes can be added up: [`SECONDS`] where the name ends with
//! `_seconds`, [`BYTES`] where it ends with `_bytes`, [`RECORDS`] where it ends with `_records`.

mod exposition;
#[cfg(test)]
mod tests;

use std::time::Duration;

use metrics::{
    SharedString, Unit, counter, describe_counter, describe_gauge, describe_histogram, histogram,
};

#[cfg(test)]
pub(crate) use exposition::recorder;
pub use exposition::{install, route, upkeep};

/// See the [table](self).
pub const HTTP_REQUESTS: &str = "http_requests_total";
/// See the [table](self).
pub const HTTP_DURATION: &str = "http_request_duration_seconds";
/// See the [table](self).
pub const EVENTS: &str = "orderflow_events_total";
/// See the [table](self).
pub const BATCH_DURATION: &str = "orderflow_batch_duration_seconds";
/// See the [table](self).
pub const RETRIES: &str = "orderflow_retries_total";
/// See the [table](self).
pub const OUTBOX_BACKLOG: &str = "orderflow_outbox_backlog";
/// See the [table](self).
pub const OUTBOX_OLDEST_AGE: &str = "orderflow_outbox_oldest_age_seconds";
/// See the [table](self).
pub const OUTBOX_PUBLISHED: &str = "orderflow_outbox_published_total";
/// See the [table](self).
pub const OUTBOX_REDRIVEN: &str = "orderflow_outbox_redriven_total";

/// The upper bounds of durations: from half a millisecond, where an embedded store or an idle broker answers, to the ten
/// seconds after which somebody has given up.
pub const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// The upper bounds of sizes: from a small event to the megabyte that Kafka takes in a batch.
pub const BYTES: [f64; 7] = [
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
];
/// The upper bounds of the records in a batch.
pub const RECORDS: [f64; 7] = [1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0];

/// How an event ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its work is done, and what it led to is published.
    Handled,
    /// It was put aside.
    DeadLetter,
}

impl Outcome {
    fn label(self) -> &'static str {
        match self {
            Self::Handled => "handled",
            Self::DeadLetter => "dead_letter",
        }
    }
}

/// Counts events of a topic that a service is done with.
pub fn events(
    service: impl Into<SharedString>,
    topic: impl Into<SharedString>,
    outcome: Outcome,
    count: u64,
) {
    let (service, topic): (SharedString, SharedString) = (service.into(), topic.into());
    counter!(EVENTS, "service" => service, "topic" => topic, "outcome" => outcome.label())
        .increment(count);
}

/// Notes how long a batch of a topic took.
pub fn batch(service: impl Into<SharedString>, topic: impl Into<SharedString>, duration: Duration) {
    let (service, topic): (SharedString, SharedString) = (service.into(), topic.into());
    histogram!(BATCH_DURATION, "service" => service, "topic" => topic).record(duration);
}

/// Counts an attempt of a step that failed and is made again. Each step has a name of its own, of which there are few.
pub fn retry(service: impl Into<SharedString>, step: &'static str) {
    let service: SharedString = service.into();
    counter!(RETRIES, "service" => service, "step" => step).increment(1);
}

/// Tells the recorder that is installed what each of these is.
fn describe() {
    describe_counter!(
        HTTP_REQUESTS,
        "HTTP requests answered, by the template of the path"
    );
    describe_histogram!(
        HTTP_DURATION,
        Unit::Seconds,
        "from the head of an HTTP request to that of its answer"
    );
    describe_counter!(EVENTS, "events that a service is done with");
    describe_histogram!(
        BATCH_DURATION,
        Unit::Seconds,
        "a batch of events, from when it is begun until what tells of it is published and settled"
    );
    describe_counter!(RETRIES, "attempts of a step that failed and are made again");
    describe_gauge!(
        OUTBOX_BACKLOG,
        "documents that are not known to be published"
    );
    describe_gauge!(
        OUTBOX_OLDEST_AGE,
        Unit::Seconds,
        "for how long the first unpublished document has been waiting"
    );
    describe_counter!(OUTBOX_PUBLISHED, "documents published from the outbox");
    describe_counter!(
        OUTBOX_REDRIVEN,
        "documents published that were found in the store instead of in the queue"
    );
}
