//! What must be so once everything is at rest.

use std::collections::BTreeMap;

use contracts::{Message, OrderStatus, PaymentStatus, ShipmentStatus};
use order_service::order::Order;

use crate::pipeline::{Pipeline, STOCK};

/// Checks all of it; returns how many orders came to which status.
pub(crate) async fn check(pipeline: &Pipeline) -> BTreeMap<String, usize> {
    let mut statuses: BTreeMap<String, usize> = BTreeMap::new();
    let mut sold: BTreeMap<String, u64> = BTreeMap::new();
    for id in &pipeline.placed {
        let order = pipeline.orders.get(*id).await.unwrap().unwrap();
        the_services_agree(pipeline, &order).await;
        if order.status == OrderStatus::Shipped {
            for item in &order.items {
                let pieces = u64::from(item.quantity.get());
                *sold.entry(item.product_id.to_string()).or_default() += pieces;
            }
        }
        *statuses.entry(order.status.to_string()).or_default() += 1;
    }
    for (product, pieces) in STOCK {
        let left = pipeline.warehouse.product(&product.parse().unwrap()).await;
        let left = left.unwrap().unwrap();
        assert!(left.marks.is_empty(), "{left:?}");
        let sold = sold.get(product).copied().unwrap_or_default();
        assert_eq!(left.quantity + sold, pieces, "{product}: {statuses:?}");
    }
    an_event_says_the_same_each_time(pipeline);
    statuses
}

async fn the_services_agree(pipeline: &Pipeline, order: &Order) {
    let id = order.order_id;
    let payment = pipeline.payments.get(&id).await.unwrap().unwrap().document;
    let shipment = pipeline.shipments.get(&id).await.unwrap();
    let shipment = shipment.map(|found| found.document.status);
    let history: Vec<OrderStatus> = order.history.iter().map(|past| past.status).collect();
    let paid = history.contains(&OrderStatus::Paid);
    let told = (payment.status, shipment);
    match order.status {
        OrderStatus::Shipped => assert_eq!(
            told,
            (PaymentStatus::Completed, Some(ShipmentStatus::Shipped)),
            "{order:?}"
        ),
        OrderStatus::Declined => {
            assert_eq!(payment.status, PaymentStatus::Declined, "{order:?}");
            assert_ne!(shipment, Some(ShipmentStatus::Shipped), "{order:?}");
        }
        OrderStatus::Refunded => {
            assert_eq!(payment.status, PaymentStatus::Refunded, "{order:?}");
            assert!(history.contains(&OrderStatus::Rejected), "{order:?}");
            assert_ne!(shipment, Some(ShipmentStatus::Shipped), "{order:?}");
        }
        OrderStatus::Cancelled => {
            let undone = if paid {
                PaymentStatus::Refunded
            } else {
                PaymentStatus::Cancelled
            };
            assert_eq!(told, (undone, Some(ShipmentStatus::Cancelled)), "{order:?}");
        }
        OrderStatus::Pending
        | OrderStatus::Paid
        | OrderStatus::Reserved
        | OrderStatus::Rejected => panic!("not final: {order:?}"),
    }
}

/// One event id an order and step; what is published again is the same, byte for byte: key, headers, the trace among them, and value.
fn an_event_says_the_same_each_time(pipeline: &Pipeline) {
    let mut known: BTreeMap<&[u8], &Message> = BTreeMap::new();
    for message in pipeline.topics.values().flatten() {
        let (_, id) = message
            .headers
            .iter()
            .find(|(name, _)| *name == "ce_id")
            .unwrap();
        let before = *known.entry(id).or_insert(message);
        assert_eq!(readable(before), readable(message));
        assert_eq!(before, message);
    }
}

fn readable(message: &Message) -> Vec<String> {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let headers = message.headers.iter();
    let headers = headers.map(|(name, value)| format!("{name}: {}", text(value)));
    let all = [
        message.topic.to_owned(),
        text(&message.key),
        text(&message.value),
    ];
    all.into_iter().chain(headers).collect()
}
