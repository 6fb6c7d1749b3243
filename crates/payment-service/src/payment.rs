//! A payment: one document an order, captured once.

use contracts::{CustomerId, Money, OrderId, OrderPlaced, PaymentStatus, Timestamp};
use serde::{Deserialize, Serialize};
use service_kit::store::Document;

/// The database of this service.
pub const DATABASE: &str = "payment_db";

/// What was paid for an order. Its id is the order's, so that an order cannot be charged twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// Which order.
    pub order_id: OrderId,
    /// Who pays.
    pub customer_id: CustomerId,
    /// How much.
    pub amount: Money,
    /// What became of it.
    pub status: PaymentStatus,
    /// When it was captured.
    pub timestamp: Timestamp,
}

impl Payment {
    /// The payment of an order, captured now.
    pub fn capture(order: &OrderPlaced, now: Timestamp) -> Self {
        Self {
            order_id: order.order_id,
            customer_id: order.customer_id.clone(),
            amount: order.total_amount,
            status: PaymentStatus::Completed,
            timestamp: now,
        }
    }
}

impl Document for Payment {
    type Id = OrderId;
    const COLLECTION: &'static str = "payments";

    fn id(&self) -> OrderId {
        self.order_id
    }
}
