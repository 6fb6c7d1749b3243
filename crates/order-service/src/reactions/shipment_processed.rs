//! A shipment came further.

use contracts::{Envelope, Message, OrderStatus, ShipmentProcessed, ShipmentStatus};
use service_kit::reaction::{Reaction, ReactionError};

use crate::order::Progress;
use crate::orders::Orders;

/// Keeps the orders' status true to their shipments.
#[derive(Debug)]
pub struct OnShipmentProcessed {
    /// The orders.
    pub orders: Orders,
}

impl Reaction for OnShipmentProcessed {
    type Event = ShipmentProcessed;

    async fn react(
        &self,
        batch: &[Envelope<ShipmentProcessed>],
    ) -> Result<Vec<Message>, ReactionError> {
        let progress: Vec<Progress> = batch.iter().map(|event| progress(&event.data)).collect();
        self.orders.advance(&progress).await?;
        Ok(Vec::new())
    }
}

fn progress(event: &ShipmentProcessed) -> Progress {
    let status = match event.status {
        // Being packed is no status of an order: it stays where it is.
        ShipmentStatus::Processing => OrderStatus::Reserved,
        ShipmentStatus::Shipped => OrderStatus::Shipped,
    };
    Progress {
        order_id: event.order_id,
        status,
        reason: None,
    }
}
