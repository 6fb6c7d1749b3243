//! A payment was captured: the order's items are taken from the stock, or the order is rejected.

use std::collections::BTreeMap;
use std::sync::Arc;

use contracts::{Envelope, Message, OrderId, PaymentProcessed, PaymentStatus};
use service_kit::clock::SharedClock;
use service_kit::reaction::{Reaction, ReactionError};

use crate::updates::InventoryUpdate;
use crate::warehouse::{OrderItems, Warehouse};

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

    fn is_work(event: &PaymentProcessed) -> bool {
        event.status == PaymentStatus::Completed
    }

    async fn react(
        &self,
        batch: &[Envelope<PaymentProcessed>],
    ) -> Result<Vec<Message>, ReactionError> {
        let updates = self
            .warehouse
            .take(&paid_orders(batch), self.clock.now())
            .await?;
        paid(batch)
            .filter_map(|paid| tell(paid, &updates).transpose())
            .collect()
    }

    async fn settle(&self, batch: &[Envelope<PaymentProcessed>]) -> Result<(), ReactionError> {
        Ok(self.warehouse.settle(&paid_orders(batch)).await?)
    }
}

/// The event that tells what was decided; none for an order that was cancelled first, of which its release tells. An order
/// without a decision is not passed over: it would wait for ever.
fn tell(
    paid: &Envelope<PaymentProcessed>,
    updates: &BTreeMap<OrderId, InventoryUpdate>,
) -> Result<Option<Message>, ReactionError> {
    let order_id = paid.data.order_id;
    let update = updates
        .get(&order_id)
        .ok_or_else(|| ReactionError::Missing {
            what: "the decision",
            id: format!("order {order_id}"),
        })?;
    let message = update
        .decision(&paid.data)
        .map(|event| Envelope::new(event, paid.attributes.traceparent).encode());
    Ok(message.transpose()?)
}

/// The events that ask for stock: a declined or refunded payment does not.
fn paid(batch: &[Envelope<PaymentProcessed>]) -> impl Iterator<Item = &Envelope<PaymentProcessed>> {
    batch
        .iter()
        .filter(|event| event.data.status == PaymentStatus::Completed)
}

fn paid_orders(batch: &[Envelope<PaymentProcessed>]) -> Vec<OrderItems> {
    paid(batch)
        .map(|event| OrderItems {
            order_id: event.data.order_id,
            items: event.data.items.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use contracts::{InventoryStatus, Money, Timestamp};

    use super::*;
    use crate::stock::Decision;

    fn paid() -> Envelope<PaymentProcessed> {
        let event = PaymentProcessed {
            order_id: OrderId::new(Timestamp::from_millis(1), [7; 10]),
            customer_id: "C001".parse().unwrap(),
            amount: Money::ZERO,
            status: PaymentStatus::Completed,
            reason: None,
            items: Vec::new(),
            shipping_address: "1 Main Street".parse().unwrap(),
            timestamp: Timestamp::from_millis(2),
        };
        Envelope::new(event, None)
    }

    #[test]
    fn what_was_decided_is_told() {
        let paid = paid();
        let (order_id, decided) = (paid.data.order_id, Timestamp::from_millis(3));
        let update = InventoryUpdate::new(order_id, Vec::new(), Decision::Taken, decided);
        let message = tell(&paid, &BTreeMap::from([(order_id, update)]))
            .unwrap()
            .unwrap();
        let told: serde_json::Value = serde_json::from_slice(&message.value).unwrap();
        let status = serde_json::to_value(InventoryStatus::Updated).unwrap();
        assert_eq!(
            (&told["status"], &told["order_id"]),
            (&status, &order_id.to_string().into())
        );
    }

    #[test]
    fn an_order_without_a_decision_is_tried_again_and_not_passed_over() {
        let paid = paid();
        let error = tell(&paid, &BTreeMap::new()).unwrap_err();
        assert!(error.is_retriable());
        assert!(
            error.to_string().contains(&paid.data.order_id.to_string()),
            "{error}"
        );
    }
}
