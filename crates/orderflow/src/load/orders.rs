//! The orders of a load: which they are follows from the seed and the products alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use contracts::{CustomerId, Item, Money, ProductId, Quantity, ShippingAddress, total_of};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use super::LoadError;

/// The most products of an order.
const MOST_LINES: usize = 3;
/// The most pieces of a line.
const MOST_PIECES: u32 = 2;
/// How many customers there are.
const CUSTOMERS: u32 = 10_000;

/// A product as the inventory tells it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Product {
    pub(crate) product_id: ProductId,
    pub(crate) price: Money,
}

/// The body of POST /orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct NewOrder {
    pub(crate) customer_id: CustomerId,
    pub(crate) items: Vec<Item>,
    pub(crate) shipping_address: ShippingAddress,
    pub(crate) total_amount: Money,
    /// Whether it is asked back.
    #[serde(skip)]
    pub(crate) cancel: bool,
}

/// Orders without end, the same ones for the same seed, products and share of cancellations.
#[derive(Debug)]
pub(crate) struct Orders {
    seed: u64,
    random: StdRng,
    products: Arc<[Product]>,
    cancel_percent: u8,
    address: ShippingAddress,
}

impl Orders {
    /// # Errors
    ///
    /// [`LoadError::NoProducts`], [`LoadError::TooDear`].
    pub(crate) fn new(
        products: Arc<[Product]>,
        seed: u64,
        cancel_percent: u8,
    ) -> Result<Self, LoadError> {
        if products.is_empty() {
            return Err(LoadError::NoProducts);
        }
        let most = Quantity::new(MOST_LINES as u32 * MOST_PIECES).map_err(LoadError::quantity)?;
        if let Some(dear) = products
            .iter()
            .find(|p| p.price.checked_mul(most).is_none())
        {
            return Err(LoadError::TooDear(dear.product_id.clone()));
        }
        Ok(Self {
            seed,
            random: StdRng::seed_from_u64(seed),
            products,
            cancel_percent,
            address: "1 Main Street, Springfield"
                .parse()
                .map_err(LoadError::text)?,
        })
    }

    /// The next order.
    ///
    /// # Errors
    ///
    /// None that [`Orders::new`] has not met before.
    pub(crate) fn next_order(&mut self) -> Result<NewOrder, LoadError> {
        let customer = self.random.random_range(0..CUSTOMERS);
        let lines = self
            .random
            .random_range(1..=MOST_LINES.min(self.products.len()));
        let mut items: Vec<Item> = Vec::with_capacity(lines);
        while items.len() < lines {
            let product = &self.products[self.random.random_range(0..self.products.len())];
            let pieces = self.random.random_range(1..=MOST_PIECES);
            if items
                .iter()
                .any(|item| item.product_id == product.product_id)
            {
                continue;
            }
            items.push(Item {
                product_id: product.product_id.clone(),
                quantity: Quantity::new(pieces).map_err(LoadError::quantity)?,
                price: product.price,
            });
        }
        let total_amount =
            total_of(&items).ok_or_else(|| LoadError::TooDear(items[0].product_id.clone()))?;
        Ok(NewOrder {
            customer_id: format!("C{customer:05}").parse().map_err(LoadError::text)?,
            items,
            shipping_address: self.address.clone(),
            total_amount,
            cancel: self.random.random_range(0..100) < self.cancel_percent,
        })
    }

    /// How many pieces of each product the first so many orders want.
    pub(crate) fn demand(&self, orders: u64) -> Result<BTreeMap<ProductId, u64>, LoadError> {
        let mut ahead = Self::new(Arc::clone(&self.products), self.seed, self.cancel_percent)?;
        let mut demand: BTreeMap<ProductId, u64> = BTreeMap::new();
        for _ in 0..orders {
            for item in ahead.next_order()?.items {
                *demand.entry(item.product_id).or_default() += u64::from(item.quantity.get());
            }
        }
        Ok(demand)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn products(count: usize) -> Arc<[Product]> {
        (1..=count)
            .map(|n| Product {
                product_id: format!("P{n:03}").parse().unwrap(),
                price: Money::from_cents(999 + n as i64).unwrap(),
            })
            .collect()
    }

    fn some(seed: u64, products: &Arc<[Product]>, cancel: u8) -> Vec<NewOrder> {
        let mut orders = Orders::new(Arc::clone(products), seed, cancel).unwrap();
        (0..200).map(|_| orders.next_order().unwrap()).collect()
    }

    #[test]
    fn the_same_seed_is_the_same_orders() {
        let products = products(5);
        assert_eq!(some(7, &products, 30), some(7, &products, 30));
        assert_ne!(some(7, &products, 30), some(8, &products, 30));
    }

    #[test]
    fn what_is_ordered_does_not_depend_on_what_is_asked_back() {
        let products = products(5);
        let with = some(7, &products, 30);
        let cancelled = with.iter().filter(|order| order.cancel).count();
        assert!((20..120).contains(&cancelled), "{cancelled} of 200");
        let items = |orders: Vec<NewOrder>| orders.into_iter().map(|o| o.items).collect::<Vec<_>>();
        let without = some(7, &products, 0);
        assert!(without.iter().all(|order| !order.cancel));
        assert_eq!(items(with), items(without));
        assert!(some(7, &products, 100).iter().all(|order| order.cancel));
    }

    #[test]
    fn an_order_is_of_different_products_and_its_total_is_exact() {
        for products in [products(1), products(2), products(9)] {
            for order in some(1, &products, 0) {
                let mut of: Vec<_> = order.items.iter().map(|item| &item.product_id).collect();
                of.sort();
                of.dedup();
                assert_eq!(of.len(), order.items.len());
                assert!((1..=3).contains(&of.len()), "{order:?}");
                assert_eq!(Some(order.total_amount), total_of(&order.items));
            }
        }
    }

    #[test]
    fn the_demand_is_that_of_the_first_orders() {
        let mut orders = Orders::new(products(3), 5, 0).unwrap();
        let demand = orders.demand(100).unwrap();
        let mut ordered: BTreeMap<ProductId, u64> = BTreeMap::new();
        for _ in 0..100 {
            for item in orders.next_order().unwrap().items {
                *ordered.entry(item.product_id).or_default() += u64::from(item.quantity.get());
            }
        }
        assert_eq!(demand, ordered);
    }

    #[test]
    fn there_must_be_products_that_can_be_paid_for() {
        assert!(matches!(
            Orders::new(Arc::from([]), 1, 0),
            Err(LoadError::NoProducts)
        ));
        let dear = Product {
            product_id: "GOLD".parse().unwrap(),
            price: Money::MAX,
        };
        assert!(matches!(
            Orders::new(Arc::from([dear]), 1, 0),
            Err(LoadError::TooDear(_))
        ));
    }
}
