//! A shipment: one document an order.

use contracts::{
    CustomerId, InventoryUpdated, OrderId, ShipmentId, ShipmentStatus, ShippingAddress, Timestamp,
    TrackingNumber,
};
use serde::{Deserialize, Serialize};
use service_kit::store::Document;

/// The database of this service.
pub const DATABASE: &str = "shipment_db";

/// Days from the shipment to its estimated delivery.
const DELIVERY_DAYS: u32 = 3;

/// What was sent for an order. Its document's id is the order's, so that an order is not sent twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shipment {
    /// The shipment's own id.
    pub shipment_id: ShipmentId,
    /// Which order.
    pub order_id: OrderId,
    /// Who gets it.
    pub customer_id: CustomerId,
    /// Where it goes.
    pub shipping_address: ShippingAddress,
    /// How far it is.
    pub status: ShipmentStatus,
    /// What the customer follows it with.
    pub tracking_number: TrackingNumber,
    /// When it was handed over.
    pub created_at: Timestamp,
    /// When it should arrive.
    pub estimated_delivery: Timestamp,
}

impl Shipment {
    /// The shipment of an order whose items are out of the stock, handed over now.
    pub fn dispatch(order: &InventoryUpdated, now: Timestamp) -> Self {
        Self {
            shipment_id: ShipmentId::of(order.order_id),
            order_id: order.order_id,
            customer_id: order.customer_id.clone(),
            shipping_address: order.shipping_address.clone(),
            status: ShipmentStatus::Shipped,
            tracking_number: TrackingNumber::of(order.order_id),
            created_at: now,
            estimated_delivery: now.plus_days(DELIVERY_DAYS),
        }
    }
}

impl Document for Shipment {
    type Id = OrderId;
    const COLLECTION: &'static str = "shipments";

    fn id(&self) -> OrderId {
        self.order_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::{InventoryStatus, Item, Money, Quantity};

    #[test]
    fn delivery_is_three_days_on_on_every_day_of_the_year() {
        let first: Timestamp = "2024-01-01T09:30:00.000Z".parse().unwrap();
        let order = InventoryUpdated {
            order_id: OrderId::new(first, [7; 10]),
            customer_id: "c".parse().unwrap(),
            status: InventoryStatus::Updated,
            reason: None,
            items: vec![Item {
                product_id: "P001".parse().unwrap(),
                quantity: Quantity::new(1).unwrap(),
                price: Money::ZERO,
            }],
            shipping_address: "1 Main Street".parse().unwrap(),
            timestamp: first,
        };
        // Two years, one of them a leap year: the ends of all months among them.
        for day in 0..731 {
            let now = first.plus_days(day);
            let shipment = Shipment::dispatch(&order, now);
            assert_eq!(
                shipment.estimated_delivery.millis_since(now),
                3 * 24 * 3600 * 1000
            );
        }
        let last = "2026-12-30T09:30:00.000Z".parse().unwrap();
        let delivery = Shipment::dispatch(&order, last).estimated_delivery;
        assert_eq!(delivery.to_string(), "2027-01-02T09:30:00.000Z");
    }
}
