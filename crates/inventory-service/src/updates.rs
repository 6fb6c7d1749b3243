//! What was decided for an order: one document an order, inserted once.

use contracts::{InventoryStatus, Item, OrderId, Timestamp};
use serde::{Deserialize, Serialize};
use service_kit::store::Document;

use crate::stock::Decision;

/// The decision on an order. The first one inserted is the one that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryUpdate {
    /// Which order.
    pub order_id: OrderId,
    /// Whether its items were taken.
    pub status: InventoryStatus,
    /// Why they were not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was ordered.
    pub items: Vec<Item>,
    /// When it was decided.
    pub timestamp: Timestamp,
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
        }
    }

    /// Whether the order has its items.
    pub fn is_taken(&self) -> bool {
        self.status == InventoryStatus::Updated
    }
}

impl Document for InventoryUpdate {
    type Id = OrderId;
    const COLLECTION: &'static str = "inventory_updates";

    fn id(&self) -> OrderId {
        self.order_id
    }
}
