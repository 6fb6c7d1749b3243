//! A shipment: one document an order. It is where an order passes the point of no return.
//!
//! ```text
//! (none) ──▶ PROCESSING ──▶ SHIPPED
//!        │       └────────▶ CANCELLED     the order was cancelled while it was packed
//!        └────────────────▶ CANCELLED     or before it came here
//! ```
//!
//! A cancellation and a reservation come from two topics, in any order, perhaps to two processes. Both write this document by
//! compare-and-set, so one of them is first, and what the other finds holds for all services: a cancelled order is not sent,
//! and an order that is on its way is not given back.

use contracts::{
    CustomerId, InventoryUpdated, Item, OrderCancelled, OrderId, ShipmentId, ShipmentProcessed,
    ShipmentStatus, ShippingAddress, Timestamp, TrackingNumber,
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
    /// What is in it.
    pub items: Vec<Item>,
    /// Where it goes.
    pub shipping_address: ShippingAddress,
    /// How far it is.
    pub status: ShipmentStatus,
    /// What the customer follows it with.
    pub tracking_number: TrackingNumber,
    /// When it came here, to be packed or to be stopped.
    pub created_at: Timestamp,
    /// When it was handed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipped_at: Option<Timestamp>,
    /// When it was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_at: Option<Timestamp>,
    /// When it should arrive.
    pub estimated_delivery: Timestamp,
}

impl Shipment {
    /// The shipment of an order whose items are out of the stock, being packed from now on.
    pub fn pack(order: &InventoryUpdated, now: Timestamp) -> Self {
        Self {
            shipment_id: ShipmentId::of(order.order_id),
            order_id: order.order_id,
            customer_id: order.customer_id.clone(),
            items: order.items.clone(),
            shipping_address: order.shipping_address.clone(),
            status: ShipmentStatus::Processing,
            tracking_number: TrackingNumber::of(order.order_id),
            created_at: now,
            shipped_at: None,
            cancelled_at: None,
            estimated_delivery: now.plus_days(DELIVERY_DAYS),
        }
    }

    /// In the place of a shipment, for an order that was cancelled before it came here: it will not be packed any more.
    pub fn forestall(order: &OrderCancelled, now: Timestamp) -> Self {
        Self {
            shipment_id: ShipmentId::of(order.order_id),
            order_id: order.order_id,
            customer_id: order.customer_id.clone(),
            items: order.items.clone(),
            shipping_address: order.shipping_address.clone(),
            status: ShipmentStatus::Cancelled,
            tracking_number: TrackingNumber::of(order.order_id),
            created_at: now,
            shipped_at: None,
            cancelled_at: Some(now),
            estimated_delivery: now.plus_days(DELIVERY_DAYS),
        }
    }

    /// Hands it over; false if that was done before, or it was stopped.
    pub fn ship(&mut self, now: Timestamp) -> bool {
        let open = self.decide(ShipmentStatus::Shipped);
        if open {
            self.shipped_at = Some(now);
        }
        open
    }

    /// Stops it; false if that was done before, or it is on its way.
    pub fn cancel(&mut self, now: Timestamp) -> bool {
        let open = self.decide(ShipmentStatus::Cancelled);
        if open {
            self.cancelled_at = Some(now);
        }
        open
    }

    /// Where an order passes the point of no return, this way or that: whichever is first.
    fn decide(&mut self, status: ShipmentStatus) -> bool {
        let open = self.status == ShipmentStatus::Processing;
        if open {
            self.status = status;
        }
        open
    }

    /// The events that tell of it, from its beginning: the same each time, and more once it has come further.
    pub fn events(&self) -> Vec<ShipmentProcessed> {
        match self.status {
            ShipmentStatus::Processing => vec![self.event(self.status, self.created_at)],
            ShipmentStatus::Shipped => vec![
                self.event(ShipmentStatus::Processing, self.created_at),
                self.event(self.status, self.shipped_at.unwrap_or(self.created_at)),
            ],
            ShipmentStatus::Cancelled => {
                vec![self.event(self.status, self.cancelled_at.unwrap_or(self.created_at))]
            }
        }
    }

    fn event(&self, status: ShipmentStatus, timestamp: Timestamp) -> ShipmentProcessed {
        ShipmentProcessed {
            order_id: self.order_id,
            customer_id: self.customer_id.clone(),
            shipment_id: self.shipment_id,
            items: self.items.clone(),
            shipping_address: self.shipping_address.clone(),
            status,
            tracking_number: self.tracking_number,
            // From when it was packed on, so that an event says the same however far the shipment has come since.
            estimated_delivery: self.created_at.plus_days(DELIVERY_DAYS),
            timestamp,
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

    fn reserved() -> InventoryUpdated {
        let first = Timestamp::from_millis(1);
        InventoryUpdated {
            order_id: OrderId::new(first, [7; 10]),
            customer_id: "c".parse().unwrap(),
            status: InventoryStatus::Updated,
            reason: None,
            items: Vec::new(),
            shipping_address: "1 Main Street".parse().unwrap(),
            timestamp: first,
        }
    }

    #[test]
    fn whichever_is_first_of_shipping_and_cancelling_holds() {
        let now = Timestamp::from_millis(5);
        let packed = Shipment::pack(&reserved(), now);
        let (mut shipped, mut cancelled) = (packed.clone(), packed);
        assert!(shipped.ship(now) && !shipped.cancel(now) && !shipped.ship(now));
        assert_eq!(shipped.status, ShipmentStatus::Shipped);
        assert!(cancelled.cancel(now) && !cancelled.ship(now) && !cancelled.cancel(now));
        assert_eq!(cancelled.status, ShipmentStatus::Cancelled);
    }

    #[test]
    fn the_event_of_being_packed_is_the_same_after_it_is_shipped() {
        let mut shipment = Shipment::pack(&reserved(), Timestamp::from_millis(5));
        let before = shipment.events();
        shipment.ship(Timestamp::from_millis(9_000_000_000));
        let after = shipment.events();
        assert_eq!((before.len(), after.len()), (1, 2));
        assert_eq!(before[0], after[0]);
        assert_eq!(after[1].status, ShipmentStatus::Shipped);
    }

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
            let mut shipment = Shipment::pack(&order, now);
            shipment.ship(now);
            assert_eq!(
                shipment.estimated_delivery.millis_since(now),
                3 * 24 * 3600 * 1000
            );
        }
        let last = "2026-12-30T09:30:00.000Z".parse().unwrap();
        let delivery = Shipment::pack(&order, last).estimated_delivery;
        assert_eq!(delivery.to_string(), "2027-01-02T09:30:00.000Z");
    }
}
