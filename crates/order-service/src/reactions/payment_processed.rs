//! A payment was captured, declined or given back.

use contracts::{Envelope, Message, OrderStatus, PaymentProcessed, PaymentStatus};
use service_kit::reaction::{Reaction, ReactionError};

use crate::order::Progress;
use crate::orders::Orders;

/// Keeps the orders' status true to their payments.
#[derive(Debug)]
pub struct OnPaymentProcessed {
    /// The orders.
    pub orders: Orders,
}

impl Reaction for OnPaymentProcessed {
    type Event = PaymentProcessed;

    async fn react(
        &self,
        batch: &[Envelope<PaymentProcessed>],
    ) -> Result<Vec<Message>, ReactionError> {
        let progress: Vec<Progress> = batch.iter().map(|event| progress(&event.data)).collect();
        self.orders.advance(&progress).await?;
        Ok(Vec::new())
    }
}

fn progress(event: &PaymentProcessed) -> Progress {
    let status = match event.status {
        PaymentStatus::Completed => OrderStatus::Paid,
        PaymentStatus::Declined => OrderStatus::Declined,
        PaymentStatus::Refunded => OrderStatus::Refunded,
    };
    Progress {
        order_id: event.order_id,
        status,
        reason: event.reason.clone(),
    }
}
