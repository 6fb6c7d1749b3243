//! A shipment is on its way: the customer is told.

use std::sync::Arc;

use contracts::{Envelope, Message, ShipmentProcessed, ShipmentStatus};
use service_kit::reaction::{Reaction, ReactionError};

use crate::mail::Mail;
use crate::post::PostOffice;

/// Tells the customers whose orders are on their way.
#[derive(Debug)]
pub struct OnShipmentProcessed {
    /// Where the mails go.
    pub post: Arc<PostOffice>,
}

impl Reaction for OnShipmentProcessed {
    type Event = ShipmentProcessed;

    fn is_work(event: &ShipmentProcessed) -> bool {
        event.status == ShipmentStatus::Shipped
    }

    async fn react(
        &self,
        batch: &[Envelope<ShipmentProcessed>],
    ) -> Result<Vec<Message>, ReactionError> {
        let (letterhead, now) = (self.post.letterhead(), self.post.now());
        let mails = batch
            .iter()
            .filter_map(|event| Mail::of_shipment(&event.data, letterhead, now))
            .collect();
        self.post.post(mails).await?;
        Ok(Vec::new())
    }
}
