//! An order: what was ordered, and how far it is.

mod status;
#[cfg(test)]
mod tests;

use contracts::{
    CustomerId, EventId, InventoryStatus, Item, Money, OrderCancelled, OrderId, OrderPlaced,
    OrderStatus, PaymentStatus, ShipmentStatus, ShippingAddress, Timestamp,
};
use serde::{Deserialize, Serialize};
use service_kit::store::{Document, Filter, Index, Value};

use status::rank;
pub use status::{Facts, Told};

/// The database of this service.
pub const DATABASE: &str = "order_db";

/// The field that is there while an event of the order may not have been published.
pub const UNPUBLISHED: &str = "unpublished";

/// The field that no two orders have the same value in.
const IDEMPOTENCY_KEY: &str = "idempotency_key";

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
    /// What the client gave so that the same request makes no second order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// What the other services have said of it so far.
    #[serde(default)]
    pub facts: Facts,
    /// Each status that it came to, the first one first.
    #[serde(default)]
    pub history: Vec<Transition>,
    /// Present, and true, until the events are known to be in Kafka.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unpublished: bool,
    /// Whether `order_placed` is known to be in Kafka, so that a cancellation does not publish it again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub placed_published: bool,
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

    /// Whether it asks for the same as another one.
    pub fn asks_for_the_same(&self, other: &Self) -> bool {
        self.customer_id == other.customer_id
            && self.items == other.items
            && self.shipping_address == other.shipping_address
            && self.total_amount == other.total_amount
    }

    /// The other orders with the same key: there is one at most.
    pub fn of_the_same_key(&self) -> Option<Filter> {
        let key = self.idempotency_key.clone()?;
        Some(Filter::all().and(IDEMPOTENCY_KEY, key))
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
    /// from all of it: it never goes back, and in the end neither it nor the history depends on which came first.
    pub fn advance(&mut self, progress: &Progress) -> bool {
        let learnt = self.facts.learn(progress);
        // What is older than what is known may still be a step that the history lacks.
        let recorded = self.record(progress);
        if learnt && progress.reason.is_some() && self.is_reason_of(progress.fact) {
            self.reason.clone_from(&progress.reason);
        }
        // Whoever reacts to the order has read that it was placed: this saves the relay a write. Of a cancellation it says
        // nothing, so that is left to the relay.
        let seen = self.unpublished && self.cancel_requested_at.is_none();
        self.unpublished &= !seen;
        let of_payment = matches!(
            progress.fact,
            Fact::Payment(PaymentStatus::Completed | PaymentStatus::Declined)
        );
        self.placed_published |= seen || of_payment;
        learnt || recorded || seen
    }

    /// Whether the order's end has to do with the fact: one that was declined stays so for its own reason, also when it was
    /// asked back.
    fn is_reason_of(&self, fact: Fact) -> bool {
        self.status != OrderStatus::Declined || matches!(fact, Fact::Payment(_))
    }

    /// Puts what the event brings the order to into its history, in its place: one that comes late tells of a step that was
    /// before. False if all of it is there.
    fn record(&mut self, progress: &Progress) -> bool {
        let mut changed = false;
        if let Some(status) = progress.fact.reaches() {
            changed |= self.note(
                Transition::by(status, &progress.told(), progress.fact),
                true,
            );
        }
        let status = self.facts.status();
        if let Some((told, fact)) = self.facts.cause_of(status) {
            changed |= self.note(Transition::by(status, &told, fact), false);
        }
        if let Some(last) = self.history.last()
            && rank(last.status) >= rank(self.status)
        {
            self.status = last.status;
        }
        changed
    }

    /// Notes a transition unless it is there. One that is there for what another event implied gives way to the event that
    /// tells of it itself.
    fn note(&mut self, transition: Transition, itself: bool) -> bool {
        let new = rank(transition.status);
        let at = self.history.partition_point(|past| rank(past.status) < new);
        match self.history.get_mut(at) {
            Some(past) if rank(past.status) == new => {
                let better = itself && past.event_id != transition.event_id;
                if better {
                    *past = transition;
                }
                better
            }
            _ => {
                self.history.insert(at, transition);
                true
            }
        }
    }
}

impl Progress {
    fn told(&self) -> Told {
        Told {
            timestamp: self.timestamp,
            event_id: self.event_id,
        }
    }
}

impl Transition {
    fn by(status: OrderStatus, told: &Told, fact: Fact) -> Self {
        Self {
            status,
            timestamp: told.timestamp,
            cause: fact.cause(),
            event_id: Some(told.event_id),
        }
    }
}

impl Document for Order {
    type Id = OrderId;
    const COLLECTION: &'static str = "orders";
    const INDEXES: &'static [Index] = &[Index::on(UNPUBLISHED), Index::unique(IDEMPOTENCY_KEY)];

    fn id(&self) -> OrderId {
        self.order_id
    }

    fn field(&self, name: &str) -> Option<Value> {
        match name {
            UNPUBLISHED => self.unpublished.then_some(Value::Boolean(true)),
            IDEMPOTENCY_KEY => self.idempotency_key.clone().map(Value::from),
            _ => None,
        }
    }
}
