//! Orders that are made up.

use contracts::{CustomerId, Item, Money, ProductId, Quantity, ShippingAddress, total_of};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// The most products of an order.
const MOST_LINES: usize = 3;
/// The most pieces of a line.
const MOST_PIECES: u32 = 2;
/// Where all of them go.
const ADDRESS: &str = "1 Main Street, Springfield";

/// A product as GET /inventory tells it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Stocked {
    pub(super) product_id: ProductId,
    pub(super) quantity: u64,
    price: Money,
}

/// A line of an order.
pub(super) type Line = Item;

/// The body of POST /orders.
#[derive(Debug, Serialize)]
struct NewOrder<'a> {
    customer_id: CustomerId,
    items: &'a [Line],
    shipping_address: ShippingAddress,
    total_amount: Money,
}

/// One to three of the products, a piece or two of each; none where there are no products.
pub(super) fn lines(stock: &[Stocked], random: &mut impl Rng) -> Vec<Line> {
    if stock.is_empty() {
        return Vec::new();
    }
    let wanted = random.random_range(1..=MOST_LINES.min(stock.len()));
    let mut lines: Vec<Line> = Vec::with_capacity(wanted);
    while lines.len() < wanted {
        let product = &stock[random.random_range(0..stock.len())];
        if lines
            .iter()
            .any(|line| line.product_id == product.product_id)
        {
            continue;
        }
        let Ok(quantity) = Quantity::new(random.random_range(1..=MOST_PIECES)) else {
            break;
        };
        lines.push(Item {
            product_id: product.product_id.clone(),
            quantity,
            price: product.price,
        });
    }
    lines
}

/// The order as JSON; none if it cannot be one, since it costs too much.
pub(super) fn body(customer: &str, lines: &[Line]) -> Option<Vec<u8>> {
    let order = NewOrder {
        customer_id: customer.parse().ok()?,
        items: lines,
        shipping_address: ADDRESS.parse().ok()?,
        total_amount: total_of(lines)?,
    };
    serde_json::to_vec(&order).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use serde_json::Value;

    use super::*;

    fn stock(products: usize) -> Vec<Stocked> {
        let product = |n| Stocked {
            product_id: format!("P{n:03}").parse().unwrap(),
            quantity: 5,
            price: Money::from_cents(100).unwrap(),
        };
        (0..products).map(product).collect()
    }

    #[test]
    fn an_order_is_of_one_to_three_different_products() {
        let mut random = StdRng::seed_from_u64(1);
        let mut lengths = BTreeSet::new();
        for _ in 0..200 {
            let lines = lines(&stock(5), &mut random);
            let different: BTreeSet<_> =
                lines.iter().map(|line| line.product_id.as_str()).collect();
            assert_eq!(different.len(), lines.len());
            lengths.insert(lines.len());
        }
        assert_eq!(lengths, BTreeSet::from([1, 2, 3]));
        assert_eq!(lines(&stock(1), &mut random).len(), 1);
        assert!(lines(&[], &mut random).is_empty());
    }

    #[test]
    fn it_costs_what_its_lines_cost() {
        let lines = lines(&stock(5), &mut StdRng::seed_from_u64(2));
        let pieces: u32 = lines.iter().map(|line| line.quantity.get()).sum();
        let order: Value = serde_json::from_slice(&body("C1", &lines).unwrap()).unwrap();
        assert_eq!(order["total_amount"].as_f64(), Some(f64::from(pieces)));
    }
}
