//! An order was placed: its payment is captured.

use contracts::{Envelope, Message, OrderPlaced, PaymentProcessed};
use service_kit::clock::SharedClock;
use service_kit::reaction::{Reaction, ReactionError};
use service_kit::store::Collection;

use crate::payment::Payment;

/// Captures the payment of each order, once.
#[derive(Debug)]
pub struct OnOrderPlaced {
    /// The payments.
    pub payments: Collection<Payment>,
    /// Tells when a payment was captured.
    pub clock: SharedClock,
}

impl Reaction for OnOrderPlaced {
    type Event = OrderPlaced;

    async fn react(&self, batch: &[Envelope<OrderPlaced>]) -> Result<Vec<Message>, ReactionError> {
        let now = self.clock.now();
        let payments = batch
            .iter()
            .map(|event| Payment::capture(&event.data, now))
            .collect();
        // A payment that was there before holds, with its own time: the event comes out the same.
        let payments = self.payments.insert_or_get(payments).await?;
        let mut messages = Vec::with_capacity(batch.len());
        for (placed, payment) in batch.iter().zip(payments) {
            let event = PaymentProcessed {
                order_id: payment.order_id,
                customer_id: payment.customer_id,
                amount: payment.amount,
                status: payment.status,
                reason: None,
                items: placed.data.items.clone(),
                shipping_address: placed.data.shipping_address.clone(),
                timestamp: payment.timestamp,
            };
            messages.push(Envelope::new(event, placed.attributes.traceparent).encode()?);
        }
        Ok(messages)
    }
}
