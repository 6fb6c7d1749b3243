//! A shipment was stopped: what the order had is put back into the stock.

use std::sync::Arc;

use contracts::{Envelope, Message, ShipmentProcessed, ShipmentStatus};
use service_kit::clock::SharedClock;
use service_kit::reaction::{Reaction, ReactionError};

use crate::warehouse::{OrderItems, Warehouse};

/// Puts back the items of orders that were cancelled in time.
#[derive(Debug)]
pub struct OnShipmentProcessed {
    /// The stock.
    pub warehouse: Arc<Warehouse>,
    /// Tells when a decision was turned.
    pub clock: SharedClock,
}

impl Reaction for OnShipmentProcessed {
    type Event = ShipmentProcessed;

    fn is_work(event: &ShipmentProcessed) -> bool {
        event.status == ShipmentStatus::Cancelled
    }

    async fn react(
        &self,
        batch: &[Envelope<ShipmentProcessed>],
    ) -> Result<Vec<Message>, ReactionError> {
        let orders: Vec<&ShipmentProcessed> = stopped(batch).map(|event| &event.data).collect();
        let updates = self.warehouse.release(&orders, self.clock.now()).await?;
        let mut messages = Vec::with_capacity(orders.len());
        for event in stopped(batch) {
            let released = updates
                .get(&event.data.order_id)
                .and_then(|update| update.release_event(&event.data));
            if let Some(released) = released {
                messages.push(Envelope::new(released, event.attributes.traceparent).encode()?);
            }
        }
        Ok(messages)
    }

    async fn settle(&self, batch: &[Envelope<ShipmentProcessed>]) -> Result<(), ReactionError> {
        let orders: Vec<OrderItems> = stopped(batch)
            .map(|event| OrderItems {
                order_id: event.data.order_id,
                items: event.data.items.clone(),
            })
            .collect();
        Ok(self.warehouse.settle(&orders).await?)
    }
}

/// The events that undo something: a shipment that goes its way does not.
fn stopped(
    batch: &[Envelope<ShipmentProcessed>],
) -> impl Iterator<Item = &Envelope<ShipmentProcessed>> {
    batch
        .iter()
        .filter(|event| event.data.status == ShipmentStatus::Cancelled)
}
