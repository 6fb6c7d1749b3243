//! The stock: what a product has, and what a batch of orders does to it.
//!
//! No transaction spans two products, and a consumer may die, or be taken for dead and go on, at any point. Yet an order
//! gets all of its items or none, and no piece is taken twice. Four rules make that so:
//!
//! 1. A piece is taken and the order's [`Mark`] left in one write of the product, guarded by its version. A mark says
//!    that the order has its pieces of this product: whoever does the work again sees it and takes nothing.
//! 2. What becomes of an order is decided by inserting its [`InventoryUpdate`](crate::updates::InventoryUpdate), once.
//!    Only an order whose marks are on all of its products may be inserted as taken.
//! 3. A mark goes only after the decision: with its pieces back into the stock if the order was rejected.
//! 4. Products are read before decisions. So whoever finds no mark either finds the decision, or is refused by the
//!    product's version when he writes.

use std::collections::BTreeMap;

use contracts::{Item, Money, OrderId, ProductId};
use serde::{Deserialize, Serialize};
use service_kit::store::{Document, Versioned};

/// A product and what is left of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Which product.
    pub product_id: ProductId,
    /// Pieces that can be taken.
    pub quantity: u64,
    /// What a piece costs.
    pub price: Money,
    /// Orders whose pieces are out of `quantity` and whose fate is about to be settled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<Mark>,
}

/// That an order has its pieces of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Which order.
    pub order_id: OrderId,
    /// How many pieces it has.
    pub quantity: u64,
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
            marks: Vec::new(),
        }
    }

    fn has_mark_of(&self, order: OrderId) -> bool {
        self.marks.iter().any(|mark| mark.order_id == order)
    }

    /// Takes the pieces and leaves a mark; the caller has seen that there are enough.
    fn take(&mut self, order_id: OrderId, quantity: u64) {
        self.quantity = self.quantity.saturating_sub(quantity);
        self.marks.push(Mark { order_id, quantity });
    }

    /// Removes the order's mark, if it is there, and puts its pieces back unless they are to stay taken.
    fn settle(&mut self, order: OrderId, taken: bool) -> bool {
        let Some(at) = self.marks.iter().position(|mark| mark.order_id == order) else {
            return false;
        };
        let mark = self.marks.remove(at);
        if !taken {
            self.quantity = self.quantity.saturating_add(mark.quantity);
        }
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

    /// Removes the marks of an order that was decided.
    pub fn settle(&mut self, order: OrderId, taken: bool) {
        for slot in self.products.values_mut() {
            slot.changed |= slot.product.document.settle(order, taken);
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

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::{Quantity, Timestamp};
    use proptest::prelude::*;

    fn order(n: u8) -> OrderId {
        OrderId::new(Timestamp::from_millis(i64::from(n)), [n; 10])
    }

    fn product_id(n: u8) -> ProductId {
        format!("P{n}").parse().unwrap()
    }

    fn shelf(quantities: &[u64]) -> Shelf {
        Shelf::new(quantities.iter().zip(0..).map(|(quantity, n)| Versioned {
            version: 1,
            document: Product::new(product_id(n), *quantity, Money::ZERO),
        }))
    }

    fn items(lines: &[(u8, u32)]) -> Vec<Item> {
        lines
            .iter()
            .map(|(product, pieces)| Item {
                product_id: product_id(*product),
                quantity: Quantity::new(*pieces).unwrap(),
                price: Money::ZERO,
            })
            .collect()
    }

    fn left(shelf: &Shelf) -> Vec<u64> {
        shelf
            .products
            .values()
            .map(|slot| slot.product.document.quantity)
            .collect()
    }

    #[test]
    fn all_items_or_none() {
        let mut shelf = shelf(&[5, 1]);
        let lines = items(&[(0, 2), (1, 2)]);
        let decision = shelf.take(Demand {
            order_id: order(1),
            items: &lines,
        });
        assert_eq!(
            decision,
            Decision::Rejected("product P1 has 1 left, 2 are ordered".to_owned())
        );
        assert_eq!(left(&shelf), [5, 1]);
        assert!(shelf.changed().is_empty());
    }

    #[test]
    fn lines_of_one_product_add_up() {
        let mut shelf = shelf(&[5]);
        let lines = items(&[(0, 3), (0, 3)]);
        assert!(matches!(
            shelf.take(Demand {
                order_id: order(1),
                items: &lines
            }),
            Decision::Rejected(_)
        ));
        let lines = items(&[(0, 3), (0, 2)]);
        assert_eq!(
            shelf.take(Demand {
                order_id: order(1),
                items: &lines
            }),
            Decision::Taken
        );
        assert_eq!(left(&shelf), [0]);
    }

    #[test]
    fn an_unknown_product_is_named() {
        let decision = shelf(&[5]).take(Demand {
            order_id: order(1),
            items: &items(&[(7, 1)]),
        });
        assert_eq!(
            decision,
            Decision::Rejected("product P7 is unknown".to_owned())
        );
    }

    #[test]
    fn a_rejected_order_gives_back_what_it_has() {
        let mut shelf = shelf(&[5]);
        shelf.take(Demand {
            order_id: order(1),
            items: &items(&[(0, 4)]),
        });
        shelf.settle(order(1), false);
        assert_eq!(left(&shelf), [5]);
        shelf.settle(order(1), false);
        assert_eq!(left(&shelf), [5], "only once");
    }

    proptest! {
        /// Orders in any order, each as often as it likes, settled or not in between: the pieces add up, and an order
        /// holds its pieces once.
        #[test]
        fn no_piece_is_taken_twice_or_lost(
            start in proptest::collection::vec(0u64..20, 3),
            steps in proptest::collection::vec((0u8..6, any::<bool>()), 0..60),
            orders in proptest::collection::vec(proptest::collection::vec((0u8..3, 1u32..6), 1..4), 6),
        ) {
            let mut shelf = shelf(&start);
            let mut sold = vec![0u64; 3];
            let mut decided: BTreeMap<u8, Decision> = BTreeMap::new();
            for (n, settle) in steps {
                let lines = items(&orders[usize::from(n)]);
                let demand = Demand { order_id: order(n), items: &lines };
                match decided.get(&n) {
                    Some(decision) if settle => {
                        shelf.settle(order(n), *decision == Decision::Taken);
                    }
                    Some(_) => {}
                    None => {
                        let decision = shelf.take(demand);
                        if decision == Decision::Taken {
                            for (product, pieces) in demand.by_product() {
                                sold[usize::from(product.as_str().as_bytes()[1] - b'0')] += pieces;
                            }
                        }
                        decided.insert(n, decision);
                    }
                }
                let sum: Vec<u64> = left(&shelf).iter().zip(&sold).map(|(l, s)| l + s).collect();
                prop_assert_eq!(&sum, &start);
            }
        }
    }
}
