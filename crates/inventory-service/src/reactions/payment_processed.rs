//! A payment was captured: the order's items are taken from the stock, or the order is rejected.

use std::sync::Arc;

use contracts::{Envelope, InventoryUpdated, Message, PaymentProcessed, PaymentStatus};
use service_kit::clock::SharedClock;
use service_kit::reaction::{Reaction, ReactionError};

use crate::warehouse::{PaidOrder, Warehouse};

/// Takes the items of the orders whose payment was captured.
#[derive(Debug)]
pub struct OnPaymentProcessed {
    /// The stock.
    pub warehouse: Arc<Warehouse>,
    /// Tells when a decision was made.
    pub clock: SharedClock,
}

impl Reaction for OnPaymentProcessed {
    type Event = PaymentProcessed;

    async fn react(
        &self,
        batch: &[Envelope<PaymentProcessed>],
    ) -> Result<Vec<Message>, ReactionError> {
        let updates = self
            .warehouse
            .take(&paid_orders(batch), self.clock.now())
            .await?;
        let mut messages = Vec::with_capacity(updates.len());
        for paid in paid(batch) {
            let Some(update) = updates.get(&paid.data.order_id) else {
                continue;
            };
            let event = InventoryUpdated {
                order_id: update.order_id,
                customer_id: paid.data.customer_id.clone(),
                status: update.status,
                reason: update.reason.clone(),
                items: update.items.clone(),
                shipping_address: paid.data.shipping_address.clone(),
                timestamp: update.timestamp,
            };
            messages.push(Envelope::new(event, paid.attributes.traceparent).encode()?);
        }
        Ok(messages)
    }

    async fn settle(&self, batch: &[Envelope<PaymentProcessed>]) -> Result<(), ReactionError> {
        self.warehouse.settle(&paid_orders(batch)).await
    }
}

/// The events that ask for stock: a declined or refunded payment does not.
fn paid(batch: &[Envelope<PaymentProcessed>]) -> impl Iterator<Item = &Envelope<PaymentProcessed>> {
    batch
        .iter()
        .filter(|event| event.data.status == PaymentStatus::Completed)
}

fn paid_orders(batch: &[Envelope<PaymentProcessed>]) -> Vec<PaidOrder> {
    paid(batch)
        .map(|event| PaidOrder {
            order_id: event.data.order_id,
            items: event.data.items.clone(),
        })
        .collect()
}
