//! The outbox: what starts from HTTP is published from its own document.
//!
//! The document is stored first, marked as unpublished, and that is what the caller is told. The relay publishes it and,
//! once Kafka has it, removes the mark. Kafka away, or a crash at any point in between, leaves the mark: the relay finds
//! it and publishes again, with the same event id. It looks at its start, after a failure, and once in a while: nobody may
//! have told it of a document, since whoever stored it never learnt that it did, or died before it could tell.

mod api;
mod backlog;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use contracts::{EncodeError, Message, Timestamp};
use kafka_client::{ProduceError, Producer};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

pub use api::{REDRIVE, route};
use backlog::Watch;
pub use backlog::{Backlog, Report};

use crate::clock::SharedClock;
use crate::metric;
use crate::publish::publish;
use crate::store::{Collection, Document, Filter, Listing, StoreError};

/// Documents that are published together.
const BATCH: usize = 500;
/// Documents that wait for the relay in memory. What does not fit is found in the store.
const QUEUE: usize = 10_000;
/// How often the store is searched, unless told otherwise.
const SEARCH: Duration = Duration::from_secs(5);
/// The first and the longest wait after a failure.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// How long a stopping relay may take for what it has begun.
const STOP: Duration = Duration::from_secs(2);

/// A document that says whether its event still has to be published.
pub trait OutboxDocument: Document {
    /// The indexed field that is true until it is published, and left out from then on.
    const UNPUBLISHED: &'static str;

    /// Its events that are not known to be published, the first one first. One that was published before may be among them, with the
    /// same id.
    ///
    /// # Errors
    ///
    /// [`EncodeError`].
    fn messages(&self) -> Result<Vec<Message>, EncodeError>;

    /// Since when it waits to be published: how far the outbox is behind is told from it.
    fn waiting_since(&self) -> Timestamp;

    /// Notes that what `published` had to say is published; false if that was known, or if there is more to say by now.
    fn mark_published(&mut self, published: &Self) -> bool;
}

/// Tells the relay of documents that were just stored.
#[derive(Debug)]
pub struct Outbox<T: OutboxDocument> {
    queue: mpsc::Sender<T>,
    /// Has the relay publish what the store holds.
    search_now: Arc<Notify>,
    watch: Arc<Watch<T>>,
}

impl<T: OutboxDocument> Clone for Outbox<T> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            search_now: Arc::clone(&self.search_now),
            watch: Arc::clone(&self.watch),
        }
    }
}

impl<T: OutboxDocument> Outbox<T> {
    /// Has a stored document published soon. Never waits: when the relay cannot keep up it finds the document itself.
    pub fn publish_soon(&self, document: T) {
        if self.queue.try_send(document).is_err() {
            self.search_now.notify_one();
        }
    }

    /// How far the relay is behind, as its last look found it; none before the first.
    pub fn report(&self) -> Option<Report> {
        self.watch.report()
    }

    /// Looks for what is unpublished, and has the relay publish it at once instead of after the next searches. What is on its
    /// way in that moment may go out twice, with the same event ids. Returns what was found.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn redrive(&self) -> Result<Backlog, StoreError> {
        let found = self.watch.look().await?;
        self.search_now.notify_one();
        Ok(found)
    }
}

/// Publishes what is stored and not published.
#[derive(Debug)]
pub struct Relay<T: OutboxDocument> {
    service: &'static str,
    collection: Collection<T>,
    producer: Producer,
    queue: mpsc::Receiver<T>,
    /// False once every outbox is gone.
    open: bool,
    search_now: Arc<Notify>,
    watch: Arc<Watch<T>>,
    search_interval: Duration,
    /// What was published last, and before that: at least the last [`BATCH`] documents.
    recent: [BTreeMap<T::Id, T>; 2],
    /// What the last search in between found.
    found: BTreeSet<T::Id>,
    /// Where the walk through the backlog goes on; none at its beginning.
    walked: Option<T::Id>,
}

#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Produce(#[from] ProduceError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

impl RelayError {
    /// Whether it is a document that cannot be published, and others can.
    fn is_of_document(&self) -> bool {
        match self {
            Self::Store(_) => false,
            Self::Produce(error) => error.is_of_record(),
            Self::Encode(_) => true,
        }
    }
}

