//! An order's items were taken from the stock: they are packed and sent.

use std::collections::BTreeMap;

use contracts::{Envelope, InventoryStatus, InventoryUpdated, Message, OrderId, ShipmentStatus};
use service_kit::clock::SharedClock;
use service_kit::reaction::{Reaction, ReactionError};
use service_kit::store::Collection;

use super::tell;
use crate::shipment::Shipment;

/// Sends the orders that have their items, unless they were cancelled.
#[derive(Debug)]
pub struct OnInventoryUpdated {
    /// The shipments.
    pub shipments: Collection<Shipment>,
    /// Tells when a shipment was packed and handed over.
    pub clock: SharedClock,
}

impl Reaction for OnInventoryUpdated {
    type Event = InventoryUpdated;

    fn is_work(event: &InventoryUpdated) -> bool {
        event.status == InventoryStatus::Updated
    }

    async fn react(
        &self,
        batch: &[Envelope<InventoryUpdated>],
    ) -> Result<Vec<Message>, ReactionError> {
        let now = self.clock.now();
        let taken: BTreeMap<OrderId, &Envelope<InventoryUpdated>> = batch
            .iter()
            .filter(|event| event.data.status == InventoryStatus::Updated)
            .map(|event| (event.data.order_id, event))
            .collect();
        let packed = taken
            .values()
            .map(|event| Shipment::pack(&event.data, now))
            .collect();
        let shipments = self
            .shipments
            .insert_and_change_many(packed, |shipment| shipment.ship(now))
            .await?;
        // Of one that was cancelled, whoever cancelled it tells.
        tell(&taken, &shipments, |shipment| {
            shipment.status == ShipmentStatus::Shipped
        })
    }
}
