//! The stock that a shop starts with, as a setting.

use std::str::FromStr;

use contracts::{Money, ProductId};
use inventory_service::stock::Product;

/// What the shop starts with where nothing else is said.
pub const DEFAULT: &str = "P001:100:29.99,P002:50:49.99,P003:75:19.99";

/// Products, their quantities and prices: `product:quantity:price`, separated by commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stock(pub Vec<Product>);

impl FromStr for Stock {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut products: Vec<Product> = Vec::new();
        for text in text.split(',') {
            let product = product(text)?;
            let id = &product.product_id;
            // Which of the two was meant, or their sum, is not for us to guess.
            if products.iter().any(|known| known.product_id == *id) {
                return Err(format!("product {id} is there twice"));
            }
            products.push(product);
        }
        Ok(Self(products))
    }
}

fn product(text: &str) -> Result<Product, String> {
    let mut parts = text.trim().splitn(3, ':');
    let (Some(id), Some(quantity), Some(price)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(format!("{text:?} is not product:quantity:price"));
    };
    let id: ProductId = id.parse().map_err(|e| format!("product {id:?} {e}"))?;
    let quantity = quantity
        .parse()
        .map_err(|e| format!("quantity {quantity:?} of {id}: {e}"))?;
    let price: Money = price
        .parse()
        .map_err(|e| format!("price {price:?} of {id} {e}"))?;
    Ok(Product::new(id, quantity, price))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_shop_of_the_readme() {
        let Stock(products) = DEFAULT.parse().unwrap();
        let rows: Vec<_> = products
            .iter()
            .map(|p| (p.product_id.as_str(), p.quantity, p.price.cents()))
            .collect();
        assert_eq!(
            rows,
            [("P001", 100, 2999), ("P002", 50, 4999), ("P003", 75, 1999)]
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, named) in [
            ("P001:1", "P001:1"),
            ("P001:-1:2", "-1"),
            ("P001:1:0.001", "0.001"),
            ("", "\"\""),
            ("P001:1:2,P002:1:2,P001:5:2", "P001 is there twice"),
        ] {
            let error = text.parse::<Stock>().unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
