//! A right set of facts, broken in every way.

use contracts::{EventId, Item, Money, OrderId, OrderStatus, PaymentStatus, ProductId, Quantity};
use contracts::{ShipmentStatus, Timestamp};

use super::*;

const SHIPPED: u8 = 1;
const DECLINED: u8 = 2;
const DECLINED_ASKED_BACK: u8 = 3;
const REFUNDED: u8 = 4;
const REFUNDED_ASKED_BACK: u8 = 5;
const CALLED_OFF: u8 = 6;
const CANCELLED_PAID: u8 = 7;
const CANCELLED_RESERVED: u8 = 8;

fn id(n: u8) -> OrderId {
    OrderId::new(Timestamp::from_millis(1_000 + i64::from(n)), [n; 10])
}

fn product() -> ProductId {
    "P001".parse().unwrap()
}

fn items() -> Vec<Item> {
    vec![Item {
        product_id: product(),
        quantity: Quantity::new(2).unwrap(),
        price: Money::from_cents(500).unwrap(),
    }]
}

fn content(n: u8) -> Content {
    let customer = format!("C{n}").parse().unwrap();
    Content::of(&customer, &items(), &"1 Main Street".parse().unwrap())
}

fn total() -> Money {
    Money::from_cents(1000).unwrap()
}

/// An order, its payment and its shipment, and its events.
fn put(
    facts: &mut Facts,
    n: u8,
    history: &[OrderStatus],
    payment: PaymentStatus,
    shipment: Option<ShipmentStatus>,
    events: &[Told],
) {
    let order = OrderFact {
        status: *history.last().unwrap(),
        history: history.to_vec(),
        asked_back: events.contains(&Told::AskedBack),
        items: items(),
        total: total(),
        content: content(n),
    };
    facts.orders.insert(id(n), order);
    let amount = total();
    let status = payment;
    facts.payments.insert(id(n), PaymentFact { status, amount });
    if let Some(status) = shipment {
        let content = content(n);
        facts
            .shipments
            .insert(id(n), ShipmentFact { status, content });
    }
    facts.event(id(n), event(n, Told::Placed));
    for told in events {
        facts.event(id(n), event(n, *told));
    }
}

fn event(n: u8, told: Told) -> EventFact {
    let with_amount = matches!(
        told,
        Told::Placed | Told::Paid | Told::Declined | Told::Refunded | Told::CalledOff
    );
    EventFact {
        told,
        id: EventId::of(id(n), told.step()),
        content: content(n),
        amount: with_amount.then(total),
        times: 1,
    }
}

type Way = (
    u8,
    &'static [OrderStatus],
    PaymentStatus,
    Option<ShipmentStatus>,
    &'static [Told],
);

const STOPPED: Option<ShipmentStatus> = Some(ShipmentStatus::Cancelled);

/// An order of each way: its history, its payment and its shipment, and its events besides the first.
const WAYS: [Way; 8] = {
    use OrderStatus::{Cancelled, Declined, Paid, Pending, Refunded, Rejected, Reserved, Shipped};
    use PaymentStatus as P;
    use Told as T;
    let shipped = Some(ShipmentStatus::Shipped);
    [
        (
            SHIPPED,
            &[Pending, Paid, Reserved, Shipped],
            P::Completed,
            shipped,
            &[T::Paid, T::Taken, T::Packed, T::Shipped],
        ),
        (
            DECLINED,
            &[Pending, Declined],
            P::Declined,
            None,
            &[T::Declined],
        ),
        (
            DECLINED_ASKED_BACK,
            &[Pending, Declined],
            P::Declined,
            STOPPED,
            &[T::AskedBack, T::Declined, T::Stopped, T::Released],
        ),
        (
            REFUNDED,
            &[Pending, Paid, Rejected, Refunded],
            P::Refunded,
            None,
            &[T::Paid, T::Rejected, T::Refunded],
        ),
        (
            REFUNDED_ASKED_BACK,
            &[Pending, Paid, Rejected, Refunded],
            P::Refunded,
            STOPPED,
            &[T::AskedBack, T::Paid, T::Rejected, T::Stopped, T::Refunded],
        ),
        (
            CALLED_OFF,
            &[Pending, Cancelled],
            P::Cancelled,
            STOPPED,
            &[T::AskedBack, T::Stopped, T::Released, T::CalledOff],
        ),
        (
            CANCELLED_PAID,
            &[Pending, Paid, Cancelled],
            P::Refunded,
            STOPPED,
            &[T::AskedBack, T::Paid, T::Stopped, T::Released, T::Refunded],
        ),
        (
            CANCELLED_RESERVED,
            &[Pending, Paid, Reserved, Cancelled],
            P::Refunded,
            STOPPED,
            &[
                T::AskedBack,
                T::Paid,
                T::Taken,
                T::Stopped,
                T::Released,
                T::Refunded,
            ],
        ),
    ]
};

