//! The outbox: what starts from HTTP is published from its own document.
//!
//! The document is stored first, marked as unpublished, and that is what the caller is told. The relay publishes it and,
//! once Kafka has it, removes the mark. Kafka away, or a crash at any point in between, leaves the mark: the relay finds
//! it and publishes again, with the same event id.

use std::time::Duration;

use contracts::{EncodeError, Message};
use kafka_client::{ProduceError, Producer};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::publish::publish;
use crate::store::{Collection, Document, Filter, StoreError, Versioned};

/// Documents that are published together.
const BATCH: usize = 500;
/// Documents that wait for the relay in memory. What does not fit is found in the store.
const QUEUE: usize = 10_000;
/// The first and the longest wait after a failure.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// How long a stopping relay may take for what it has begun.
const STOP: Duration = Duration::from_secs(2);

/// A document that says whether its event still has to be published.
pub trait OutboxDocument: Document {
    /// The indexed field that is true until it is published, and left out from then on.
    const UNPUBLISHED: &'static str;

    /// Its event, the same each time.
    ///
    /// # Errors
    ///
    /// [`EncodeError`].
    fn message(&self) -> Result<Message, EncodeError>;

    /// Notes that it is published; false if that was known.
    fn mark_published(&mut self) -> bool;
}

/// Tells the relay of documents that were just stored.
#[derive(Debug, Clone)]
pub struct Outbox<T> {
    queue: mpsc::Sender<T>,
    overflow: std::sync::Arc<tokio::sync::Notify>,
}

impl<T: OutboxDocument> Outbox<T> {
    /// Has a stored document published soon. Never waits: when the relay cannot keep up it finds the document itself.
    pub fn publish_soon(&self, document: T) {
        if self.queue.try_send(document).is_err() {
            self.overflow.notify_one();
        }
    }
}

/// Publishes what is stored and not published.
#[derive(Debug)]
pub struct Relay<T: OutboxDocument> {
    collection: Collection<T>,
    producer: Producer,
    queue: mpsc::Receiver<T>,
    overflow: std::sync::Arc<tokio::sync::Notify>,
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

impl<T: OutboxDocument> Relay<T> {
    /// A relay of this collection, and the outbox that tells it of new documents.
    pub fn new(collection: Collection<T>, producer: Producer) -> (Self, Outbox<T>) {
        let (sender, queue) = mpsc::channel(QUEUE);
        let overflow = std::sync::Arc::new(tokio::sync::Notify::new());
        let outbox = Outbox {
            queue: sender,
            overflow: std::sync::Arc::clone(&overflow),
        };
        (
            Self {
                collection,
                producer,
                queue,
                overflow,
            },
            outbox,
        )
    }

    /// Publishes until `stop`, and first of all what an earlier run left behind.
    pub async fn run(mut self, stop: CancellationToken) {
        let publishing = async {
            let mut behind = true;
            let mut backoff = BACKOFF.0;
            while !stop.is_cancelled() {
                let step = if behind {
                    self.publish_backlog().await
                } else {
                    self.publish_next(&stop).await
                };
                match step {
                    Ok(more) => {
                        behind = more;
                        backoff = BACKOFF.0;
                    }
                    Err(error) => {
                        tracing::warn!(%error, collection = T::COLLECTION, "cannot publish, trying again");
                        behind = true;
                        stop.run_until_cancelled(tokio::time::sleep(backoff)).await;
                        backoff = (backoff * 2).min(BACKOFF.1);
                    }
                }
            }
        };
        let overdue = async {
            stop.cancelled().await;
            tokio::time::sleep(STOP).await;
        };
        // What is under way is either finished in this time or found again by the next run.
        tokio::select! {
            () = publishing => {}
            () = overdue => {}
        }
    }

    /// Waits for new documents and publishes them. Returns whether there are others to be found in the store.
    async fn publish_next(&mut self, stop: &CancellationToken) -> Result<bool, RelayError> {
        let mut documents = Vec::new();
        tokio::select! {
            biased; // What is queued goes before what the store would be searched for.
            received = self.queue.recv_many(&mut documents, BATCH) => if received == 0 {
                stop.cancelled().await; // every outbox is gone: there will be nothing more
            },
            () = self.overflow.notified() => return Ok(true),
            () = stop.cancelled() => return Ok(false),
        }
        self.publish_all(documents).await?;
        Ok(false)
    }

    /// Publishes what the store says is unpublished. Returns whether there may be more.
    async fn publish_backlog(&mut self) -> Result<bool, RelayError> {
        // These are in the store as well; left in the queue they would be published twice.
        while self.queue.try_recv().is_ok() {}
        let filter = Filter::all().and(T::UNPUBLISHED, true);
        let listing = self.collection.list(&filter, None, BATCH).await?;
        let more = listing.next.is_some();
        if !listing.items.is_empty() {
            tracing::info!(
                documents = listing.items.len(),
                more,
                "publishing what was left unpublished"
            );
        }
        self.publish_all(
            listing
                .items
                .into_iter()
                .map(|found| found.document)
                .collect(),
        )
        .await?;
        Ok(more)
    }

    async fn publish_all(&mut self, documents: Vec<T>) -> Result<(), RelayError> {
        let messages: Vec<Message> = documents.iter().map(T::message).collect::<Result<_, _>>()?;
        publish(&self.producer, &messages).await?;
        let ids: Vec<T::Id> = documents.iter().map(T::id).collect();
        let stored = self.collection.get_many(&ids).await?;
        let published: Vec<Versioned<T>> = stored
            .into_iter()
            .flatten()
            .filter_map(|mut found| found.document.mark_published().then_some(found))
            .collect();
        if !published.is_empty() {
            // A conflict means that somebody changed the document in between. Either he removed the mark, or the mark is
            // still there and the event goes out once more at the next start: no reason to wait for it here.
            self.collection.replace_many(published).await?;
        }
        Ok(())
    }
}
