//! The orders in the store, and what happens to them in batches.

use std::collections::BTreeMap;

use contracts::{OrderId, Timestamp};
use service_kit::store::{
    Collection, Direction, Document, Filter, Insert, Listing, Store, StoreError,
};

use crate::order::{Cancellation, DATABASE, Order, Progress};

/// The orders of this service. Clones are the same orders.
#[derive(Debug, Clone)]
pub struct Orders {
    collection: Collection<Order>,
}

/// What became of a new order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placed {
    /// It is stored.
    New(Order),
    /// The same was asked for before, with the same key: this is what became of it.
    Before(Order),
    /// The key belongs to an order that asks for something else.
    AnotherOfThisKey,
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

    /// Stores a new order, unless there is one with its key.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; after `Unavailable` the order may be stored all the same: a client that asks again with the same key
    /// finds it, and without a key makes a second one.
    pub async fn place(&self, order: Order) -> Result<Placed, StoreError> {
        let inserted = self.collection.insert(order.clone()).await?;
        if inserted == Insert::Inserted {
            return Ok(Placed::New(order));
        }
        let Some(same_key) = order.of_the_same_key() else {
            return Ok(Placed::New(order));
        };
        let found = self.collection.list(&same_key, None, 1).await?;
        let first = found.items.into_iter().next().map(|found| found.document);
        match first {
            // The driver has asked twice, and the first time it went well.
            Some(first) if first.order_id == order.order_id => Ok(Placed::New(order)),
            Some(first) if first.asks_for_the_same(&order) => Ok(Placed::Before(first)),
            Some(_) => Ok(Placed::AnotherOfThisKey),
            // Whoever was in the way is not there yet, or not any more.
            None => Err(StoreError::Contention {
                collection: Order::COLLECTION,
                attempts: 1,
            }),
        }
    }

    /// An order.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn get(&self, id: OrderId) -> Result<Option<Order>, StoreError> {
        Ok(self.collection.get(&id).await?.map(|found| found.document))
    }

    /// Some orders, the oldest first or the newest.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn list(
        &self,
        direction: Direction,
        after: Option<OrderId>,
        limit: usize,
    ) -> Result<Listing<Order>, StoreError> {
        self.collection
            .list_in(direction, &Filter::all(), after.as_ref(), limit)
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
            .change_many_and(
                news.keys().copied(),
                |order| {
                    let news = news.get(&order.order_id).into_iter().flatten();
                    // All of them, not until the first that changes something.
                    news.fold(false, |changed, progress| order.advance(progress) | changed)
                },
                |_| (),
            )
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
