//! Publishing events and waiting until Kafka has them.

use contracts::Message;
use kafka_client::{Delivery, ProduceError, Producer, ProducerRecord};

/// Publishes the messages, those of one key in this order, and returns once all of them are acknowledged.
///
/// # Errors
///
/// The first message's that was not acknowledged. Others may have been published all the same: whoever does the work
/// again publishes them again, with the same event ids. One that [cannot be written](ProduceError::is_of_record) stands in
/// the way of the others, and it is for the caller to find which it is.
pub async fn publish(producer: &Producer, messages: &[Message]) -> Result<(), ProduceError> {
    let mut deliveries = Vec::with_capacity(messages.len());
    for message in messages {
        let headers: Vec<(&str, Option<&[u8]>)> = message
            .headers
            .iter()
            .map(|(name, value)| (*name, Some(value.as_ref())))
            .collect();
        let record = ProducerRecord::new(message.topic)
            .key(&message.key)
            .value(&message.value)
            .headers(&headers);
        deliveries.push(producer.send(&record).await?);
    }
    acknowledged(deliveries).await
}

/// Waits until Kafka has all of what was sent.
pub(crate) async fn acknowledged(deliveries: Vec<Delivery>) -> Result<(), ProduceError> {
    for delivery in deliveries {
        delivery.await?;
    }
    Ok(())
}
