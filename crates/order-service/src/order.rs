//! An order: what was ordered, and how far it is.

use contracts::{
    CustomerId, Item, Money, OrderId, OrderPlaced, OrderStatus, ShippingAddress, Timestamp,
};
use serde::{Deserialize, Serialize};
use service_kit::store::{Document, Index, Value};

/// The database of this service.
pub const DATABASE: &str = "order_db";

/// The field that is there while `order_placed` may not have been published.
pub const UNPUBLISHED: &str = "unpublished";

/// An order. Its document is also the outbox: it says whether its event still has to be published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The order's id; sorts by the time at which it was placed.
    pub order_id: OrderId,
    /// Who ordered.
    pub customer_id: CustomerId,
    /// What was ordered.
    pub items: Vec<Item>,
    /// Where it goes.
    pub shipping_address: ShippingAddress,
    /// What is to be paid: the sum of the items.
    pub total_amount: Money,
    /// How far it is.
    pub status: OrderStatus,
    /// Why it ended without a shipment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was placed.
    pub created_at: Timestamp,
    /// Present, and true, until the event is known to be in Kafka.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unpublished: bool,
}

/// What an event says of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Which order.
    pub order_id: OrderId,
    /// How far it is, as far as this event tells.
    pub status: OrderStatus,
    /// Why, where it ends the order.
    pub reason: Option<String>,
}

impl Order {
    /// The event that tells of this order.
    pub fn placed(&self) -> OrderPlaced {
        OrderPlaced {
            order_id: self.order_id,
            customer_id: self.customer_id.clone(),
            items: self.items.clone(),
            shipping_address: self.shipping_address.clone(),
            total_amount: self.total_amount,
            // As it was when the order was placed, however far it has come since.
            status: OrderStatus::Pending,
            timestamp: self.created_at,
        }
    }

    /// Takes in what an event says; returns whether that changes the order.
    ///
    /// Events come from three topics, each in its own time and perhaps twice: a status never goes back.
    pub fn advance(&mut self, progress: &Progress) -> bool {
        let before = (self.status, self.unpublished);
        if rank(progress.status) > rank(self.status) {
            self.status = progress.status;
            self.reason.clone_from(&progress.reason);
        }
        // Whoever reacts to the order has read its event, so it is published: this saves the relay a write.
        self.unpublished = false;
        before != (self.status, self.unpublished)
    }
}

/// How far a status is along the way. Of two that end an order the first to come stays.
fn rank(status: OrderStatus) -> u8 {
    match status {
        OrderStatus::Pending => 0,
        OrderStatus::Paid => 1,
        OrderStatus::Reserved => 2,
        OrderStatus::Rejected => 3,
        OrderStatus::Shipped
        | OrderStatus::Declined
        | OrderStatus::Refunded
        | OrderStatus::Cancelled => 4,
    }
}

impl Document for Order {
    type Id = OrderId;
    const COLLECTION: &'static str = "orders";
    const INDEXES: &'static [Index] = &[Index::on(UNPUBLISHED)];

    fn id(&self) -> OrderId {
        self.order_id
    }

    fn field(&self, name: &str) -> Option<Value> {
        (name == UNPUBLISHED && self.unpublished).then_some(Value::Boolean(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
            unpublished: true,
        }
    }

    fn progress(status: OrderStatus) -> Progress {
        Progress {
            order_id: order().order_id,
            status,
            reason: None,
        }
    }

    proptest! {
        #[test]
        fn events_in_any_order_and_number_end_in_the_same_status(
            steps in Just([OrderStatus::Paid, OrderStatus::Reserved, OrderStatus::Shipped]).prop_shuffle(),
            again in proptest::collection::vec(0usize..3, 0..5),
        ) {
            let mut order = order();
            let mut last = order.status;
            for status in steps.iter().copied().chain(again.into_iter().map(|at| steps[at])) {
                order.advance(&progress(status));
                prop_assert!(rank(order.status) >= rank(last));
                last = order.status;
            }
            prop_assert_eq!(order.status, OrderStatus::Shipped);
        }
    }

    #[test]
    fn a_rejection_keeps_its_reason_and_a_late_payment_does_not_revive_the_order() {
        let mut order = order();
        let rejected = Progress {
            reason: Some("none left".to_owned()),
            ..progress(OrderStatus::Rejected)
        };
        assert!(order.advance(&rejected));
        assert!(!order.advance(&progress(OrderStatus::Paid)));
        assert_eq!(
            (order.status, order.reason.as_deref()),
            (OrderStatus::Rejected, Some("none left"))
        );
    }

    #[test]
    fn the_event_of_an_order_is_the_same_however_far_the_order_is() {
        let mut later = order();
        later.advance(&progress(OrderStatus::Shipped));
        assert_eq!(later.placed(), order().placed());
    }
}
