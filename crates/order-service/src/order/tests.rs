use proptest::prelude::*;

use super::*;

fn order() -> Order {
    let created_at = Timestamp::from_millis(1);
    Order {
        order_id: OrderId::new(created_at, [1; 10]),
        customer_id: "c".parse().unwrap(),
        items: Vec::new(),
        shipping_address: "1 Main Street".parse().unwrap(),
        total_amount: Money::ZERO,
        status: OrderStatus::Pending,
        reason: None,
        created_at,
        cancel_requested_at: None,
        facts: Facts::default(),
        history: Order::beginning(created_at),
        unpublished: true,
    }
}

fn progress(fact: Fact, reason: Option<&str>) -> Progress {
    let step = contracts::Step {
        topic: "test",
        status: "TEST",
    };
    Progress {
        order_id: order().order_id,
        fact,
        reason: reason.map(str::to_owned),
        timestamp: Timestamp::from_millis(2),
        event_id: EventId::of(order().order_id, step),
    }
}

const PAID: Fact = Fact::Payment(PaymentStatus::Completed);
const DECLINED: Fact = Fact::Payment(PaymentStatus::Declined);
const REFUNDED: Fact = Fact::Payment(PaymentStatus::Refunded);
const CALLED_OFF: Fact = Fact::Payment(PaymentStatus::Cancelled);
const TAKEN: Fact = Fact::Inventory(InventoryStatus::Updated);
const REJECTED: Fact = Fact::Inventory(InventoryStatus::Rejected);
const RELEASED: Fact = Fact::Inventory(InventoryStatus::Released);
const PACKED: Fact = Fact::Shipment(ShipmentStatus::Processing);
const SHIPPED: Fact = Fact::Shipment(ShipmentStatus::Shipped);
const STOPPED: Fact = Fact::Shipment(ShipmentStatus::Cancelled);

/// Every way that the services can go with an order, and the statuses that it comes to.
fn ways() -> Vec<(Vec<Fact>, Vec<OrderStatus>)> {
    use OrderStatus::{Cancelled, Declined, Paid, Pending, Refunded, Rejected, Reserved, Shipped};
    vec![
        (
            vec![PAID, TAKEN, PACKED, SHIPPED],
            vec![Pending, Paid, Reserved, Shipped],
        ),
        (vec![DECLINED], vec![Pending, Declined]),
        (vec![DECLINED, STOPPED, RELEASED], vec![Pending, Declined]),
        (
            vec![PAID, REJECTED, REFUNDED],
            vec![Pending, Paid, Rejected, Refunded],
        ),
        (
            vec![PAID, REJECTED, STOPPED, REFUNDED],
            vec![Pending, Paid, Rejected, Refunded],
        ),
        (
            vec![STOPPED, RELEASED, CALLED_OFF],
            vec![Pending, Cancelled],
        ),
        (
            vec![PAID, STOPPED, RELEASED, REFUNDED],
            vec![Pending, Paid, Cancelled],
        ),
        (
            vec![PAID, TAKEN, PACKED, STOPPED, RELEASED, REFUNDED],
            vec![Pending, Paid, Reserved, Cancelled],
        ),
    ]
}

fn statuses(order: &Order) -> Vec<OrderStatus> {
    order.history.iter().map(|past| past.status).collect()
}

fn a_way() -> impl Strategy<Value = (Vec<Fact>, Vec<OrderStatus>)> {
    proptest::sample::select(ways()).prop_flat_map(|(facts, comes_to)| {
        let again = proptest::collection::vec(proptest::sample::select(facts.clone()), 0..5);
        let events = again.prop_map(move |again| [facts.clone(), again].concat());
        (events.prop_shuffle(), Just(comes_to))
    })
}

proptest! {
    #[test]
    fn events_in_any_order_and_number_come_to_the_same((events, comes_to) in a_way()) {
        let mut order = order();
        let mut last = order.status;
        for fact in events {
            order.advance(&progress(fact, None));
            prop_assert!(rank(order.status) >= rank(last), "{last} before {}", order.status);
            prop_assert_eq!(Some(order.status), statuses(&order).last().copied());
            last = order.status;
        }
        prop_assert_eq!(statuses(&order), comes_to);
    }
}

#[test]
fn a_rejection_keeps_its_reason_and_is_refunded() {
    let mut order = order();
    assert!(order.advance(&progress(REJECTED, Some("none left"))));
    assert!(
        order.advance(&progress(PAID, None)),
        "a step of its history"
    );
    assert_eq!(
        (order.status, order.reason.as_deref()),
        (OrderStatus::Rejected, Some("none left"))
    );
    assert!(order.advance(&progress(REFUNDED, Some("none left"))));
    assert!(!order.advance(&progress(REFUNDED, Some("none left"))));
    assert_eq!(order.status, OrderStatus::Refunded);
}

#[test]
fn a_late_step_takes_its_place_in_the_history() {
    let mut order = order();
    order.advance(&progress(SHIPPED, None));
    order.advance(&Progress {
        timestamp: Timestamp::from_millis(1_500),
        ..progress(PAID, None)
    });
    assert_eq!(
        statuses(&order),
        [
            OrderStatus::Pending,
            OrderStatus::Paid,
            OrderStatus::Shipped
        ]
    );
    assert_eq!(
        (order.history[1].timestamp, &*order.history[1].cause),
        (Timestamp::from_millis(1_500), "payment_processed COMPLETED")
    );
}

#[test]
fn the_event_of_an_order_is_the_same_however_far_the_order_is() {
    let mut later = order();
    later.advance(&progress(SHIPPED, None));
    assert_eq!(later.placed(), order().placed());
}

#[test]
fn an_order_can_be_asked_back_until_it_has_ended() {
    let now = Timestamp::from_millis(9);
    for (facts, outcome) in [
        (vec![], Cancellation::Requested),
        (vec![PAID, TAKEN, PACKED], Cancellation::Requested),
        (vec![SHIPPED], Cancellation::TooLate),
        (vec![DECLINED], Cancellation::TooLate),
        (vec![PAID, REJECTED], Cancellation::TooLate),
        (vec![CALLED_OFF], Cancellation::Done),
    ] {
        let mut order = order();
        for fact in &facts {
            order.advance(&progress(*fact, None));
        }
        assert_eq!(order.cancel(now), outcome, "{facts:?}");
        let event = order.cancelled();
        assert_eq!(
            event.is_some(),
            outcome == Cancellation::Requested,
            "{facts:?}"
        );
    }
}

#[test]
fn asking_twice_is_asking_once() {
    let mut order = order();
    order.cancel(Timestamp::from_millis(9));
    let asked = order.clone();
    assert_eq!(
        order.cancel(Timestamp::from_millis(10)),
        Cancellation::Requested
    );
    assert_eq!(order, asked);
}

/// An event of another service shows that `order_placed` was read, and says nothing of `order_cancelled`.
#[test]
fn a_cancellation_stays_to_be_published_until_it_is_seen_to_be_read() {
    let mut order = order();
    order.cancel(Timestamp::from_millis(9));
    order.advance(&progress(PAID, None));
    assert!(order.unpublished);
    order.advance(&progress(STOPPED, None));
    assert!(!order.unpublished);
}