impl<T: OutboxDocument> Relay<T> {
    /// A relay of this service's collection, and the outbox that tells it of new documents.
    pub fn new(
        service: &'static str,
        collection: Collection<T>,
        producer: Producer,
        clock: SharedClock,
    ) -> (Self, Outbox<T>) {
        let (sender, queue) = mpsc::channel(QUEUE);
        let search_now = Arc::new(Notify::new());
        let watch = Arc::new(Watch::new(service, collection.clone(), clock));
        let outbox = Outbox {
            queue: sender,
            search_now: Arc::clone(&search_now),
            watch: Arc::clone(&watch),
        };
        (
            Self {
                service,
                collection,
                producer,
                queue,
                open: true,
                search_now,
                watch,
                search_interval: SEARCH,
                recent: Default::default(),
                found: BTreeSet::new(),
                walked: None,
            },
            outbox,
        )
    }

    /// And searches the store so often for documents that it was not told of. What two searches in a row find is published,
    /// so such a document waits for between one and two of these times. Default 5 s, at least 1 ms.
    #[must_use]
    pub fn with_search_interval(mut self, interval: Duration) -> Self {
        self.search_interval = interval.max(Duration::from_millis(1));
        self
    }

    /// Publishes until `stop`, and first of all what an earlier run left behind.
    ///
    /// # Errors
    ///
    /// A [`ProduceError`] that is [the producer's](ProduceError::is_of_producer): nothing can be published with it any more.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), ProduceError> {
        let overdue = async {
            stop.cancelled().await;
            tokio::time::sleep(STOP).await;
        };
        // Beside the publishing, which may wait for Kafka for minutes: just then somebody wants to know.
        let watch = Arc::clone(&self.watch);
        let interval = self.search_interval;
        // What is under way is either finished in this time or found again by the next run.
        tokio::select! {
            ended = self.publish_until(&stop) => ended,
            () = overdue => Ok(()),
            never = watch.run(interval) => match never {},
        }
    }

    async fn publish_until(&mut self, stop: &CancellationToken) -> Result<(), ProduceError> {
        let first = Instant::now() + self.search_interval;
        let mut search = tokio::time::interval_at(first, self.search_interval);
        search.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut behind = true;
        let mut backoff = BACKOFF.0;
        while !stop.is_cancelled() {
            let step = if behind {
                self.publish_backlog().await
            } else {
                self.publish_next(&mut search, stop).await
            };
            match step {
                Ok(more) => {
                    if behind && !more {
                        self.watch.look_soon();
                    }
                    behind = more;
                    backoff = BACKOFF.0;
                }
                Err(RelayError::Produce(error)) if error.is_of_producer() => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, collection = T::COLLECTION, "cannot publish, trying again");
                    metric::retry(self.service, "publish from the outbox");
                    behind = true;
                    stop.run_until_cancelled(tokio::time::sleep(backoff)).await;
                    backoff = (backoff * 2).min(BACKOFF.1);
                }
            }
        }
        Ok(())
    }

    /// Waits for new documents and publishes them. Returns whether there are others to be found in the store.
    async fn publish_next(
        &mut self,
        search: &mut Interval,
        stop: &CancellationToken,
    ) -> Result<bool, RelayError> {
        let mut documents = Vec::new();
        tokio::select! {
            // The queue comes last: under load it is never empty, and nothing behind it would have its turn.
            biased;
            () = stop.cancelled() => return Ok(false),
            _ = search.tick() => return self.find_left_behind().await,
            () = self.search_now.notified() => return Ok(true),
            received = self.queue.recv_many(&mut documents, BATCH), if self.open => {
                self.open = received > 0;
            }
        }
        self.publish_all(documents).await?;
        Ok(false)
    }

    /// Whether the store holds something unpublished that it held at the search before, too. What is there for the first
    /// time may be on its way through the queue, or in the hands of another replica.
    async fn find_left_behind(&mut self) -> Result<bool, RelayError> {
        let listing = self.list_unpublished(None).await?;
        let ids = listing.items.iter().map(|found| found.document.id());
        let before = std::mem::replace(&mut self.found, ids.collect());
        Ok(!self.found.is_disjoint(&before))
    }

    /// Publishes the next of what the store says is unpublished. Returns whether there is more. It is a walk and not a look at
    /// the first ones again and again, for those may be just the ones that cannot be published.
    async fn publish_backlog(&mut self) -> Result<bool, RelayError> {
        if self.walked.is_none() {
            // These are in the store as well; left in the queue they would be published twice.
            while self.queue.try_recv().is_ok() {}
        }
        let listing = self.list_unpublished(self.walked.as_ref()).await?;
        if !listing.items.is_empty() {
            tracing::info!(
                documents = listing.items.len(),
                more = listing.next.is_some(),
                "publishing what was left unpublished"
            );
        }
        let documents = listing.items.into_iter().map(|found| found.document);
        let published = self.publish_all(documents.collect()).await?;
        self.watch.redriven(published);
        self.walked = listing.next;
        Ok(self.walked.is_some())
    }

    async fn list_unpublished(&self, after: Option<&T::Id>) -> Result<Listing<T>, StoreError> {
        let filter = Filter::all().and(T::UNPUBLISHED, true);
        self.collection.list(&filter, after, BATCH).await
    }

    /// Publishes the documents and removes the marks of those that could be published. Returns how many these are.
    async fn publish_all(&mut self, documents: Vec<T>) -> Result<usize, RelayError> {
        let mut documents = self.with_what_is_known(documents);
        match self.send(&documents).await {
            Err(error) if error.is_of_document() => documents = self.send_each(documents).await?,
            sent => sent?,
        }
        self.watch.published(documents.len());
        let marks = self.remove_marks(&documents).await;
        let count = documents.len();
        self.remember(documents);
        Ok(marks.map(|()| count)?)
    }

    /// Each document once, as it was last handed in, and told what of it was published a moment ago: whoever changed it since
    /// may have read it before that was noted in the store.
    fn with_what_is_known(&self, documents: Vec<T>) -> Vec<T> {
        let mut latest: BTreeMap<T::Id, usize> = BTreeMap::new();
        for (at, document) in documents.iter().enumerate() {
            latest.insert(document.id(), at);
        }
        let mut kept = Vec::with_capacity(latest.len());
        for (at, mut document) in documents.into_iter().enumerate() {
            let id = document.id();
            if latest.get(&id) != Some(&at) {
                continue;
            }
            let before = self.recent.iter().find_map(|documents| documents.get(&id));
            if let Some(before) = before {
                document.mark_published(before);
            }
            kept.push(document);
        }
        kept
    }

    fn remember(&mut self, published: Vec<T>) {
        let [now, before] = &mut self.recent;
        now.extend(
            published
                .into_iter()
                .map(|document| (document.id(), document)),
        );
        if now.len() >= BATCH {
            *before = std::mem::take(now);
        }
    }

    async fn send(&self, documents: &[T]) -> Result<(), RelayError> {
        let mut messages = Vec::with_capacity(documents.len());
        for document in documents {
            messages.extend(document.messages()?);
        }
        Ok(publish(&self.producer, &messages).await?)
    }

    /// Publishes one after the other, so that one that cannot be published does not keep back the rest. Returns those that
    /// are published.
    async fn send_each(&self, documents: Vec<T>) -> Result<Vec<T>, RelayError> {
        let mut sent = Vec::with_capacity(documents.len());
        for document in documents {
            match self.send(std::slice::from_ref(&document)).await {
                Ok(()) => sent.push(document),
                // It keeps its mark: with another version, or another bound of the topic, it may go out.
                Err(error) if error.is_of_document() => {
                    tracing::error!(%error, collection = T::COLLECTION, id = %document.id(), "a document cannot be published");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    /// Others change these documents as well, so a mark is removed from what they have become by then.
    async fn remove_marks(&self, documents: &[T]) -> Result<(), StoreError> {
        let published: BTreeMap<T::Id, &T> = documents.iter().map(|d| (d.id(), d)).collect();
        let mark = |document: &mut T| {
            let before = published.get(&document.id());
            before.is_some_and(|before| document.mark_published(before))
        };
        let ids = published.keys().cloned();
        self.collection.change_many_and(ids, mark, |_| ()).await?;
        Ok(())
    }
}
