//! A payment was declined, given back or called off: the order has ended, and the customer is told.

use std::sync::Arc;

use contracts::{Envelope, Message, PaymentProcessed, PaymentStatus};
use service_kit::reaction::{Reaction, ReactionError};

use crate::mail::Mail;
use crate::post::PostOffice;

/// Tells the customers whose orders ended with their payment.
#[derive(Debug)]
pub struct OnPaymentProcessed {
    /// Where the mails go.
    pub post: Arc<PostOffice>,
}

impl Reaction for OnPaymentProcessed {
    type Event = PaymentProcessed;

    fn is_work(event: &PaymentProcessed) -> bool {
        event.status != PaymentStatus::Completed
    }

    async fn react(
        &self,
        batch: &[Envelope<PaymentProcessed>],
    ) -> Result<Vec<Message>, ReactionError> {
        let (letterhead, now) = (self.post.letterhead(), self.post.now());
        let mails = batch
            .iter()
            .filter_map(|event| Mail::of_payment(&event.data, letterhead, now))
            .collect();
        self.post.post(mails).await?;
        Ok(Vec::new())
    }
}