fn right() -> Facts {
    let mut facts = Facts::default();
    for (n, history, payment, shipment, events) in WAYS {
        put(&mut facts, n, history, payment, shipment, events);
    }
    let (initial, restocked) = (10, 5);
    // The two pieces of the one order that was shipped.
    let stock = ProductFact {
        quantity: 13,
        initial,
        restocked,
    };
    facts.products.insert(product(), stock);
    facts
}

/// What is found once `damage` was done to what is right: as text, and all of it about the same.
fn found(about: &str, damage: impl FnOnce(&mut Facts)) -> String {
    let mut facts = right();
    damage(&mut facts);
    let violations = check(&facts);
    assert!(!violations.is_empty(), "nothing found of {about}");
    for violation in &violations {
        assert_eq!(violation.about, about, "{violation}");
    }
    let texts: Vec<String> = violations.iter().map(Violation::to_string).collect();
    texts.join("\n")
}

fn order_found(n: u8, damage: impl FnOnce(&mut Facts)) -> String {
    found(&format!("order {}", id(n)), damage)
}

#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text}");
    }
}

#[test]
fn what_is_right_is_found_right() {
    assert_eq!(check(&right()), []);
    assert_eq!(check(&Facts::default()), []);
}

#[test]
fn an_order_that_is_not_final_is_found() {
    use OrderStatus::{Paid, Pending, Rejected};
    for history in [&[Pending][..], &[Pending, Paid], &[Pending, Paid, Rejected]] {
        let text = order_found(REFUNDED, |facts| {
            let order = facts.orders.get_mut(&id(REFUNDED)).unwrap();
            order.status = *history.last().unwrap();
            order.history = history.to_vec();
        });
        says(&text, &["a final status"]);
    }
}

#[test]
fn a_payment_that_does_not_fit_the_end_is_found() {
    for n in SHIPPED..=CANCELLED_RESERVED {
        let right_one = right().payments[&id(n)].status;
        for status in PaymentStatus::ALL.iter().filter(|s| **s != right_one) {
            let text = order_found(n, |facts| {
                facts.payments.get_mut(&id(n)).unwrap().status = *status;
            });
            says(&text, &[status.as_str(), right_one.as_str()]);
        }
        let text = order_found(n, |facts| {
            facts.payments.remove(&id(n));
        });
        says(&text, &["a payment that is", "found none"]);
        let text = order_found(n, |facts| {
            facts.payments.get_mut(&id(n)).unwrap().amount = Money::from_cents(999).unwrap();
        });
        says(&text, &["10.00", "9.99"]);
    }
}

#[test]
fn a_shipment_that_does_not_fit_the_end_is_found() {
    for n in SHIPPED..=CANCELLED_RESERVED {
        let status = match right().shipments.get(&id(n)) {
            Some(shipment) if shipment.status == ShipmentStatus::Shipped => {
                ShipmentStatus::Cancelled
            }
            _ => ShipmentStatus::Shipped,
        };
        let content = content(n);
        let text = order_found(n, |facts| {
            facts
                .shipments
                .insert(id(n), ShipmentFact { status, content });
        });
        says(&text, &["as the order is", status.as_str()]);
    }
    for n in [SHIPPED, CALLED_OFF, CANCELLED_PAID, CANCELLED_RESERVED] {
        let text = order_found(n, |facts| {
            facts.shipments.remove(&id(n));
        });
        says(&text, &["no shipment"]);
        let text = order_found(n, |facts| {
            facts.shipments.get_mut(&id(n)).unwrap().content = content(0);
        });
        says(&text, &["a shipment of the order's items"]);
    }
    // It was not asked back, so nobody stopped anything.
    order_found(REFUNDED, |facts| {
        let (status, content) = (ShipmentStatus::Cancelled, content(REFUNDED));
        facts
            .shipments
            .insert(id(REFUNDED), ShipmentFact { status, content });
    });
}

#[test]
fn what_belongs_to_no_order_is_found() {
    let text = order_found(REFUNDED, |facts| {
        facts.orders.remove(&id(REFUNDED));
    });
    says(&text, &["no payment of an order"]);
    let text = order_found(0, |facts| {
        let (status, content) = (ShipmentStatus::Shipped, content(0));
        facts
            .shipments
            .insert(id(0), ShipmentFact { status, content });
    });
    says(&text, &["no shipment of an order"]);
    let text = order_found(SHIPPED, |facts| {
        facts
            .listed_twice
            .push((names::SHIPMENT_SERVICE, id(SHIPPED)));
    });
    says(&text, &["twice", "shipment-service"]);
}

