//! The state machine of an order.
//!
//! ```text
//! PENDING ──▶ PAID ──▶ RESERVED ──▶ SHIPPED
//!    │          │          │
//!    │          │          └──▶ CANCELLED      the shipment was stopped: stock back, payment refunded
//!    │          ├──▶ REJECTED ──▶ REFUNDED     the stock does not have it
//!    │          └──▶ CANCELLED
//!    ├──▶ DECLINED                             the payment was refused
//!    └──▶ CANCELLED                            before it was paid
//! ```
//!
//! Nobody sends a status. Payment, inventory and shipment each say what is a fact with them, each of these only goes forward,
//! and the status is what the facts add up to. So events may come doubled, late and in any order: the same facts are the same
//! status.

use contracts::{EventId, InventoryStatus, OrderStatus, PaymentStatus, ShipmentStatus, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Fact, Progress};

/// The furthest that each of the other services has said, and the event that said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Facts {
    /// What became of the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<(PaymentStatus, Told)>,
    /// Whether the items are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<(InventoryStatus, Told)>,
    /// How far the shipment is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipment: Option<(ShipmentStatus, Told)>,
}

/// When a fact came to be, and which event told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When.
    pub timestamp: Timestamp,
    /// Which event.
    pub event_id: EventId,
}

impl Facts {
    /// Takes in what an event says; false if it was known, or is older than what is.
    pub fn learn(&mut self, progress: &Progress) -> bool {
        let told = progress.told();
        match progress.fact {
            Fact::Payment(status) => further(&mut self.payment, (status, told), |payment| {
                payment == PaymentStatus::Completed
            }),
            Fact::Inventory(status) => further(&mut self.inventory, (status, told), |inventory| {
                inventory == InventoryStatus::Updated
            }),
            Fact::Shipment(status) => further(&mut self.shipment, (status, told), |shipment| {
                shipment == ShipmentStatus::Processing
            }),
        }
    }

    /// The fact that brought the order to this status, as far as it is known; none for the beginning.
    pub(super) fn cause_of(&self, status: OrderStatus) -> Option<(Told, Fact)> {
        let payment = self.payment.map(|(is, told)| (told, Fact::Payment(is)));
        let inventory = self.inventory.map(|(is, told)| (told, Fact::Inventory(is)));
        let shipment = self.shipment.map(|(is, told)| (told, Fact::Shipment(is)));
        match status {
            OrderStatus::Pending => None,
            // Money is given back last of all, so that is when the order has ended.
            OrderStatus::Paid
            | OrderStatus::Declined
            | OrderStatus::Refunded
            | OrderStatus::Cancelled => payment,
            // What is packed was taken, even if that has not been heard yet.
            OrderStatus::Reserved => inventory.or(shipment),
            OrderStatus::Rejected => inventory,
            OrderStatus::Shipped => shipment,
        }
    }

    /// What they add up to.
    pub fn status(&self) -> OrderStatus {
        use InventoryStatus::{Rejected, Released, Updated};
        use PaymentStatus::{Cancelled, Completed, Declined, Refunded};
        use ShipmentStatus::{Processing, Shipped};
        let payment = self.payment.map(|(status, _)| status);
        let inventory = self.inventory.map(|(status, _)| status);
        let shipment = self.shipment.map(|(status, _)| status);
        match (payment, inventory, shipment) {
            // What is on its way was paid and taken, whether or not that has been heard yet.
            (_, _, Some(Shipped)) => OrderStatus::Shipped,
            (Some(Declined), _, _) => OrderStatus::Declined,
            (Some(Cancelled), _, _) => OrderStatus::Cancelled,
            (Some(Refunded), Some(Rejected), _) => OrderStatus::Refunded,
            (Some(Refunded), Some(Released), _) => OrderStatus::Cancelled,
            (_, Some(Rejected), _) => OrderStatus::Rejected,
            (_, Some(Updated), _) | (_, _, Some(Processing)) => OrderStatus::Reserved,
            // Why it was refunded, the inventory is about to say.
            (Some(Completed | Refunded), Some(Released) | None, _) => OrderStatus::Paid,
            (None, Some(Released) | None, Some(ShipmentStatus::Cancelled) | None) => {
                OrderStatus::Pending
            }
        }
    }
}

impl Fact {
    /// The status that this alone brings an order to.
    pub(super) fn reaches(self) -> Option<OrderStatus> {
        match self {
            Self::Payment(PaymentStatus::Completed) => Some(OrderStatus::Paid),
            Self::Payment(PaymentStatus::Declined) => Some(OrderStatus::Declined),
            Self::Payment(PaymentStatus::Cancelled) => Some(OrderStatus::Cancelled),
            Self::Inventory(InventoryStatus::Updated) => Some(OrderStatus::Reserved),
            Self::Inventory(InventoryStatus::Rejected) => Some(OrderStatus::Rejected),
            Self::Shipment(ShipmentStatus::Shipped) => Some(OrderStatus::Shipped),
            // A refund ends an order in two ways, and one that is released may never have been reserved.
            Self::Payment(PaymentStatus::Refunded)
            | Self::Inventory(InventoryStatus::Released)
            | Self::Shipment(ShipmentStatus::Processing | ShipmentStatus::Cancelled) => None,
        }
    }
}

/// How far a status is along the way. No order comes to two of the same rank.
pub(super) fn rank(status: OrderStatus) -> u8 {
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

/// Each service has one status from which it goes on, and ends with the next.
fn further<T: Copy>(
    known: &mut Option<(T, Told)>,
    said: (T, Told),
    is_first: impl Fn(T) -> bool,
) -> bool {
    let news = match *known {
        None => true,
        Some((known, _)) => is_first(known) && !is_first(said.0),
    };
    if news {
        *known = Some(said);
    }
    news
}
