//! A batch on its way: handle → publish → settle, each step done again until it succeeds.
//!
//! What does not know the type of the event is handed out in a box: it is compiled here then, and not once more for each reaction
//! with all of the Kafka client behind it.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use contracts::{DecodeError, Envelope, Message};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use kafka_client::{ProduceError, Records, TopicPartition};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::error::WorkerError;
use crate::dead_letters::{DeadLetterError, Refusal};
use crate::metric::{self, Outcome};
use crate::publish::publish;
use crate::reaction::{Reaction, ReactionError};

/// How often a batch is tried whose failure may pass, for about a second and a half. Its events are then tried one by one, each as
/// often again, since one of them is to blame; unless there is only one. What has not passed by then is for somebody to look
/// at, while the events behind it go on. A dead letter tells of the tries of its event alone.
const ATTEMPTS: u32 = 6;
/// The first and the longest wait before a step is tried again.
pub(super) const BACKOFF: (Duration, Duration) =
    (Duration::from_millis(50), Duration::from_secs(1));

/// Why what is under way is not done to its end.
pub(super) enum Interruption {
    /// The partition is not ours any more: nothing of what is under way may be committed.
    TakenAway,
    GaveUp(WorkerError),
}

/// Why a batch, or one event of it, will not be handled however often it is tried.
#[derive(Debug, thiserror::Error)]
enum Unhandled {
    #[error(transparent)]
    Reaction(#[from] ReactionError),
    #[error("the events that tell of it cannot be published: {0}")]
    Publish(#[from] ProduceError),
}

/// The partition that a batch is of.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// The group, which is the service's name.
    pub(super) group: Arc<str>,
    pub(super) partition: TopicPartition,
    /// Cancelled once the partition is taken away: then nothing is tried again, for its next owner does that.
    pub(super) taken_away: CancellationToken,
}

/// Where a record is: in what was polled, and there at this place.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) records: Arc<Records>,
    pub(super) at: usize,
    pub(super) offset: i64,
}

/// What was polled: an event, or why it is none.
#[derive(Debug)]
pub(super) struct Polled<E> {
    pub(super) place: Place,
    pub(super) event: Result<Envelope<E>, DecodeError>,
}

/// Handles these and publishes what tells of them, or puts them aside.
pub(super) async fn handle<R: Reaction>(
    reaction: &R,
    polled: Vec<Polled<R::Event>>,
    origin: &Origin,
    shared: &Shared,
) -> Result<(), Interruption> {
    let mut events = Vec::with_capacity(polled.len());
    let mut places = Vec::with_capacity(polled.len());
    let mut poison = Vec::new();
    for Polled { place, event } in polled {
        match event {
            Ok(event) => {
                events.push(event);
                places.push(place);
            }
            Err(error) => poison.push((place, error)),
        }
    }
    if !events.is_empty() {
        handle_events(reaction, &events, &places, origin, shared).await?;
    }
    // Behind the events, which need not wait for a topic of dead letters that cannot be written.
    for (place, error) in poison {
        let refusal = Refusal {
            reason: error.to_string(),
            attempts: 0,
        };
        put_aside(&place, &refusal, origin, shared).await?;
    }
    Ok(())
}

async fn handle_events<R: Reaction>(
    reaction: &R,
    events: &[Envelope<R::Event>],
    places: &[Place],
    origin: &Origin,
    shared: &Shared,
) -> Result<(), Interruption> {
    let mut handled = events.len() as u64;
    if let Err(refusal) = react_and_publish(reaction, events, origin, shared).await? {
        if let [only] = places {
            handled = 0;
            put_aside(only, &refusal, origin, shared).await?;
        } else {
            // One of the events is to blame. Taken one by one it shows, and the others go on.
            tracing::warn!(error = refusal.reason, partition = %origin.partition, "cannot handle a batch, handling its events one by one");
            for (event, place) in events.chunks(1).zip(places) {
                if let Err(refusal) = react_and_publish(reaction, event, origin, shared).await? {
                    handled -= 1;
                    put_aside(place, &refusal, origin, shared).await?;
                }
            }
        }
    }
    let settle = || reaction.settle(events);
    if let Err(error) = origin.retry("settle", settle, |e| e.is_retriable()).await? {
        // The events are out and the decision holds; what is left behind is cleared by the service's own sweep.
        tracing::error!(%error, partition = %origin.partition, "cannot settle a batch");
    }
    origin.count(Outcome::Handled, handled);
    Ok(())
}