#[test]
fn what_was_placed_since_is_left_out() {
    let mut facts = right();
    let (status, amount) = (PaymentStatus::Completed, total());
    facts
        .payments
        .insert(id(99), PaymentFact { status, amount });
    facts.event(id(99), event(99, Told::Placed));
    // It may have taken its pieces.
    facts.products.get_mut(&product()).unwrap().quantity -= 2;
    assert_eq!(check(&facts), []);
    assert_eq!(Verified::of(&facts).events_of_unknown_orders, 1);
}

#[test]
fn stock_that_does_not_add_up_is_found() {
    for quantity in [12, 14, 0] {
        let text = found("product P001", |facts| {
            facts.products.get_mut(&product()).unwrap().quantity = quantity;
        });
        says(
            &text,
            &[
                "10 initial + 5 restocked",
                &format!("a quantity of {quantity}"),
            ],
        );
    }
    let text = found("product P001", |facts| {
        facts.products.get_mut(&product()).unwrap().restocked += 1;
    });
    says(&text, &["6 restocked"]);
}

#[test]
fn pieces_of_an_order_that_is_reserved_are_out_of_the_stock() {
    let about_stock = |quantity| {
        let mut facts = right();
        let order = facts.orders.get_mut(&id(SHIPPED)).unwrap();
        order.history.pop();
        order.status = OrderStatus::Reserved;
        facts.products.get_mut(&product()).unwrap().quantity = quantity;
        let violations = check(&facts);
        violations.iter().any(|v| v.about == "product P001")
    };
    assert!(!about_stock(13));
    assert!(about_stock(15));
    assert!(about_stock(11));
}

#[test]
fn an_event_that_is_missing_or_should_not_be_is_found() {
    for n in SHIPPED..=CANCELLED_RESERVED {
        let there: Vec<Told> = right().events[&id(n)].iter().map(|e| e.told).collect();
        for told in Told::ALL {
            let optional = match n {
                DECLINED_ASKED_BACK => matches!(told, Told::Stopped | Told::Released),
                REFUNDED_ASKED_BACK => told == Told::Stopped,
                _ => false,
            };
            if there.contains(&told) && !optional {
                let text = order_found(n, |facts| {
                    facts
                        .events
                        .get_mut(&id(n))
                        .unwrap()
                        .retain(|e| e.told != told);
                });
                says(&text, &[&told.to_string(), "no such event"]);
            }
            if !there.contains(&told) {
                let text = order_found(n, |facts| facts.event(id(n), event(n, told)));
                says(&text, &[&format!("no {told}")]);
            }
        }
    }
}

#[test]
fn an_event_with_another_id_or_another_content_is_found() {
    let text = order_found(SHIPPED, |facts| {
        let event = EventFact {
            id: EventId::of(id(0), Told::Paid.step()),
            ..event(SHIPPED, Told::Paid)
        };
        facts.event(id(SHIPPED), event);
    });
    says(&text, &["payment_processed COMPLETED", "only"]);
    let text = order_found(SHIPPED, |facts| {
        facts.events.get_mut(&id(SHIPPED)).unwrap()[0].content = content(0);
    });
    says(&text, &["order_placed PENDING", "others"]);
    let text = order_found(SHIPPED, |facts| {
        facts.events.get_mut(&id(SHIPPED)).unwrap()[1].amount = Some(Money::ZERO);
    });
    says(&text, &["payment_processed COMPLETED with 10.00", "0.00"]);
}

#[test]
fn the_same_event_again_is_a_double_and_no_violation() {
    let mut facts = right();
    let before = Verified::of(&facts);
    facts.event(id(SHIPPED), event(SHIPPED, Told::Paid));
    facts.event(id(SHIPPED), event(SHIPPED, Told::Paid));
    let verified = Verified::of(&facts);
    assert_eq!(verified.violations, []);
    assert_eq!((verified.events, verified.doubles), (before.events, 2));
    assert_eq!((verified.orders, verified.paid), (8, 1));
}

#[test]
fn a_history_that_no_order_has_is_found() {
    use OrderStatus::{Paid, Pending, Refunded, Rejected, Reserved, Shipped};
    for history in [
        &[][..],
        &[Shipped],
        &[Pending, Shipped],
        &[Pending, Reserved, Paid, Shipped],
        &[Paid, Reserved, Shipped],
        &[Pending, Paid, Reserved],
        &[Pending, Paid, Reserved, Shipped, Shipped],
    ] {
        let text = order_found(SHIPPED, |facts| {
            facts.orders.get_mut(&id(SHIPPED)).unwrap().history = history.to_vec();
        });
        says(&text, &["a history"]);
    }
    let text = order_found(REFUNDED, |facts| {
        facts.orders.get_mut(&id(REFUNDED)).unwrap().history =
            vec![Pending, Paid, Reserved, Rejected, Refunded];
    });
    says(&text, &["RESERVED, REJECTED"]);
}
