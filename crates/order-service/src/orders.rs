//! The orders in the store, and what happens to them in batches.

use std::collections::BTreeMap;

use contracts::{OrderId, Timestamp};
use service_kit::store::{Collection, Filter, Insert, Listing, Store, StoreError};

use crate::order::{Cancellation, DATABASE, Order, Progress};

/// The orders of this service. Clones are the same orders.
#[derive(Debug, Clone)]
pub struct Orders {
    collection: Collection<Order>,
}

impl Orders {
    /// The orders in this store.
    ///
    /// # Errors
    ///
    /// [`StoreError::AnotherType`].
    pub fn new(store: &Store) -> Result<Self, StoreError> {
        Ok(Self {
            collection: store.collection(DATABASE)?,
        })
    }

    /// The collection, for the outbox.
    pub fn collection(&self) -> &Collection<Order> {
        &self.collection
    }

    /// Stores a new order.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; after `Unavailable` the order may be stored all the same.
    pub async fn insert(&self, order: Order) -> Result<Insert, StoreError> {
        self.collection.insert(order).await
    }

    /// An order.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn get(&self, id: OrderId) -> Result<Option<Order>, StoreError> {
        Ok(self.collection.get(&id).await?.map(|found| found.document))
    }

    /// Some orders, the oldest first.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn list(
        &self,
        after: Option<OrderId>,
        limit: usize,
    ) -> Result<Listing<Order>, StoreError> {
        self.collection
            .list(&Filter::all(), after.as_ref(), limit)
            .await
    }

    /// Takes in what a batch of events says. An order that is not in the store is passed over: the topic may be older
    /// than the database.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn advance(&self, batch: &[Progress]) -> Result<(), StoreError> {
        let mut news: BTreeMap<OrderId, Vec<&Progress>> = BTreeMap::new();
        for progress in batch {
            news.entry(progress.order_id).or_default().push(progress);
        }
        let found = self
            .collection
            .change_many(news.keys().copied(), |order| {
                let news = news.get(&order.order_id).into_iter().flatten();
                // All of them, not until the first that changes something.
                news.fold(false, |changed, progress| order.advance(progress) | changed)
            })
            .await?;
        for order_id in news.keys().filter(|id| !found.contains_key(id)) {
            tracing::warn!(%order_id, "an event tells of an order that is not here");
        }
        Ok(())
    }

    /// Asks for an order back; returns it and what comes of that, or none if there is no such order.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn cancel(
        &self,
        id: OrderId,
        now: Timestamp,
    ) -> Result<Option<(Order, Cancellation)>, StoreError> {
        let mut found = self
            .collection
            .change_many([id], |order| {
                let before = order.cancel_requested_at;
                order.cancel(now);
                order.cancel_requested_at != before
            })
            .await?;
        Ok(found.remove(&id).map(|mut order| {
            let outcome = order.cancel(now);
            (order, outcome)
        }))
    }
}
