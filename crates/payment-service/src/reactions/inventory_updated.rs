//! An order's items could not be had, or are back: what was paid is given back.

use std::collections::BTreeMap;

use contracts::{Envelope, InventoryStatus, InventoryUpdated, Message, OrderId, PaymentStatus};
use service_kit::clock::SharedClock;
use service_kit::reaction::{Reaction, ReactionError};
use service_kit::store::Collection;

use crate::payment::Payment;

/// Refunds the orders that were rejected, and those that were cancelled in time.
#[derive(Debug)]
pub struct OnInventoryUpdated {
    /// The payments.
    pub payments: Collection<Payment>,
    /// Tells when a payment was given back.
    pub clock: SharedClock,
}

impl Reaction for OnInventoryUpdated {
    type Event = InventoryUpdated;

    fn is_work(event: &InventoryUpdated) -> bool {
        event.status != InventoryStatus::Updated
    }

    async fn react(
        &self,
        batch: &[Envelope<InventoryUpdated>],
    ) -> Result<Vec<Message>, ReactionError> {
        let now = self.clock.now();
        let ended: BTreeMap<OrderId, &Envelope<InventoryUpdated>> = batch
            .iter()
            .filter(|event| event.data.status != InventoryStatus::Updated)
            .map(|event| (event.data.order_id, event))
            .collect();
        // The order may be cancelled before it is paid: from here on it cannot be. What is there already is left alone.
        let called_off = ended
            .values()
            .filter(|event| event.data.status == InventoryStatus::Released)
            .map(|event| Payment::call_off(&event.data, now))
            .collect();
        self.payments.insert_many(called_off).await?;
        let payments = self
            .payments
            .change_many(ended.keys().copied(), |payment| {
                let event = ended.get(&payment.order_id);
                payment.refund(event.and_then(|event| event.data.reason.as_deref()), now)
            })
            .await?;
        let mut messages = Vec::with_capacity(ended.len());
        for (order_id, event) in ended {
            messages.extend(tell(event, payments.get(&order_id))?);
        }
        Ok(messages)
    }
}

/// The event that tells what became of the payment; none where nothing became of it.
fn tell(
    event: &Envelope<InventoryUpdated>,
    payment: Option<&Payment>,
) -> Result<Option<Message>, ReactionError> {
    let order = &event.data;
    let missing = || ReactionError::Missing {
        what: "the payment",
        id: format!("order {}", order.order_id),
    };
    let payment = payment.ok_or_else(missing)?;
    match payment.status {
        PaymentStatus::Refunded | PaymentStatus::Cancelled => {
            let outcome = payment.outcome(order.items.clone(), order.shipping_address.clone());
            Ok(Some(
                Envelope::new(outcome, event.attributes.traceparent).encode()?,
            ))
        }
        // The order ended when its payment was declined; cancelling it afterwards changes nothing.
        PaymentStatus::Declined => Ok(None),
        // It was given back a moment ago, so this is an old reading.
        PaymentStatus::Completed => Err(missing()),
    }
}
