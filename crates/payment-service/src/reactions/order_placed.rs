//! An order was placed: its payment is captured, or declined.

use contracts::{Envelope, Message, OrderPlaced};
use service_kit::clock::SharedClock;
use service_kit::reaction::{Reaction, ReactionError};
use service_kit::store::Collection;

use crate::payment::{DeclineRule, Payment};

/// Captures the payment of each order, once, unless it is declined.
#[derive(Debug)]
pub struct OnOrderPlaced {
    /// The payments.
    pub payments: Collection<Payment>,
    /// Which are declined.
    pub rule: DeclineRule,
    /// Tells when a payment was decided.
    pub clock: SharedClock,
}

impl Reaction for OnOrderPlaced {
    type Event = OrderPlaced;

    async fn react(&self, batch: &[Envelope<OrderPlaced>]) -> Result<Vec<Message>, ReactionError> {
        let now = self.clock.now();
        let payments = batch
            .iter()
            .map(|event| Payment::decide(&event.data, self.rule, now))
            .collect();
        // A payment that was there before holds, with its own time and status: the event comes out the same.
        let payments = self.payments.insert_or_get(payments).await?;
        let mut messages = Vec::with_capacity(batch.len());
        for (placed, payment) in batch.iter().zip(payments) {
            let order = &placed.data;
            let event = payment.decision(order.items.clone(), order.shipping_address.clone());
            if let Some(event) = event {
                messages.push(Envelope::new(event, placed.attributes.traceparent).encode()?);
            }
        }
        Ok(messages)
    }
}
