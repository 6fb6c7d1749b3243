//! What a shop says of its orders, in little memory: everything that the check compares, and nothing else.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use contracts::{
    CustomerId, EventId, InventoryStatus, Item, Money, OrderId, OrderStatus, PaymentStatus,
    ProductId, ShipmentStatus, ShippingAddress, Step, names,
};

/// Everything that was read.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The orders of order-service.
    pub orders: BTreeMap<OrderId, OrderFact>,
    /// The payments of payment-service.
    pub payments: BTreeMap<OrderId, PaymentFact>,
    /// The shipments of shipment-service.
    pub shipments: BTreeMap<OrderId, ShipmentFact>,
    /// The products of inventory-service.
    pub products: BTreeMap<ProductId, ProductFact>,
    /// The events of each order, the same one once.
    pub events: BTreeMap<OrderId, Vec<EventFact>>,
    /// Documents that a list had more than once: the service, and the order.
    pub listed_twice: Vec<(&'static str, OrderId)>,
    /// Records that are no event of the pipeline: the services put such a one aside.
    pub unreadable: u64,
}

/// An order, as order-service tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderFact {
    /// How far it is.
    pub status: OrderStatus,
    /// What it came to, one after the other.
    pub history: Vec<OrderStatus>,
    /// Whether it was asked back.
    pub asked_back: bool,
    /// What was ordered.
    pub items: Vec<Item>,
    /// What is to be paid.
    pub total: Money,
    /// Who ordered what for where.
    pub content: Content,
}

/// A payment, as payment-service tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaymentFact {
    /// What became of it.
    pub status: PaymentStatus,
    /// How much.
    pub amount: Money,
}

/// A shipment, as shipment-service tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShipmentFact {
    /// How far it is.
    pub status: ShipmentStatus,
    /// Who gets what where.
    pub content: Content,
}

/// A product, as inventory-service tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProductFact {
    /// Pieces that can be taken.
    pub quantity: u64,
    /// Pieces that there were in the beginning.
    pub initial: u64,
    /// Pieces that came later.
    pub restocked: u64,
}

/// An event on a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventFact {
    /// What it tells of.
    pub told: Told,
    /// Its id.
    pub id: EventId,
    /// Who ordered what for where, as the event has it.
    pub content: Content,
    /// What it says is paid; none where it says nothing of that.
    pub amount: Option<Money>,
    /// How often it is there.
    pub times: u32,
}

/// A customer, items and an address, as a number: two that differ in any of it are all but never the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content(u64);

impl Content {
    /// The number of these.
    pub fn of(customer: &CustomerId, items: &[Item], address: &ShippingAddress) -> Self {
        let mut hasher = DefaultHasher::new();
        customer.as_str().hash(&mut hasher);
        address.as_str().hash(&mut hasher);
        items.len().hash(&mut hasher);
        for item in items {
            item.product_id.as_str().hash(&mut hasher);
            (item.quantity.get(), item.price.cents()).hash(&mut hasher);
        }
        Self(hasher.finish())
    }
}

/// What an event tells of: a topic, and the status there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Told {
    /// The order was placed.
    Placed,
    /// It was asked back.
    AskedBack,
    /// Its payment was captured.
    Paid,
    /// Its payment was declined.
    Declined,
    /// Its payment was given back.
    Refunded,
    /// Nothing will be captured.
    CalledOff,
    /// Its items were taken.
    Taken,
    /// Its items cannot be had.
    Rejected,
    /// Its items are back.
    Released,
    /// It is packed.
    Packed,
    /// It is on its way.
    Shipped,
    /// It was stopped.
    Stopped,
}

impl Told {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Placed,
        Self::AskedBack,
        Self::Paid,
        Self::Declined,
        Self::Refunded,
        Self::CalledOff,
        Self::Taken,
        Self::Rejected,
        Self::Released,
        Self::Packed,
        Self::Shipped,
        Self::Stopped,
    ];

    /// The topic and the status.
    pub const fn step(self) -> Step {
        let (topic, status) = match self {
            Self::Placed => (names::ORDER_PLACED, OrderStatus::Pending.as_str()),
            Self::AskedBack => (names::ORDER_CANCELLED, OrderStatus::Cancelled.as_str()),
            Self::Paid => (names::PAYMENT_PROCESSED, PaymentStatus::Completed.as_str()),
            Self::Declined => (names::PAYMENT_PROCESSED, PaymentStatus::Declined.as_str()),
            Self::Refunded => (names::PAYMENT_PROCESSED, PaymentStatus::Refunded.as_str()),
            Self::CalledOff => (names::PAYMENT_PROCESSED, PaymentStatus::Cancelled.as_str()),
            Self::Taken => (names::INVENTORY_UPDATED, InventoryStatus::Updated.as_str()),
            Self::Rejected => (names::INVENTORY_UPDATED, InventoryStatus::Rejected.as_str()),
            Self::Released => (names::INVENTORY_UPDATED, InventoryStatus::Released.as_str()),
            Self::Packed => (
                names::SHIPMENT_PROCESSED,
                ShipmentStatus::Processing.as_str(),
            ),
            Self::Shipped => (names::SHIPMENT_PROCESSED, ShipmentStatus::Shipped.as_str()),
            Self::Stopped => (
                names::SHIPMENT_PROCESSED,
                ShipmentStatus::Cancelled.as_str(),
            ),
        };
        Step { topic, status }
    }

    /// What a step tells of; none for one that no order takes.
    pub fn of(step: Step) -> Option<Self> {
        Self::ALL.into_iter().find(|told| told.step() == step)
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Step { topic, status } = self.step();
        write!(f, "{topic} {status}")
    }
}

impl Facts {
    /// Counts an event; one that is there already, in all that it says, is counted with it.
    pub fn event(&mut self, order: OrderId, event: EventFact) {
        let events = self.events.entry(order).or_default();
        let same = events.iter_mut().find(|known| {
            let as_often = EventFact {
                times: known.times,
                ..event
            };
            **known == as_often
        });
        match same {
            Some(known) => known.times = known.times.saturating_add(event.times),
            None => events.push(event),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_is_told_by_its_topic_and_status() {
        for told in Told::ALL {
            assert_eq!(Told::of(told.step()), Some(told));
        }
        assert_eq!(
            Told::of(Step {
                topic: names::ORDER_PLACED,
                status: "SHIPPED"
            }),
            None
        );
        assert_eq!(Told::Refunded.to_string(), "payment_processed REFUNDED");
    }

    #[test]
    fn every_part_of_the_content_counts() {
        let item = |product: &str, quantity, cents| Item {
            product_id: product.parse().unwrap(),
            quantity: contracts::Quantity::new(quantity).unwrap(),
            price: Money::from_cents(cents).unwrap(),
        };
        let content = |customer: &str, items: &[Item], address: &str| {
            Content::of(&customer.parse().unwrap(), items, &address.parse().unwrap())
        };
        let all = [
            content("c", &[item("P1", 1, 5)], "a"),
            content("d", &[item("P1", 1, 5)], "a"),
            content("c", &[item("P2", 1, 5)], "a"),
            content("c", &[item("P1", 2, 5)], "a"),
            content("c", &[item("P1", 1, 6)], "a"),
            content("c", &[item("P1", 1, 5)], "b"),
            content("c", &[item("P1", 1, 5), item("P1", 1, 5)], "a"),
        ];
        for (n, one) in all.iter().enumerate() {
            assert!(!all[..n].contains(one), "{n}");
        }
    }
}
