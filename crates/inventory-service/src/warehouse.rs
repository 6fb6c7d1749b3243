//! The stock in the store: taking for a batch of orders, putting back, and settling what was decided.

use std::collections::{BTreeMap, BTreeSet};

use contracts::{Item, OrderId, ProductId, Quantity, ShipmentProcessed, Timestamp};
use service_kit::store::{
    Collection, Direction, Document, Filter, Insert, Replace, Store, StoreError, Versioned,
};
use tokio::sync::Mutex;

use crate::stock::{Decision, Demand, Fate, Product, Shelf};
use crate::updates::InventoryUpdate;

/// The database of this service.
pub const DATABASE: &str = "inventory_db";

/// Writers in other processes may take the same products; this process's own take turns.
const ATTEMPTS: u32 = 50;

/// The products and the decisions of this service.
#[derive(Debug)]
pub struct Warehouse {
    products: Collection<Product>,
    updates: Collection<InventoryUpdate>,
    /// Partitions are handled side by side and want the same products: who holds this reads, takes and writes without
    /// another of this process coming between.
    turn: Mutex<()>,
}

/// An order whose items are concerned.
#[derive(Debug, Clone)]
pub struct OrderItems {
    /// Which order.
    pub order_id: OrderId,
    /// What it asks for, or had.
    pub items: Vec<Item>,
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restocked {
    /// It is counted, now or before: this is the product.
    Counted(Product),
    /// Its key belongs to a delivery of another quantity, and nothing was counted.
    AnotherOfThisKey,
}

impl Warehouse {
    /// The collections in this store.
    ///
    /// # Errors
    ///
    /// [`StoreError::AnotherType`].
    pub fn new(store: &Store) -> Result<Self, StoreError> {
        Ok(Self {
            products: store.collection(DATABASE)?,
            updates: store.collection(DATABASE)?,
            turn: Mutex::default(),
        })
    }

    /// Makes the indexes and puts the products into the stock that are not there yet. A product that is there keeps
    /// what it has: a restart does not fill it up.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn seed(&self, stock: Vec<Product>) -> Result<(), StoreError> {
        self.products.prepare().await?;
        self.updates.prepare().await?;
        self.products.insert_many(stock).await?;
        Ok(())
    }

