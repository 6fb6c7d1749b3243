use proptest::prelude::*;
use service_kit::outbox::OutboxDocument;

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
        idempotency_key: None,
        facts: Facts::default(),
        history: Order::beginning(created_at),
        unpublished: true,
        placed_published: false,
    }
}

/// The event that tells of a fact; each has a time and an id of its own.
fn progress(fact: Fact, reason: Option<&str>) -> Progress {
    let (topic, status, at) = match fact {
        Fact::Payment(status) => ("payment", status.as_str(), 10 + status as i64),
        Fact::Inventory(status) => ("inventory", status.as_str(), 20 + status as i64),
        Fact::Shipment(status) => ("shipment", status.as_str(), 30 + status as i64),
    };
    Progress {
        order_id: order().order_id,
        fact,
        reason: reason.map(str::to_owned),
        timestamp: Timestamp::from_millis(at),
        event_id: EventId::of(order().order_id, contracts::Step { topic, status }),
    }
}

/// As the services give their reasons.
fn told(fact: Fact) -> Progress {
    let reason = match fact {
        DECLINED => Some("above the limit"),
        REJECTED => Some("none left"),
        RELEASED | CALLED_OFF => Some("cancelled"),
        _ => None,
    };
    progress(fact, reason)
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

fn a_way() -> impl Strategy<Value = (Vec<Fact>, Vec<Fact>, Vec<OrderStatus>)> {
    proptest::sample::select(ways()).prop_flat_map(|(facts, comes_to)| {
        let again = proptest::collection::vec(proptest::sample::select(facts.clone()), 0..5);
        let in_order = Just(facts.clone());
        let events = again.prop_map(move |again| [facts.clone(), again].concat());
        (in_order, events.prop_shuffle(), Just(comes_to))
    })
}

proptest! {
    #[test]
    fn events_in_any_order_and_number_come_to_the_same((facts, events, comes_to) in a_way()) {
        let mut in_order = order();
        for fact in facts {
            in_order.advance(&told(fact));
        }
        let mut order = order();
        let mut last = order.status;
        for fact in events {
            order.advance(&told(fact));
            prop_assert!(rank(order.status) >= rank(last), "{last} before {}", order.status);
            prop_assert_eq!(Some(order.status), statuses(&order).last().copied());
            last = order.status;
        }
        prop_assert_eq!(statuses(&order), comes_to);
        // All of it: history with its causes and times, and the reason.
        prop_assert_eq!(order, in_order);
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
    order.advance(&progress(PAID, None));
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
        (Timestamp::from_millis(10), "payment_processed COMPLETED")
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
fn a_cancellation_stays_to_be_published_until_the_relay_has_done_so() {
    let mut order = order();
    order.cancel(Timestamp::from_millis(9));
    order.advance(&progress(PAID, None));
    order.advance(&progress(STOPPED, None));
    assert!(order.unpublished);
}

fn published(order: &Order) -> Vec<&'static str> {
    let messages = order.messages().unwrap();
    messages.iter().map(|message| message.topic).collect()
}

#[test]
fn what_is_published_is_not_published_again_for_a_cancellation() {
    let (placed, cancelled) = ("order_placed", "order_cancelled");
    let mut order = order();
    let at_first = order.clone();
    assert_eq!(published(&at_first), [placed]);
    order.cancel(Timestamp::from_millis(9));
    assert_eq!(published(&order), [placed, cancelled]);
    // The relay was on its way when the order was asked back.
    assert!(order.mark_published(&at_first) && order.unpublished);
    assert_eq!(published(&order), [cancelled]);
    let asked = order.clone();
    assert!(order.mark_published(&asked) && !order.unpublished);
    assert!(!order.mark_published(&asked), "that was known");
    assert!(published(&order).is_empty());
    // Nor if it is another service that shows that it was published.
    let mut order = at_first;
    order.advance(&progress(PAID, None));
    order.cancel(Timestamp::from_millis(9));
    assert_eq!(published(&order), [cancelled]);
}

#[test]
fn a_refund_that_is_heard_before_its_cause_waits_for_it() {
    let mut order = order();
    order.advance(&told(REFUNDED));
    assert_eq!(order.status, OrderStatus::Paid);
    order.advance(&told(REJECTED));
    assert_eq!(order.status, OrderStatus::Refunded);
    let last = order.history.last().unwrap();
    assert_eq!(last.cause, "payment_processed REFUNDED");
}

/// A document whose facts are not known, written by hand or by an earlier version, does not go back.
#[test]
fn a_status_that_is_stored_is_not_undone_by_an_old_event() {
    let mut order = order();
    order.status = OrderStatus::Shipped;
    order.history.clear();
    order.advance(&told(PAID));
    assert_eq!(order.status, OrderStatus::Shipped);
}

#[test]
fn the_outbox_waits_since_the_order_was_placed_or_asked_back_once_others_had_read_of_it() {
    use service_kit::outbox::OutboxDocument;

    let asked = Timestamp::from_millis(5_000);
    let mut order = order();
    assert_eq!(order.waiting_since(), order.created_at);
    let mut at_once = order.clone();
    at_once.cancel(asked);
    assert_eq!(at_once.waiting_since(), order.created_at);
    order.advance(&told(PAID));
    order.cancel(asked);
    assert_eq!(order.waiting_since(), asked);
}
