//! What was decided for an order: one document an order.
//!
//! ```text
//! (none) ──▶ UPDATED ──▶ RELEASED    cancelled: what was taken goes back, then the document says that it is back
//!        ├─▶ REJECTED
//!        └─▶ RELEASED                cancelled before anything was taken: nothing will be
//! ```

use contracts::{
    InventoryStatus, InventoryUpdated, Item, OrderId, PaymentProcessed, ShipmentProcessed,
    Timestamp,
};
use serde::{Deserialize, Serialize};
use service_kit::store::Document;

use crate::stock::{Decision, Fate};

/// The reason of everything that is undone for a cancellation.
const CANCELLED: &str = "cancelled by the customer";

/// The decision on an order. The first one inserted is the one that holds; only a cancellation in time turns it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryUpdate {
    /// Which order.
    pub order_id: OrderId,
    /// Whether its items are taken.
    pub status: InventoryStatus,
    /// Why they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was ordered.
    pub items: Vec<Item>,
    /// When it was first decided.
    pub timestamp: Timestamp,
    /// What becomes of the pieces that were taken before the order was cancelled; none where nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restitution: Option<Restitution>,
    /// When the order was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_at: Option<Timestamp>,
}

/// What becomes of the pieces of an order that was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Restitution {
    /// They are to be put back, product by product.
    #[serde(rename = "DUE")]
    Due,
    /// They are back.
    #[serde(rename = "DONE")]
    Done,
}

impl InventoryUpdate {
    /// The document of a decision.
    pub fn new(
        order_id: OrderId,
        items: Vec<Item>,
        decision: Decision,
        timestamp: Timestamp,
    ) -> Self {
        let (status, reason) = match decision {
            Decision::Taken => (InventoryStatus::Updated, None),
            Decision::Rejected(reason) => (InventoryStatus::Rejected, Some(reason)),
        };
        Self {
            order_id,
            status,
            reason,
            items,
            timestamp,
            restitution: None,
            released_at: None,
        }
    }

    /// In the place of a decision, for an order that was cancelled before there was one: nothing can be taken any more.
    pub fn forestall(stopped: &ShipmentProcessed, now: Timestamp) -> Self {
        Self {
            order_id: stopped.order_id,
            status: InventoryStatus::Released,
            reason: Some(CANCELLED.to_owned()),
            items: stopped.items.clone(),
            timestamp: now,
            restitution: None,
            released_at: Some(now),
        }
    }

    /// Turns the decision that the items are taken; false where they are not, or that was done before.
    pub fn release(&mut self, now: Timestamp) -> bool {
        if self.status != InventoryStatus::Updated {
            return false;
        }
        self.status = InventoryStatus::Released;
        self.reason = Some(CANCELLED.to_owned());
        self.restitution = Some(Restitution::Due);
        self.released_at = Some(now);
        true
    }

    /// Notes that the pieces are back; false where there are none, or that is known.
    pub fn restored(&mut self) -> bool {
        let due = self.restitution == Some(Restitution::Due);
        if due {
            self.restitution = Some(Restitution::Done);
        }
        due
    }

    /// What is to become of the marks that the order has left.
    pub fn fate(&self) -> Fate {
        match (self.status, self.restitution) {
            (InventoryStatus::Updated, _) => Fate::Taken,
            (_, None) => Fate::NotTaken,
            (_, Some(Restitution::Due)) => Fate::Returning,
            (_, Some(Restitution::Done)) => Fate::Returned,
        }
    }

    /// The event that tells of the first decision, the same however far it has come since; none where the order was
    /// cancelled before it.
    pub fn decision(&self, paid: &PaymentProcessed) -> Option<InventoryUpdated> {
        let (status, reason) = match self.fate() {
            Fate::Taken | Fate::Returning | Fate::Returned => (InventoryStatus::Updated, None),
            Fate::NotTaken if self.status == InventoryStatus::Rejected => {
                (self.status, self.reason.clone())
            }
            Fate::NotTaken => return None,
        };
        Some(InventoryUpdated {
            order_id: self.order_id,
            customer_id: paid.customer_id.clone(),
            status,
            reason,
            items: self.items.clone(),
            shipping_address: paid.shipping_address.clone(),
            timestamp: self.timestamp,
        })
    }

    /// The event that tells of the release; none where the order was not cancelled in time.
    pub fn release_event(&self, stopped: &ShipmentProcessed) -> Option<InventoryUpdated> {
        (self.status == InventoryStatus::Released).then(|| InventoryUpdated {
            order_id: self.order_id,
            customer_id: stopped.customer_id.clone(),
            status: self.status,
            reason: self.reason.clone(),
            items: self.items.clone(),
            shipping_address: stopped.shipping_address.clone(),
            timestamp: self.released_at.unwrap_or(self.timestamp),
        })
    }
}

impl Document for InventoryUpdate {
    type Id = OrderId;
    const COLLECTION: &'static str = "inventory_updates";

    fn id(&self) -> OrderId {
        self.order_id
    }
}