    /// A product.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn product(&self, id: &ProductId) -> Result<Option<Product>, StoreError> {
        Ok(self.products.get(id).await?.map(|found| found.document))
    }

    /// Counts a delivery of a product, once if it has a key; returns what became of it, or none if there is no such product.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; after `Unavailable` it may have been counted all the same, and only a key tells the next attempt so.
    pub async fn restock(
        &self,
        id: &ProductId,
        pieces: Quantity,
        key: Option<&str>,
    ) -> Result<Option<Restocked>, StoreError> {
        let pieces = u64::from(pieces.get());
        let mut found = self
            .products
            .change_many([id.clone()], |product| product.restock(pieces, key))
            .await?;
        // Whether it was counted now or before, it is this delivery that the product remembers, or another one of the key.
        Ok(found
            .remove(id)
            .map(|product| match key.and_then(|key| product.delivered(key)) {
                Some(before) if before != pieces => Restocked::AnotherOfThisKey,
                _ => Restocked::Counted(product),
            }))
    }

    /// Some products in the order of their ids or in the reverse of it, and where the next list begins.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn products(
        &self,
        direction: Direction,
        after: Option<&ProductId>,
        limit: usize,
    ) -> Result<(Vec<Product>, Option<ProductId>), StoreError> {
        let listing = self
            .products
            .list_in(direction, &Filter::all(), after, limit)
            .await?;
        Ok((
            listing
                .items
                .into_iter()
                .map(|found| found.document)
                .collect(),
            listing.next,
        ))
    }

    /// Takes the items of each order, or finds that it was decided before; returns what holds for each.
    ///
    /// # Errors
    ///
    /// [`StoreError`], [`StoreError::Contention`] when other processes keep changing the products.
    pub async fn take(
        &self,
        orders: &[OrderItems],
        now: Timestamp,
    ) -> Result<BTreeMap<OrderId, InventoryUpdate>, StoreError> {
        if orders.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut fresh_decisions = self.take_undecided(orders).await?;
        let fresh: Vec<InventoryUpdate> = orders
            .iter()
            .filter_map(|order| {
                let decision = fresh_decisions.remove(&order.order_id)??;
                Some(InventoryUpdate::new(
                    order.order_id,
                    order.items.clone(),
                    decision,
                    now,
                ))
            })
            .collect();
        let outcomes = self.updates.insert_many(fresh.clone()).await?;
        let mut holds: BTreeMap<OrderId, InventoryUpdate> = fresh
            .into_iter()
            .zip(outcomes)
            .filter(|(_, outcome)| *outcome == Insert::Inserted)
            .map(|(update, _)| (update.order_id, update))
            .collect();
        // What somebody else decided first, now or before, is what holds.
        let missing: Vec<OrderId> = orders
            .iter()
            .map(|o| o.order_id)
            .filter(|id| !holds.contains_key(id))
            .collect();
        for found in self.updates.get_many(&missing).await?.into_iter().flatten() {
            holds.insert(found.document.order_id, found.document);
        }
        Ok(holds)
    }

    /// Leaves a mark on every product of each order that is not decided and can have all of its items. Returns what is
    /// to be decided for each; none where it was decided before.
    async fn take_undecided(
        &self,
        orders: &[OrderItems],
    ) -> Result<BTreeMap<OrderId, Option<Decision>>, StoreError> {
        let order_ids: Vec<OrderId> = orders.iter().map(|order| order.order_id).collect();
        let wanted = products_of(orders.iter().flat_map(|order| &order.items));
        let _turn = self.turn.lock().await;
        for _ in 0..ATTEMPTS {
            // In this order: see rule 4 of the stock.
            let products = self.products.get_many(&wanted).await?;
            let updates = self.updates.get_many(&order_ids).await?;
            let mut found: BTreeMap<OrderId, Option<Decision>> = updates
                .into_iter()
                .flatten()
                .map(|update| (update.document.order_id, None))
                .collect();
            let mut shelf = Shelf::new(products.into_iter().flatten());
            for order in orders {
                let demand = Demand {
                    order_id: order.order_id,
                    items: &order.items,
                };
                found
                    .entry(order.order_id)
                    .or_insert_with(|| Some(shelf.take(demand)));
            }
            if self.write(shelf).await? {
                return Ok(found);
            }
        }
        Err(contention())
    }

    /// Puts back what these orders have, which the shipment has stopped, and sees to it that nothing will be taken for them;
    /// returns what holds for each. An order that was rejected stays so.
    ///
    /// # Errors
    ///
    /// As [`Warehouse::take`].
    pub async fn release(
        &self,
        stopped: &[&ShipmentProcessed],
        now: Timestamp,
    ) -> Result<BTreeMap<OrderId, InventoryUpdate>, StoreError> {
        let forestalled = stopped
            .iter()
            .map(|event| InventoryUpdate::forestall(event, now))
            .collect();
        let updates = self
            .updates
            .insert_and_change_many(forestalled, |update| update.release(now))
            .await?;
        let due: BTreeSet<OrderId> = updates
            .values()
            .filter(|update| update.fate() == Fate::Returning)
            .map(|update| update.order_id)
            .collect();
        if due.is_empty() {
            return Ok(updates);
        }
        self.put_back(&due, &updates).await?;
        self.updates
            .change_many(due, InventoryUpdate::restored)
            .await?;
        Ok(updates)
    }

    /// Puts back the pieces of those of these orders whose restitution is due.
    async fn put_back(
        &self,
        due: &BTreeSet<OrderId>,
        updates: &BTreeMap<OrderId, InventoryUpdate>,
    ) -> Result<(), StoreError> {
        let order_ids: Vec<OrderId> = due.iter().copied().collect();
        let wanted = products_of(
            order_ids
                .iter()
                .filter_map(|id| updates.get(id))
                .flat_map(|update| &update.items),
        );
        let _turn = self.turn.lock().await;
        for _ in 0..ATTEMPTS {
            // In this order: see rules 4 and 5 of the stock.
            let products = self.products.get_many(&wanted).await?;
            let decided = self.updates.get_many(&order_ids).await?;
            let mut shelf = Shelf::new(products.into_iter().flatten());
            for update in decided.into_iter().flatten().map(|found| found.document) {
                if update.fate() == Fate::Returning {
                    shelf.put_back(Demand {
                        order_id: update.order_id,
                        items: &update.items,
                    });
                }
            }
            if self.write(shelf).await? {
                return Ok(());
            }
        }
        Err(contention())
    }

    /// Removes the marks of these orders, as far as they are decided.
    ///
    /// # Errors
    ///
    /// As [`Warehouse::take`].
    pub async fn settle(&self, orders: &[OrderItems]) -> Result<(), StoreError> {
        let order_ids: Vec<OrderId> = orders.iter().map(|order| order.order_id).collect();
        let products = products_of(orders.iter().flat_map(|order| &order.items));
        self.settle_on(&order_ids, &products).await
    }

    /// Settles whatever a process left behind that died between its decision and the end of its work, and whose orders
    /// nobody will hand in again.
    ///
    /// # Errors
    ///
    /// As [`Warehouse::take`].
    pub async fn settle_leftovers(&self) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let listing = self
                .products
                .list(&Filter::all(), after.as_ref(), 1000)
                .await?;
            for Versioned {
                document: product, ..
            } in &listing.items
            {
                let orders: Vec<OrderId> = product.marks.iter().map(|mark| mark.order_id).collect();
                if !orders.is_empty() {
                    self.settle_on(&orders, std::slice::from_ref(&product.product_id))
                        .await?;
                }
            }
            after = listing.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    async fn settle_on(
        &self,
        orders: &[OrderId],
        products: &[ProductId],
    ) -> Result<(), StoreError> {
        let decided: Vec<InventoryUpdate> = self
            .updates
            .get_many(orders)
            .await?
            .into_iter()
            .flatten()
            .map(|found| found.document)
            .collect();
        // Most events undo nothing, and need no turn.
        if decided.is_empty() {
            return Ok(());
        }
        let _turn = self.turn.lock().await;
        for _ in 0..ATTEMPTS {
            let mut shelf = Shelf::new(
                self.products
                    .get_many(products)
                    .await?
                    .into_iter()
                    .flatten(),
            );
            for update in &decided {
                shelf.settle(update.order_id, update.fate());
            }
            if self.write(shelf).await? {
                return Ok(());
            }
        }
        Err(contention())
    }

    /// Writes what changed; false when a product was changed by somebody else since it was read.
    async fn write(&self, shelf: Shelf) -> Result<bool, StoreError> {
        let changed = shelf.changed();
        if changed.is_empty() {
            return Ok(true);
        }
        let outcomes = self.products.replace_many(changed).await?;
        Ok(outcomes.iter().all(|outcome| *outcome == Replace::Replaced))
    }
}

/// The products of these lines, each once.
fn products_of<'a>(items: impl Iterator<Item = &'a Item>) -> Vec<ProductId> {
    let products: BTreeSet<&ProductId> = items.map(|item| &item.product_id).collect();
    products.into_iter().cloned().collect()
}

fn contention() -> StoreError {
    StoreError::Contention {
        collection: Product::COLLECTION,
        attempts: ATTEMPTS,
    }
}
