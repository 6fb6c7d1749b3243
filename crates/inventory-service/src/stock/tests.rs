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
    shelf.settle(order(1), Fate::NotTaken);
    assert_eq!(left(&shelf), [5]);
    shelf.settle(order(1), Fate::NotTaken);
    assert_eq!(left(&shelf), [5], "only once");
}

#[test]
fn what_a_cancelled_order_had_is_put_back_once() {
    let lines = items(&[(0, 3), (1, 1)]);
    let demand = Demand {
        order_id: order(1),
        items: &lines,
    };
    for settled_before in [false, true] {
        let mut shelf = shelf(&[5, 1]);
        shelf.take(demand);
        if settled_before {
            shelf.settle(order(1), Fate::Taken);
        }
        shelf.put_back(demand);
        assert_eq!(left(&shelf), [5, 1]);
        shelf.settle(order(1), Fate::Returning);
        shelf.put_back(demand);
        assert_eq!(left(&shelf), [5, 1], "only once");
        shelf.settle(order(1), Fate::Returned);
        assert_eq!(left(&shelf), [5, 1]);
        let marks = |slot: &Slot| slot.product.document.marks.len();
        assert!(shelf.products.values().all(|slot| marks(slot) == 0));
    }
}

#[test]
fn a_delivery_is_counted_once_if_it_has_a_key() {
    let mut product = Product::new(product_id(0), 5, Money::ZERO);
    assert!(product.restock(3, Some("monday")));
    assert!(!product.restock(3, Some("monday")) && !product.restock(4, Some("monday")));
    assert_eq!(
        (product.delivered("monday"), product.delivered("tuesday")),
        (Some(3), None)
    );
    assert!(product.restock(3, None) && product.restock(3, None));
    assert_eq!(
        (product.quantity, product.initial, product.restocked),
        (14, 5, 9)
    );
    for day in 0..KEYS {
        assert!(product.restock(1, Some(&format!("day {day}"))));
    }
    assert_eq!(product.deliveries.len(), KEYS);
}

proptest! {
    /// Orders in any order, each as often as it likes, settled or not in between, cancelled at any time: the pieces add up, and
    /// an order holds its pieces once and gives them back once.
    #[test]
    fn no_piece_is_taken_twice_or_lost(
        start in proptest::collection::vec(0u64..20, 3),
        steps in proptest::collection::vec((0u8..6, 0u8..4), 0..80),
        orders in proptest::collection::vec(proptest::collection::vec((0u8..3, 1u32..6), 1..4), 6),
    ) {
        let mut shelf = shelf(&start);
        let mut decided: BTreeMap<u8, Fate> = BTreeMap::new();
        for (n, step) in steps {
            let lines = items(&orders[usize::from(n)]);
            let demand = Demand { order_id: order(n), items: &lines };
            match (decided.get(&n).copied(), step) {
                (None, _) => {
                    let fate = match shelf.take(demand) {
                        Decision::Taken => Fate::Taken,
                        Decision::Rejected(_) => Fate::NotTaken,
                    };
                    decided.insert(n, fate);
                }
                (Some(fate), 0 | 1) => shelf.settle(order(n), fate),
                // Cancelled, then put back as often as somebody does so, until it is noted that it is done.
                (Some(Fate::Taken | Fate::Returning), 2) => {
                    shelf.put_back(demand);
                    decided.insert(n, Fate::Returning);
                }
                (Some(Fate::Returning), _) => {
                    decided.insert(n, Fate::Returned);
                }
                (Some(_), _) => {}
            }
            let mut sum = left(&shelf);
            for (n, _) in decided.iter().filter(|(_, fate)| **fate == Fate::Taken) {
                let lines = items(&orders[usize::from(*n)]);
                for (product, pieces) in (Demand { order_id: order(*n), items: &lines }).by_product() {
                    sum[usize::from(product.as_str().as_bytes()[1] - b'0')] += pieces;
                }
            }
            prop_assert_eq!(&sum, &start);
        }
    }
}
