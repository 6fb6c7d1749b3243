//! From a topic to the reaction that handles its events.

use std::collections::HashMap;
use std::sync::Arc;

use contracts::Event;
use futures_util::future::BoxFuture;
use kafka_client::PartitionConsumer;

use super::Shared;
use super::error::WorkerError;
use super::partition;
use crate::reaction::Reaction;

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
    /// Works on a partition of the reaction's topic, until it is taken away.
    fn work<'a>(
        &'a self,
        partition: PartitionConsumer,
        shared: &'a Shared,
    ) -> BoxFuture<'a, Result<(), WorkerError>>;
}

struct Typed<R>(R);

impl<R: Reaction> Route for Typed<R> {
    fn work<'a>(
        &'a self,
        partition: PartitionConsumer,
        shared: &'a Shared,
    ) -> BoxFuture<'a, Result<(), WorkerError>> {
        Box::pin(partition::work(partition, &self.0, shared))
    }
}
