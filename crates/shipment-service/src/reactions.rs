//! One file for each event that shipment-service reacts to.

pub mod inventory_updated;
pub mod order_cancelled;

use std::collections::BTreeMap;

use contracts::{Envelope, Event, Message, OrderId};
use service_kit::reaction::ReactionError;

use crate::shipment::Shipment;

/// The events that tell of these orders' shipments.
fn tell<E: Event>(
    causes: &BTreeMap<OrderId, &Envelope<E>>,
    shipments: &BTreeMap<OrderId, Shipment>,
    of: impl Fn(&Shipment) -> bool,
) -> Result<Vec<Message>, ReactionError> {
    let mut messages = Vec::with_capacity(2 * causes.len());
    for (order_id, cause) in causes {
        let shipment = shipments
            .get(order_id)
            .ok_or_else(|| ReactionError::Missing {
                what: "the shipment",
                id: format!("order {order_id}"),
            })?;
        if of(shipment) {
            for event in shipment.events() {
                messages.push(Envelope::new(event, cause.attributes.traceparent).encode()?);
            }
        }
    }
    Ok(messages)
}
