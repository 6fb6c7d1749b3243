//! The stock: what a product has, and what a batch of orders does to it.
//!
//! No transaction spans two products, and a consumer may die, or be taken for dead and go on, at any point. Yet an order
//! gets all of its items or none, and no piece is taken twice or put back twice. Five rules make that so:
//!
//! 1. A piece is taken and the order's [`Mark`] left in one write of the product, guarded by its version. A mark says
//!    that the order has its pieces of this product: whoever does the work again sees it and takes nothing.
//! 2. What becomes of an order is decided by inserting its [`InventoryUpdate`](crate::updates::InventoryUpdate), once.
//!    Only an order whose marks are on all of its products may be inserted as taken.
//! 3. A mark goes only after the decision: with its pieces back into the stock if the order was rejected.
//! 4. Products are read before decisions. So whoever finds no mark either finds the decision, or is refused by the
//!    product's version when he writes.
//! 5. An order that is cancelled after it was taken turns its decision first, to released with a restitution that is due.
//!    Then the pieces go back, each product in one write that leaves a mark of the restitution; then the decision notes that
//!    it is done; then these marks go. A product without such a mark, read before a decision that is still due, has its
//!    pieces put back.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use contracts::{Item, Money, OrderId, ProductId};
use serde::{Deserialize, Serialize};
use service_kit::store::{Document, Versioned};

/// Deliveries of a product whose keys are remembered.
const KEYS: usize = 100;

/// A product and what is left of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Which product.
    pub product_id: ProductId,
    /// Pieces that can be taken.
    pub quantity: u64,
    /// What a piece costs.
    pub price: Money,
    /// Pieces that there were when the product was put in.
    #[serde(default)]
    pub initial: u64,
    /// Pieces that came later.
    #[serde(default)]
    pub restocked: u64,
    /// The latest deliveries that had a key, so that none is counted twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deliveries: Vec<Delivery>,
    /// Orders whose pieces are out of `quantity` and whose fate is about to be settled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<Mark>,
}

/// A delivery that has a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// What the client gave so that the same request is counted once.
    pub key: String,
    /// How many pieces came.
    pub quantity: u64,
}

/// That an order has its pieces of a product, or has given them back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Which order.
    pub order_id: OrderId,
    /// How many pieces.
    pub quantity: u64,
    /// Whether they are back in `quantity` of the product.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub returned: bool,
}

/// What is to become of an order's marks, as its decision says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The pieces stay taken.
    Taken,
    /// The order was not to have them: they go back.
    NotTaken,
    /// They are on their way back: marks stay until all products have theirs.
    Returning,
    /// They are back.
    Returned,
}

impl Document for Product {
    type Id = ProductId;
    const COLLECTION: &'static str = "inventory";

    fn id(&self) -> ProductId {
        self.product_id.clone()
    }
}

impl Product {
    /// A product with nothing taken.
    pub fn new(product_id: ProductId, quantity: u64, price: Money) -> Self {
        Self {
            product_id,
            quantity,
            price,
            initial: quantity,
            restocked: 0,
            deliveries: Vec::new(),
            marks: Vec::new(),
        }
    }

    /// Counts a delivery; false if one with this key was counted before.
    pub fn restock(&mut self, pieces: u64, key: Option<&str>) -> bool {
        if let Some(key) = key {
            if self.delivered(key).is_some() {
                return false;
            }
            if self.deliveries.len() == KEYS {
                self.deliveries.remove(0);
            }
            self.deliveries.push(Delivery {
                key: key.to_owned(),
                quantity: pieces,
            });
        }
        self.quantity = self.quantity.saturating_add(pieces);
        self.restocked = self.restocked.saturating_add(pieces);
        true
    }

    /// How many pieces came with this key; none if it is not known, or not any more.
    pub fn delivered(&self, key: &str) -> Option<u64> {
        let known = self.deliveries.iter().find(|known| known.key == key)?;
        Some(known.quantity)
    }

    fn has_mark_of(&self, order: OrderId) -> bool {
        self.marks.iter().any(|mark| mark.order_id == order)
    }

    /// Takes the pieces and leaves a mark; the caller has seen that there are enough.
    fn take(&mut self, order_id: OrderId, quantity: u64) {
        self.quantity = self.quantity.saturating_sub(quantity);
        self.marks.push(Mark {
            order_id,
            quantity,
            returned: false,
        });
    }

