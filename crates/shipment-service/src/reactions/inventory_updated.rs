//! An order's items were taken from the stock: they are sent.

use contracts::{Envelope, InventoryStatus, InventoryUpdated, Message, ShipmentProcessed};
use service_kit::clock::SharedClock;
use service_kit::reaction::{Reaction, ReactionError};
use service_kit::store::Collection;

use crate::shipment::Shipment;

/// Sends the orders that have their items.
#[derive(Debug)]
pub struct OnInventoryUpdated {
    /// The shipments.
    pub shipments: Collection<Shipment>,
    /// Tells when a shipment was handed over.
    pub clock: SharedClock,
}

impl Reaction for OnInventoryUpdated {
    type Event = InventoryUpdated;

    async fn react(
        &self,
        batch: &[Envelope<InventoryUpdated>],
    ) -> Result<Vec<Message>, ReactionError> {
        let now = self.clock.now();
        let taken: Vec<_> = batch
            .iter()
            .filter(|event| event.data.status == InventoryStatus::Updated)
            .collect();
        let shipments = taken
            .iter()
            .map(|event| Shipment::dispatch(&event.data, now))
            .collect();
        let shipments = self.shipments.insert_or_get(shipments).await?;
        let mut messages = Vec::with_capacity(taken.len());
        for (cause, shipment) in taken.iter().zip(shipments) {
            let event = ShipmentProcessed {
                order_id: shipment.order_id,
                customer_id: shipment.customer_id,
                shipment_id: shipment.shipment_id,
                status: shipment.status,
                tracking_number: shipment.tracking_number,
                estimated_delivery: shipment.estimated_delivery,
                timestamp: shipment.created_at,
            };
            messages.push(Envelope::new(event, cause.attributes.traceparent).encode()?);
        }
        Ok(messages)
    }
}
