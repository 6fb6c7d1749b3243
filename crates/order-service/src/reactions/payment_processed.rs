//! A payment was captured, declined or given back.

use contracts::{Envelope, Message, PaymentProcessed};
use service_kit::reaction::{Reaction, ReactionError};

use crate::order::{Fact, Progress};
use crate::orders::Orders;

/// Keeps the orders' status true to their payments.
#[derive(Debug)]
pub struct OnPaymentProcessed {
    /// The orders.
    pub orders: Orders,
}

impl Reaction for OnPaymentProcessed {
    type Event = PaymentProcessed;

    // To keep a status true is no work of the shop's.
    fn is_work(_: &PaymentProcessed) -> bool {
        false
    }

    async fn react(
        &self,
        batch: &[Envelope<PaymentProcessed>],
    ) -> Result<Vec<Message>, ReactionError> {
        let progress: Vec<Progress> = batch.iter().map(progress).collect();
        self.orders.advance(&progress).await?;
        Ok(Vec::new())
    }
}

fn progress(event: &Envelope<PaymentProcessed>) -> Progress {
    Progress {
        order_id: event.data.order_id,
        fact: Fact::Payment(event.data.status),
        reason: event.data.reason.clone(),
        timestamp: event.data.timestamp,
        event_id: event.attributes.id,
    }
}
