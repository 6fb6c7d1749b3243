//! How far the outbox is behind: looked for in the store once in a while, and told from memory.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use contracts::Timestamp;
use metrics::{counter, gauge};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior};

use super::OutboxDocument;
use crate::clock::SharedClock;
use crate::metric::{OUTBOX_BACKLOG, OUTBOX_OLDEST_AGE, OUTBOX_PUBLISHED, OUTBOX_REDRIVEN};
use crate::store::{Collection, Filter, StoreError};

/// How far an outbox is behind.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Backlog {
    /// Documents that are not known to be published. Under load a few are always on their way.
    #[serde(rename = "backlog")]
    pub documents: u64,
    /// For how many seconds the first of them, by its id, has been waiting; 0 if there is none.
    pub oldest_age_seconds: f64,
    /// When that was so.
    pub measured_at: Timestamp,
}

/// A backlog, and what was done about it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Report {
    /// What the last look found.
    #[serde(flatten)]
    pub backlog: Backlog,
    /// Documents published since the start of this process that were found in the store instead of in the queue.
    pub redriven: u64,
}

/// Looks for the backlog of one collection. Replicas share the collection, so each of them sees all of it.
#[derive(Debug)]
pub(super) struct Watch<T: OutboxDocument> {
    service: &'static str,
    collection: Collection<T>,
    clock: SharedClock,
    last: Mutex<Option<Backlog>>,
    redriven: AtomicU64,
    /// That there is reason to look before it is time.
    again: Notify,
}

impl<T: OutboxDocument> Watch<T> {
    pub(super) fn new(
        service: &'static str,
        collection: Collection<T>,
        clock: SharedClock,
    ) -> Self {
        // From here on they are told, as 0.
        counter!(OUTBOX_PUBLISHED, "service" => service).increment(0);
        counter!(OUTBOX_REDRIVEN, "service" => service).increment(0);
        Self {
            service,
            collection,
            clock,
            last: Mutex::default(),
            redriven: AtomicU64::new(0),
            again: Notify::new(),
        }
    }

    /// Looks so often, and in between when it is asked to, for as long as it is polled.
    pub(super) async fn run(&self, interval: Duration) -> Infallible {
        let mut ticks = tokio::time::interval_at(Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if let Err(error) = self.look().await {
                // What was found before stays, with its time.
                tracing::warn!(%error, collection = T::COLLECTION, "cannot look for what is unpublished");
            }
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.again.notified() => {}
            }
        }
    }

    /// Counts what is unpublished, by the index on the mark: it costs what there is of it, however large the collection.
    pub(super) async fn look(&self) -> Result<Backlog, StoreError> {
        let unpublished = Filter::all().and(T::UNPUBLISHED, true);
        let documents = self.collection.count(&unpublished).await?;
        let first = self.collection.list(&unpublished, None, 1).await?;
        let now = self.clock.now();
        let waited = |since: Timestamp| now.millis().saturating_sub(since.millis()).max(0);
        let first = first
            .items
            .first()
            .map(|first| first.document.waiting_since());
        let backlog = Backlog {
            documents,
            oldest_age_seconds: first.map_or(0, waited) as f64 / 1000.0,
            measured_at: now,
        };
        gauge!(OUTBOX_BACKLOG, "service" => self.service).set(documents as f64);
        gauge!(OUTBOX_OLDEST_AGE, "service" => self.service).set(backlog.oldest_age_seconds);
        *self.last.lock() = Some(backlog);
        Ok(backlog)
    }

    pub(super) fn look_soon(&self) {
        self.again.notify_one();
    }

    pub(super) fn published(&self, documents: usize) {
        counter!(OUTBOX_PUBLISHED, "service" => self.service).increment(documents as u64);
    }

    pub(super) fn redriven(&self, documents: usize) {
        self.redriven.fetch_add(documents as u64, Ordering::Relaxed);
        counter!(OUTBOX_REDRIVEN, "service" => self.service).increment(documents as u64);
    }

    pub(super) fn report(&self) -> Option<Report> {
        let backlog = (*self.last.lock())?;
        Some(Report {
            backlog,
            redriven: self.redriven.load(Ordering::Relaxed),
        })
    }
}
