//! W3C Trace Context in records: the header `traceparent` says which trace a record belongs to, and which span is the parent of
//! what comes of it.
//!
//! By hand, a record takes along the span in which it is sent:
//!
//! ```no_run
//! use kafka_client::trace::{self, TRACEPARENT};
//! use kafka_client::{Producer, ProducerRecord, Records};
//!
//! # async fn example(producer: &Producer, records: &Records) -> Result<(), Box<dyn std::error::Error>> {
//! for record in records {
//!     // The trace of what was consumed goes on; where it came without one, another begins.
//!     let mine = match trace::parent_of(&record) {
//!         Some(parent) => trace::child_of(parent),
//!         None => trace::root(true),
//!     };
//!     let value = mine.to_string();
//!     let headers = [(TRACEPARENT, Some(value.as_bytes()))];
//!     let out = ProducerRecord::new("payment_processed").headers(&headers);
//!     producer.send(&out).await?.await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`TracePropagation`] does the same for every record of a producer. The spans themselves are made and exported by a library
//! for tracing; the ids go between it and a [`TraceParent`] as numbers.

use std::fmt;

use kafka_wire::batch::RecordView;
pub use trace_context::{TRACEPARENT, TraceParent, TraceParentError};

use crate::producer::{AddedHeaders, ProducerInterceptor, TopicRecord};

/// The first span of a new trace, both ids chosen at random.
pub fn root(sampled: bool) -> TraceParent {
    TraceParent::new(rand::random(), rand::random())
        .with_random(true)
        .with_sampled(sampled)
}

/// A span of the same trace, its id chosen at random.
pub fn child_of(parent: TraceParent) -> TraceParent {
    parent.child(rand::random())
}

/// What a consumed record says of its trace.
///
/// None, as the specification wants it, where the header [`TRACEPARENT`] is missing, null, not readable, or there more than once,
/// since nobody could say which one counts. Its name is looked for in lower case only: names of Kafka's headers are not folded.
pub fn parent_of(record: &RecordView<'_>) -> Option<TraceParent> {
    let mut found = record.headers.filter(|header| header.key == TRACEPARENT);
    let value = found.next()?.value?;
    match found.next() {
        None => TraceParent::from_bytes(value).ok(),
        Some(_) => None,
    }
}

/// An interceptor that adds the header [`TRACEPARENT`] to each record that has none yet.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use kafka_client::trace::{self, TraceParent, TracePropagation};
/// use kafka_client::{Client, ProducerConfig, ProducerRecord};
///
/// tokio::task_local! {
///     static CURRENT: TraceParent;
/// }
///
/// # async fn example(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
/// let current = || CURRENT.try_with(|span| *span).ok();
/// let mut config = ProducerConfig::default();
/// config.interceptor = Some(Arc::new(TracePropagation::new(current)));
/// let producer = client.producer(config);
/// let record = ProducerRecord::new("order_placed").value(b"{}");
/// CURRENT.scope(trace::root(true), producer.send(&record)).await?.await?;
/// # Ok(())
/// # }
/// ```
pub struct TracePropagation {
    current: Box<dyn Fn() -> Option<TraceParent> + Send + Sync>,
}

impl TracePropagation {
    /// `current` is called for each record, in the task that sends it, and says in which span that is: from a task-local
    /// value, or from a library for tracing. What it returns is written as it is; after none the record is sent as it is.
    pub fn new(current: impl Fn() -> Option<TraceParent> + Send + Sync + 'static) -> Self {
        Self {
            current: Box::new(current),
        }
    }
}

impl fmt::Debug for TracePropagation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracePropagation").finish_non_exhaustive()
    }
}

impl ProducerInterceptor for TracePropagation {
    /// The token is always 0.
    fn on_send(&self, _topic: &str, record: &TopicRecord<'_>, headers: &mut AddedHeaders) -> u64 {
        let has_one = record.headers.iter().any(|(key, _)| *key == TRACEPARENT);
        if !has_one && let Some(current) = (self.current)() {
            headers.push(TRACEPARENT, current.to_string().as_bytes());
        }
        0
    }
}
