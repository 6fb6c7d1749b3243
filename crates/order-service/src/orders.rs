//! The orders in the store, and what happens to them in batches.

use std::collections::{BTreeMap, BTreeSet};

use contracts::OrderId;
use service_kit::reaction::ReactionError;
use service_kit::store::{
    Collection, Filter, Insert, Listing, Replace, Store, StoreError, Versioned,
};

use crate::order::{DATABASE, Order, Progress};

/// The relay and the consumers of three topics change the same orders.
const ATTEMPTS: u32 = 50;

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
    /// [`ReactionError::Store`]; [`ReactionError::Contention`] when the orders keep changing.
    pub async fn advance(&self, batch: &[Progress]) -> Result<(), ReactionError> {
        let mut pending: Vec<&Progress> = batch.iter().collect();
        for _ in 0..ATTEMPTS {
            let ids: Vec<OrderId> = pending.iter().map(|progress| progress.order_id).collect();
            let mut found: BTreeMap<OrderId, Versioned<Order>> = self
                .collection
                .get_many(&ids)
                .await?
                .into_iter()
                .flatten()
                .map(|order| (order.document.order_id, order))
                .collect();
            let mut changed = BTreeSet::new();
            for progress in &pending {
                let Some(order) = found.get_mut(&progress.order_id) else {
                    tracing::warn!(order_id = %progress.order_id, "an event tells of an order that is not here");
                    continue;
                };
                if order.document.advance(progress) {
                    changed.insert(progress.order_id);
                }
            }
            let writes: Vec<_> = changed
                .iter()
                .filter_map(|order_id| found.remove(order_id))
                .collect();
            if writes.is_empty() {
                return Ok(());
            }
            let written: Vec<OrderId> =
                writes.iter().map(|order| order.document.order_id).collect();
            let outcomes = self.collection.replace_many(writes).await?;
            let conflicts: BTreeSet<OrderId> = written
                .into_iter()
                .zip(outcomes)
                .filter(|(_, outcome)| *outcome == Replace::Conflict)
                .map(|(order_id, _)| order_id)
                .collect();
            pending.retain(|progress| conflicts.contains(&progress.order_id));
            if pending.is_empty() {
                return Ok(());
            }
        }
        Err(ReactionError::Contention {
            what: "orders",
            attempts: ATTEMPTS,
        })
    }
}
