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

use contracts::{InventoryStatus, OrderStatus, PaymentStatus, ShipmentStatus};
use serde::{Deserialize, Serialize};

use super::Fact;

/// The furthest that each of the other services has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Facts {
    /// What became of the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<PaymentStatus>,
    /// Whether the items are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<InventoryStatus>,
    /// How far the shipment is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipment: Option<ShipmentStatus>,
}

impl Facts {
    /// Takes in a fact; false if it was known, or is older than what is.
    pub fn learn(&mut self, fact: Fact) -> bool {
        match fact {
            Fact::Payment(status) => further(&mut self.payment, status, |payment| {
                matches!(payment, PaymentStatus::Completed)
            }),
            Fact::Inventory(status) => further(&mut self.inventory, status, |inventory| {
                matches!(inventory, InventoryStatus::Updated)
            }),
            Fact::Shipment(status) => further(&mut self.shipment, status, |shipment| {
                matches!(shipment, ShipmentStatus::Processing)
            }),
        }
    }

    /// What they add up to.
    pub fn status(&self) -> OrderStatus {
        use InventoryStatus::{Rejected, Released, Updated};
        use PaymentStatus::{Cancelled, Completed, Declined, Refunded};
        use ShipmentStatus::{Processing, Shipped};
        match (self.payment, self.inventory, self.shipment) {
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
    /// The status that the order was in at some time, if this is so.
    pub(super) fn reaches(self) -> Option<OrderStatus> {
        match self {
            Self::Payment(PaymentStatus::Completed | PaymentStatus::Refunded) => {
                Some(OrderStatus::Paid)
            }
            Self::Payment(PaymentStatus::Declined) => Some(OrderStatus::Declined),
            Self::Payment(PaymentStatus::Cancelled) => Some(OrderStatus::Cancelled),
            Self::Inventory(InventoryStatus::Updated) => Some(OrderStatus::Reserved),
            Self::Inventory(InventoryStatus::Rejected) => Some(OrderStatus::Rejected),
            Self::Shipment(ShipmentStatus::Shipped) => Some(OrderStatus::Shipped),
            // Of which of them it tells nothing: an order that is released may never have been reserved.
            Self::Inventory(InventoryStatus::Released)
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
fn further<T: Copy>(known: &mut Option<T>, said: T, is_first: impl Fn(T) -> bool) -> bool {
    let news = match *known {
        None => true,
        Some(known) => is_first(known) && !is_first(said),
    };
    if news {
        *known = Some(said);
    }
    news
}
