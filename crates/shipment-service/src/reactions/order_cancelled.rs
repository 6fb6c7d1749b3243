//! The customer wants an order back: unless it is on its way, it is stopped, and the other services undo what they did.

use std::collections::BTreeMap;

use contracts::{Envelope, Message, OrderCancelled, OrderId, ShipmentStatus};
use service_kit::clock::SharedClock;
use service_kit::reaction::{Reaction, ReactionError};
use service_kit::store::Collection;

use super::tell;
use crate::shipment::Shipment;

/// Stops what is not on its way.
#[derive(Debug)]
pub struct OnOrderCancelled {
    /// The shipments.
    pub shipments: Collection<Shipment>,
    /// Tells when a shipment was stopped.
    pub clock: SharedClock,
}

impl Reaction for OnOrderCancelled {
    type Event = OrderCancelled;

    async fn react(
        &self,
        batch: &[Envelope<OrderCancelled>],
    ) -> Result<Vec<Message>, ReactionError> {
        let now = self.clock.now();
        let cancelled: BTreeMap<OrderId, &Envelope<OrderCancelled>> = batch
            .iter()
            .map(|event| (event.data.order_id, event))
            .collect();
        let forestalled = cancelled
            .values()
            .map(|event| Shipment::forestall(&event.data, now))
            .collect();
        let shipments = self
            .shipments
            .insert_and_change_many(forestalled, |shipment| shipment.cancel(now))
            .await?;
        // What is on its way has been told of, and that is the answer to the cancellation as well.
        tell(&cancelled, &shipments, |shipment| {
            shipment.status == ShipmentStatus::Cancelled
        })
    }
}
