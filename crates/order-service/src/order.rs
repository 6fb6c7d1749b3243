//! An order: what was ordered, and how far it is.

mod status;
#[cfg(test)]
mod tests;

use contracts::{
    CustomerId, EventId, InventoryStatus, Item, Money, OrderCancelled, OrderId, OrderPlaced,
    OrderStatus, PaymentStatus, ShipmentStatus, ShippingAddress, Timestamp,
};
use serde::{Deserialize, Serialize};
use service_kit::store::{Document, Index, Value};

pub use status::Facts;
use status::rank;

/// The database of this service.
pub const DATABASE: &str = "order_db";

/// The field that is there while an event of the order may not have been published.
pub const UNPUBLISHED: &str = "unpublished";

/// An order. Its document is also the outbox: it says whether an event of it still has to be published.
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
    /// How far it is: the last of its history.
    pub status: OrderStatus,
    /// Why it ended, or is about to end, without a shipment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was placed.
    pub created_at: Timestamp,
    /// When the customer asked for it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_requested_at: Option<Timestamp>,
    /// What the other services have said of it so far.
    #[serde(default)]
    pub facts: Facts,
    /// Each status that it came to, the first one first.
    #[serde(default)]
    pub history: Vec<Transition>,
    /// Present, and true, until the events are known to be in Kafka.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unpublished: bool,
}

/// That an order came to a status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// Which.
    pub status: OrderStatus,
    /// When: the time of what caused it, not of when this service learnt of it.
    pub timestamp: Timestamp,
    /// What caused it: `POST /orders`, or the topic and status of an event.
    pub cause: String,
    /// The event that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<EventId>,
}

/// What an event says of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Which order.
    pub order_id: OrderId,
    /// What happened.
    pub fact: Fact,
    /// Why, where it is bad news.
    pub reason: Option<String>,
    /// When.
    pub timestamp: Timestamp,
    /// The event.
    pub event_id: EventId,
}

/// What another service says of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// What became of its payment.
    Payment(PaymentStatus),
    /// Whether its items are taken.
    Inventory(InventoryStatus),
    /// How far its shipment is.
    Shipment(ShipmentStatus),
}

impl Fact {
    fn cause(self) -> String {
        use contracts::names;
        match self {
            Self::Payment(status) => format!("{} {status}", names::PAYMENT_PROCESSED),
            Self::Inventory(status) => format!("{} {status}", names::INVENTORY_UPDATED),
            Self::Shipment(status) => format!("{} {status}", names::SHIPMENT_PROCESSED),
        }
    }
}

/// What comes of asking for an order back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancellation {
    /// It is asked for, now or before; what comes of it is yet to be seen.
    Requested,
    /// It has been cancelled.
    Done,
    /// The order ended otherwise, or is about to: it cannot be cancelled.
    TooLate,
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

    /// The event that tells that the customer wants it back; none where he does not.
    pub fn cancelled(&self) -> Option<OrderCancelled> {
        Some(OrderCancelled {
            order_id: self.order_id,
            customer_id: self.customer_id.clone(),
            items: self.items.clone(),
            shipping_address: self.shipping_address.clone(),
            status: OrderStatus::Cancelled,
            timestamp: self.cancel_requested_at?,
        })
    }

    /// How an order begins.
    pub fn beginning(created_at: Timestamp) -> Vec<Transition> {
        vec![Transition {
            status: OrderStatus::Pending,
            timestamp: created_at,
            cause: "POST /orders".to_owned(),
            event_id: None,
        }]
    }

    /// Asks for the order back, unless that is settled.
    pub fn cancel(&mut self, now: Timestamp) -> Cancellation {
        match self.status {
            OrderStatus::Cancelled => Cancellation::Done,
            OrderStatus::Shipped
            | OrderStatus::Declined
            | OrderStatus::Rejected
            | OrderStatus::Refunded => Cancellation::TooLate,
            OrderStatus::Pending | OrderStatus::Paid | OrderStatus::Reserved => {
                if self.cancel_requested_at.is_none() {
                    self.cancel_requested_at = Some(now);
                    self.unpublished = true;
                }
                Cancellation::Requested
            }
        }
    }

    /// Takes in what an event says; returns whether that changes the order.
    ///
    /// Events come from three topics, each in its own time and perhaps twice. What they say is kept, and the status follows
    /// from all of it: it never goes back, and in the end it does not depend on which came first.
    pub fn advance(&mut self, progress: &Progress) -> bool {
        let learnt = self.facts.learn(progress.fact);
        // What is older than what is known may still be a step that the history lacks.
        let recorded = self.record(progress);
        if learnt && progress.reason.is_some() {
            self.reason.clone_from(&progress.reason);
        }
        // Whoever reacts to the order has read its event, so that is published: this saves the relay a write.
        let seen = self.unpublished
            && (self.cancel_requested_at.is_none()
                || progress.fact == Fact::Shipment(ShipmentStatus::Cancelled));
        self.unpublished &= !seen;
        learnt || recorded || seen
    }

    /// Puts what the fact brings the order to into its history, in its place: an event that comes late tells of a step that
    /// was before. False if all of it is there.
    fn record(&mut self, progress: &Progress) -> bool {
        let before = self.history.len();
        let reached = [progress.fact.reaches(), Some(self.facts.status())];
        for status in reached.into_iter().flatten() {
            let at = self
                .history
                .partition_point(|past| rank(past.status) < rank(status));
            if self
                .history
                .get(at)
                .is_some_and(|past| rank(past.status) == rank(status))
            {
                continue;
            }
            let transition = Transition {
                status,
                timestamp: progress.timestamp,
                cause: progress.fact.cause(),
                event_id: Some(progress.event_id),
            };
            self.history.insert(at, transition);
        }
        if let Some(last) = self.history.last() {
            self.status = last.status;
        }
        self.history.len() > before
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