    /// Puts the pieces of an order that had them back and leaves a mark of that; false if that mark is there.
    fn put_back(&mut self, order_id: OrderId, quantity: u64) -> bool {
        if let Some(mark) = self.marks.iter_mut().find(|mark| mark.order_id == order_id) {
            if mark.returned {
                return false;
            }
            mark.returned = true;
        } else {
            self.marks.push(Mark {
                order_id,
                quantity,
                returned: true,
            });
        }
        self.quantity = self.quantity.saturating_add(quantity);
        true
    }

    /// Removes the order's mark, if it is there and its time has come, and puts its pieces back if the order was not to have
    /// them.
    fn settle(&mut self, order: OrderId, fate: Fate) -> bool {
        let Some(at) = self.marks.iter().position(|mark| mark.order_id == order) else {
            return false;
        };
        let (returned, pieces) = (self.marks[at].returned, self.marks[at].quantity);
        match (returned, fate) {
            (false, Fate::Taken) | (true, Fate::Returned) => {}
            (false, Fate::NotTaken) => self.quantity = self.quantity.saturating_add(pieces),
            // Whoever read the decision before it was turned must not take away what keeps the pieces from going back twice.
            (true, Fate::Taken | Fate::NotTaken)
            | (_, Fate::Returning)
            | (false, Fate::Returned) => {
                return false;
            }
        }
        self.marks.remove(at);
        true
    }
}

/// What becomes of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// All of its items were taken.
    Taken,
    /// They cannot all be had, and why.
    Rejected(String),
}

/// An order that is to be decided.
#[derive(Debug, Clone, Copy)]
pub struct Demand<'a> {
    /// Which order.
    pub order_id: OrderId,
    /// What it asks for; a product may stand on several lines.
    pub items: &'a [Item],
}

impl Demand<'_> {
    /// Pieces by product.
    pub fn by_product(&self) -> BTreeMap<&ProductId, u64> {
        let mut pieces = BTreeMap::new();
        for item in self.items {
            *pieces.entry(&item.product_id).or_default() += u64::from(item.quantity.get());
        }
        pieces
    }
}

/// The products that a batch of orders touches, as they were read and as the batch leaves them.
#[derive(Debug, Default)]
pub struct Shelf {
    products: BTreeMap<ProductId, Slot>,
}

#[derive(Debug)]
struct Slot {
    product: Versioned<Product>,
    changed: bool,
}

impl Shelf {
    /// The products as they were read.
    pub fn new(products: impl IntoIterator<Item = Versioned<Product>>) -> Self {
        let slots = products.into_iter().map(|product| {
            (
                product.document.product_id.clone(),
                Slot {
                    product,
                    changed: false,
                },
            )
        });
        Self {
            products: slots.collect(),
        }
    }

    /// Takes what the order asks for, all of it or nothing, unless its mark says that it has it.
    pub fn take(&mut self, demand: Demand<'_>) -> Decision {
        let wanted = demand.by_product();
        for (product_id, pieces) in &wanted {
            let Some(Slot { product, .. }) = self.products.get(*product_id) else {
                return Decision::Rejected(format!("product {product_id} is unknown"));
            };
            let product = &product.document;
            if !product.has_mark_of(demand.order_id) && product.quantity < *pieces {
                return Decision::Rejected(format!(
                    "product {product_id} has {} left, {pieces} are ordered",
                    product.quantity
                ));
            }
        }
        for (product_id, pieces) in wanted {
            if let Some(slot) = self.products.get_mut(product_id)
                && !slot.product.document.has_mark_of(demand.order_id)
            {
                slot.product.document.take(demand.order_id, pieces);
                slot.changed = true;
            }
        }
        Decision::Taken
    }

    /// Puts back what the order had, where that was not done before.
    pub fn put_back(&mut self, demand: Demand<'_>) {
        for (product_id, pieces) in demand.by_product() {
            if let Some(slot) = self.products.get_mut(product_id) {
                slot.changed |= slot.product.document.put_back(demand.order_id, pieces);
            }
        }
    }

    /// Removes the marks of an order that was decided.
    pub fn settle(&mut self, order: OrderId, fate: Fate) {
        for slot in self.products.values_mut() {
            slot.changed |= slot.product.document.settle(order, fate);
        }
    }

    /// The products that have to be written.
    pub fn changed(self) -> Vec<Versioned<Product>> {
        self.products
            .into_values()
            .filter(|slot| slot.changed)
            .map(|slot| slot.product)
            .collect()
    }
}
