//! An order's items were taken from the stock, or could not be.

use contracts::{Envelope, InventoryUpdated, Message};
use service_kit::reaction::{Reaction, ReactionError};

use crate::order::{Fact, Progress};
use crate::orders::Orders;

/// Keeps the orders' status true to the stock.
#[derive(Debug)]
pub struct OnInventoryUpdated {
    /// The orders.
    pub orders: Orders,
}

impl Reaction for OnInventoryUpdated {
    type Event = InventoryUpdated;

    // To keep a status true is no work of the shop's.
    fn is_work(_: &InventoryUpdated) -> bool {
        false
    }

    async fn react(
        &self,
        batch: &[Envelope<InventoryUpdated>],
    ) -> Result<Vec<Message>, ReactionError> {
        let progress: Vec<Progress> = batch.iter().map(progress).collect();
        self.orders.advance(&progress).await?;
        Ok(Vec::new())
    }
}

fn progress(event: &Envelope<InventoryUpdated>) -> Progress {
    Progress {
        order_id: event.data.order_id,
        fact: Fact::Inventory(event.data.status),
        reason: event.data.reason.clone(),
        timestamp: event.data.timestamp,
        event_id: event.attributes.id,
    }
}
