//! An order's items were taken from the stock, or could not be.

use contracts::{Envelope, InventoryStatus, InventoryUpdated, Message, OrderStatus};
use service_kit::reaction::{Reaction, ReactionError};

use crate::order::Progress;
use crate::orders::Orders;

/// Keeps the orders' status true to the stock.
#[derive(Debug)]
pub struct OnInventoryUpdated {
    /// The orders.
    pub orders: Orders,
}

impl Reaction for OnInventoryUpdated {
    type Event = InventoryUpdated;

    async fn react(
        &self,
        batch: &[Envelope<InventoryUpdated>],
    ) -> Result<Vec<Message>, ReactionError> {
        let progress: Vec<Progress> = batch.iter().map(|event| progress(&event.data)).collect();
        self.orders.advance(&progress).await?;
        Ok(Vec::new())
    }
}

fn progress(event: &InventoryUpdated) -> Progress {
    let status = match event.status {
        InventoryStatus::Updated => OrderStatus::Reserved,
        InventoryStatus::Rejected => OrderStatus::Rejected,
    };
    Progress {
        order_id: event.order_id,
        status,
        reason: event.reason.clone(),
    }
}
