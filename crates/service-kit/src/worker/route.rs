//! From a topic's records to the reaction that handles them.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use contracts::{DecodeError, Envelope, Event, Message};
use kafka_client::{RecordView, Records};

use crate::reaction::{Reaction, ReactionError};

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a service reacts to: a reaction for each topic.
#[derive(Default)]
pub struct Reactions {
    routes: HashMap<&'static str, Arc<dyn Route>>,
}

impl Reactions {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// And this one, for the topic of its event.
    #[must_use]
    pub fn on<R: Reaction>(mut self, reaction: R) -> Self {
        self.routes
            .insert(R::Event::TOPIC, Arc::new(Typed(reaction)));
        self
    }

    /// The topics that are reacted to, sorted.
    pub fn topics(&self) -> Vec<&'static str> {
        let mut topics: Vec<_> = self.routes.keys().copied().collect();
        topics.sort_unstable();
        topics
    }

    pub(super) fn route(&self, topic: &str) -> Option<Arc<dyn Route>> {
        self.routes.get(topic).cloned()
    }
}

impl std::fmt::Debug for Reactions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reactions")
            .field("topics", &self.topics())
            .finish()
    }
}

/// A reaction without its type.
pub(super) trait Route: Send + Sync {
    fn decode(&self, records: &Records) -> Box<dyn Batch + '_>;
}

/// A decoded batch and the reaction to it.
pub(super) trait Batch: Send + Sync {
    /// Records that are not the events that they should be: their place in the batch, and why.
    fn poison(&self) -> &[(usize, DecodeError)];
    /// How many events there are.
    fn len(&self) -> usize;
    /// Whether there is anything to do for one of the events.
    fn is_work(&self) -> bool;
    /// Handles all events, or the one at `only`.
    fn react(&self, only: Option<usize>) -> BoxFuture<'_, Result<Vec<Message>, ReactionError>>;
    fn settle(&self) -> BoxFuture<'_, Result<(), ReactionError>>;
    /// The place in the batch of records of the event at `index`.
    fn record(&self, index: usize) -> usize;
}

struct Typed<R>(R);

struct TypedBatch<'a, R: Reaction> {
    reaction: &'a R,
    events: Vec<Envelope<R::Event>>,
    places: Vec<usize>,
    poison: Vec<(usize, DecodeError)>,
}

impl<R: Reaction> Route for Typed<R> {
    fn decode(&self, records: &Records) -> Box<dyn Batch + '_> {
        let mut batch = TypedBatch {
            reaction: &self.0,
            events: Vec::with_capacity(records.len()),
            places: Vec::with_capacity(records.len()),
            poison: Vec::new(),
        };
        for (place, record) in records.iter().enumerate() {
            match decode(record) {
                Ok(event) => {
                    batch.events.push(event);
                    batch.places.push(place);
                }
                Err(error) => batch.poison.push((place, error)),
            }
        }
        Box::new(batch)
    }
}

fn decode<E: Event>(record: RecordView<'_>) -> Result<Envelope<E>, DecodeError> {
    let headers = record
        .headers
        .filter_map(|header| Some((header.key, header.value?)));
    Envelope::decode(headers, record.value.unwrap_or_default())
}

impl<R: Reaction> Batch for TypedBatch<'_, R> {
    fn poison(&self) -> &[(usize, DecodeError)] {
        &self.poison
    }

    fn len(&self) -> usize {
        self.events.len()
    }

    fn is_work(&self) -> bool {
        self.events.iter().any(|event| R::is_work(&event.data))
    }

    fn react(&self, only: Option<usize>) -> BoxFuture<'_, Result<Vec<Message>, ReactionError>> {
        let events = match only {
            None => &self.events[..],
            Some(index) => self.events.get(index..=index).unwrap_or_default(),
        };
        Box::pin(async move {
            if events.is_empty() {
                Ok(Vec::new())
            } else {
                self.reaction.react(events).await
            }
        })
    }

    fn settle(&self) -> BoxFuture<'_, Result<(), ReactionError>> {
        Box::pin(async {
            if self.events.is_empty() {
                Ok(())
            } else {
                self.reaction.settle(&self.events).await
            }
        })
    }

    fn record(&self, index: usize) -> usize {
        self.places.get(index).copied().unwrap_or_default()
    }
}
