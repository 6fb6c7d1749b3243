//! Code of the user's that sees every record on its way out, and how it ended.

use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::delivery::{Delivery, RecordMetadata};
use super::error::ProduceError;
use super::record::TopicRecord;
use super::send::send_as_it_is;
use super::shared::Shared;
use super::topic::Topic;

/// Sees every record before it is encoded, may add headers to it, and is told how it ended: what tracing needs to carry its
/// context along and to end its spans.
///
/// Its calls are made in the sending task and in the producer's own tasks, so they must be short and must not block. A panic
/// is logged and goes no further. Several interceptors are one that calls them.
///
/// ```
/// use kafka_client::trace::TracePropagation;
/// use kafka_client::{AddedHeaders, ProducerInterceptor, TopicRecord};
///
/// /// Says who sent a record, beside the trace that it belongs to.
/// #[derive(Debug)]
/// struct Origin {
///     service: &'static str,
///     trace: TracePropagation,
/// }
///
/// impl ProducerInterceptor for Origin {
///     fn on_send(&self, topic: &str, record: &TopicRecord<'_>, headers: &mut AddedHeaders) -> u64 {
///         headers.push("service", self.service.as_bytes());
///         self.trace.on_send(topic, record, headers)
///     }
/// }
/// ```
pub trait ProducerInterceptor: fmt::Debug + Send + Sync {
    /// A record is about to be sent. Headers that are added come behind its own. What is returned is handed back with the
    /// record's outcome; its meaning is the interceptor's own.
    fn on_send(&self, topic: &str, record: &TopicRecord<'_>, headers: &mut AddedHeaders) -> u64;

    /// The record for which [`on_send`](Self::on_send) returned this token was acknowledged, or has failed. Called once for
    /// each record, also for one that was never accepted.
    fn on_acknowledgement(&self, token: u64, result: Result<&RecordMetadata, &ProduceError>) {
        let _ = (token, result);
    }
}

/// The headers that an interceptor adds to one record.
#[derive(Debug, Default)]
pub struct AddedHeaders {
    headers: Vec<(Cow<'static, str>, Option<Vec<u8>>)>,
}

impl AddedHeaders {
    /// Adds a header. Names may repeat.
    pub fn push(&mut self, key: impl Into<Cow<'static, str>>, value: &[u8]) {
        self.headers.push((key.into(), Some(value.to_vec())));
    }
}

/// A record on its way of which an interceptor is to be told.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) interceptor: Arc<dyn ProducerInterceptor>,
    pub(crate) token: u64,
    /// The record's place in its batch.
    pub(crate) index: u32,
    pub(crate) timestamp: i64,
}

impl Watched {
    pub(crate) fn tell(&self, result: Result<&RecordMetadata, &ProduceError>) {
        tell(&*self.interceptor, self.token, result);
    }
}

fn tell(
    interceptor: &dyn ProducerInterceptor,
    token: u64,
    result: Result<&RecordMetadata, &ProduceError>,
) {
    let told = catch_unwind(AssertUnwindSafe(|| {
        interceptor.on_acknowledgement(token, result);
    }));
    if told.is_err() {
        tracing::error!("a producer's interceptor panicked at an acknowledgement");
    }
}

/// Sends a record past the interceptor.
pub(super) async fn send_intercepted(
    interceptor: &Arc<dyn ProducerInterceptor>,
    shared: &Shared,
    topic: &Topic,
    record: &TopicRecord<'_>,
) -> Result<Delivery, ProduceError> {
    let mut added = AddedHeaders::default();
    let seen = catch_unwind(AssertUnwindSafe(|| {
        interceptor.on_send(&topic.name, record, &mut added)
    }));
    let Ok(token) = seen else {
        tracing::error!(topic = %topic.name, "a producer's interceptor panicked at a record; it is sent as it is");
        return send_as_it_is(shared, topic, record).await;
    };
    let mut unsent = Unsent {
        interceptor,
        topic,
        token: Some(token),
    };
    let added = added.headers.iter();
    let added = added.map(|(key, value)| (&**key, value.as_deref()));
    let headers: Vec<_> = record.headers.iter().copied().chain(added).collect();
    let record = TopicRecord {
        headers: &headers,
        ..*record
    };
    let sent = send_as_it_is(shared, topic, &record).await;
    unsent.token = None;
    match &sent {
        Ok(delivery) => delivery.watch(Arc::clone(interceptor), token),
        Err(error) => tell(&**interceptor, token, Err(error)),
    }
    sent
}

/// Tells the interceptor when the sending is dropped before it ends.
struct Unsent<'a> {
    interceptor: &'a Arc<dyn ProducerInterceptor>,
    topic: &'a Topic,
    token: Option<u64>,
}

impl Drop for Unsent<'_> {
    fn drop(&mut self) {
        if let Some(token) = self.token {
            let topic = Arc::clone(&self.topic.name);
            let error = ProduceError::Cancelled { topic };
            tell(&**self.interceptor, token, Err(&error));
        }
    }
}