/// Handles the events and publishes what tells of them.
async fn react_and_publish<R: Reaction>(
    reaction: &R,
    events: &[Envelope<R::Event>],
    origin: &Origin,
    shared: &Shared,
) -> Result<Result<(), Refusal>, Interruption> {
    let attempts = AtomicU32::new(0);
    let react = || {
        attempts.fetch_add(1, Ordering::Relaxed);
        reaction.react(events)
    };
    let refused = |error: Unhandled| Refusal {
        reason: error.to_string(),
        attempts: attempts.load(Ordering::Relaxed),
    };
    let again = |e: &ReactionError| {
        e.is_unavailable() || (e.is_retriable() && attempts.load(Ordering::Relaxed) < ATTEMPTS)
    };
    let messages = match origin.retry("handle", react, again).await? {
        Ok(messages) => messages,
        Err(error) => return Ok(Err(refused(error.into()))),
    };
    let published = published(&messages, origin, shared).await?;
    Ok(published.map_err(|error| refused(error.into())))
}

/// Publishes these, or says what is wrong with one of them.
fn published<'a>(
    messages: &'a [Message],
    origin: &'a Origin,
    shared: &'a Shared,
) -> BoxFuture<'a, Result<Result<(), ProduceError>, Interruption>> {
    async move {
        let publish = || publish(&shared.producer, messages);
        // What is of neither is of the topic or of the moment: a missing permission may be given.
        let retriable = |e: &ProduceError| !e.is_of_record() && !e.is_of_producer();
        match origin.retry("publish", publish, retriable).await? {
            Err(error) if error.is_of_producer() => Err(Interruption::GaveUp(error.into())),
            published => Ok(published),
        }
    }
    .boxed()
}

fn put_aside<'a>(
    place: &'a Place,
    refusal: &'a Refusal,
    origin: &'a Origin,
    shared: &'a Shared,
) -> BoxFuture<'a, Result<(), Interruption>> {
    put(place, refusal, origin, shared).boxed()
}

async fn put(
    place: &Place,
    refusal: &Refusal,
    origin: &Origin,
    shared: &Shared,
) -> Result<(), Interruption> {
    let Some(record) = place.records.iter().nth(place.at) else {
        return Ok(());
    };
    let TopicPartition { topic, partition } = &origin.partition;
    let put = || shared.dead_letters.put(topic, *partition, record, refusal);
    let retriable = |e: &DeadLetterError| !e.is_of_producer();
    origin
        .retry("put a dead letter aside", put, retriable)
        .await?
        .map_err(|error| Interruption::GaveUp(error.into()))?;
    origin.count(Outcome::DeadLetter, 1);
    Ok(())
}

impl Origin {
    fn count(&self, outcome: Outcome, events: u64) {
        let topic = Arc::clone(&self.partition.topic);
        metric::events(Arc::clone(&self.group), topic, outcome, events);
    }

    /// Notes how long a batch took that was begun then.
    pub(super) fn took(&self, begun: Instant) {
        let topic = Arc::clone(&self.partition.topic);
        metric::batch(Arc::clone(&self.group), topic, begun.elapsed());
    }

    /// Tries a step until it succeeds or fails for good. A partition that is revoked gets no further attempt: its next owner
    /// does the step.
    pub(super) async fn retry<T, E, F>(
        &self,
        what: &'static str,
        mut step: impl FnMut() -> F,
        retriable: impl Fn(&E) -> bool,
    ) -> Result<Result<T, E>, Interruption>
    where
        E: Display,
        F: Future<Output = Result<T, E>>,
    {
        let mut backoff = BACKOFF.0;
        loop {
            match step().await {
                Err(error) if retriable(&error) => {
                    tracing::warn!(%error, partition = %self.partition, "cannot {what}, trying again");
                    metric::retry(Arc::clone(&self.group), what);
                    self.wait(backoff).await?;
                    backoff = (backoff * 2).min(BACKOFF.1);
                }
                done => return Ok(done),
            }
        }
    }

    /// Waits, or finds that the partition is taken away.
    async fn wait(&self, time: Duration) -> Result<(), Interruption> {
        tokio::select! {
            () = tokio::time::sleep(time) => Ok(()),
            () = self.taken_away.cancelled() => Err(Interruption::TakenAway),
        }
    }
}
