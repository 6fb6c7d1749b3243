//! A shipment came further.

use contracts::{Envelope, Message, ShipmentProcessed};
use service_kit::reaction::{Reaction, ReactionError};

use crate::order::{Fact, Progress};
use crate::orders::Orders;

/// Keeps the orders' status true to their shipments.
#[derive(Debug)]
pub struct OnShipmentProcessed {
    /// The orders.
    pub orders: Orders,
}

impl Reaction for OnShipmentProcessed {
    type Event = ShipmentProcessed;

    // To keep a status true is no work of the shop's.
    fn is_work(_: &ShipmentProcessed) -> bool {
        false
    }

    async fn react(
        &self,
        batch: &[Envelope<ShipmentProcessed>],
    ) -> Result<Vec<Message>, ReactionError> {
        let progress: Vec<Progress> = batch.iter().map(progress).collect();
        self.orders.advance(&progress).await?;
        Ok(Vec::new())
    }
}

fn progress(event: &Envelope<ShipmentProcessed>) -> Progress {
    Progress {
        order_id: event.data.order_id,
        fact: Fact::Shipment(event.data.status),
        reason: None,
        timestamp: event.data.timestamp,
        event_id: event.attributes.id,
    }
}
