//! What the events say. The field names are the wire's and do not change; fields may be added.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{
    CustomerId, InventoryStatus, Money, OrderId, OrderStatus, PaymentStatus, ProductId, Quantity,
    ShipmentId, ShipmentStatus, ShippingAddress, Step, Timestamp, TrackingNumber, names,
};

/// An event of the pipeline: which topic it goes to and what its envelope says.
pub trait Event: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The topic it goes to.
    const TOPIC: &'static str;
    /// The CloudEvents type; its end is the version of the schema.
    const TYPE: &'static str;
    /// The CloudEvents source: the service that tells it.
    const SOURCE: &'static str;

    /// The order it is about; also the record's key.
    fn order_id(&self) -> OrderId;
    /// The status that it tells of.
    fn status(&self) -> &'static str;
    /// When it happened.
    fn timestamp(&self) -> Timestamp;

    /// The step of the order that it tells of.
    fn step(&self) -> Step {
        Step {
            topic: Self::TOPIC,
            status: self.status(),
        }
    }
}

/// A line of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Which product.
    pub product_id: ProductId,
    /// How many pieces.
    pub quantity: Quantity,
    /// The price of one piece.
    pub price: Money,
}

/// The sum of quantity times price, or none above [`Money::MAX`].
pub fn total_of(items: &[Item]) -> Option<Money> {
    items.iter().try_fold(Money::ZERO, |sum, item| {
        sum.checked_add(item.price.checked_mul(item.quantity)?)
    })
}

/// An order was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderPlaced {
    /// Which order.
    pub order_id: OrderId,
    /// Who ordered.
    pub customer_id: CustomerId,
    /// What was ordered.
    pub items: Vec<Item>,
    /// Where it goes.
    pub shipping_address: ShippingAddress,
    /// What is to be paid.
    pub total_amount: Money,
    /// [`OrderStatus::Pending`].
    pub status: OrderStatus,
    /// When the order was accepted.
    pub timestamp: Timestamp,
}

/// The customer wants an order back. Whether that comes in time is for the shipment to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderCancelled {
    /// Which order.
    pub order_id: OrderId,
    /// Who ordered.
    pub customer_id: CustomerId,
    /// What was ordered.
    pub items: Vec<Item>,
    /// Where it would have gone.
    pub shipping_address: ShippingAddress,
    /// [`OrderStatus::Cancelled`].
    pub status: OrderStatus,
    /// When it was asked for.
    pub timestamp: Timestamp,
}

/// A payment was captured, declined or given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentProcessed {
    /// Which order.
    pub order_id: OrderId,
    /// Who pays.
    pub customer_id: CustomerId,
    /// How much.
    pub amount: Money,
    /// What became of it.
    pub status: PaymentStatus,
    /// Why it was declined, given back or called off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was ordered: the inventory takes it.
    pub items: Vec<Item>,
    /// Where it goes: the shipment needs it.
    pub shipping_address: ShippingAddress,
    /// When it was decided.
    pub timestamp: Timestamp,
}

/// An order's items were taken from the stock, could not be, or are back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryUpdated {
    /// Which order.
    pub order_id: OrderId,
    /// Who ordered.
    pub customer_id: CustomerId,
    /// Whether they are taken: all or none.
    pub status: InventoryStatus,
    /// Why they are not taken, or not any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was ordered.
    pub items: Vec<Item>,
    /// Where it goes: the shipment needs it.
    pub shipping_address: ShippingAddress,
    /// When it was decided.
    pub timestamp: Timestamp,
}

/// A shipment came further.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShipmentProcessed {
    /// Which order.
    pub order_id: OrderId,
    /// Who gets it.
    pub customer_id: CustomerId,
    /// Which shipment.
    pub shipment_id: ShipmentId,
    /// What is in it.
    pub items: Vec<Item>,
    /// Where it goes.
    pub shipping_address: ShippingAddress,
    /// How far it is.
    pub status: ShipmentStatus,
    /// What the customer follows it with.
    pub tracking_number: TrackingNumber,
    /// When it should arrive.
    pub estimated_delivery: Timestamp,
    /// When it came so far.
    pub timestamp: Timestamp,
}

macro_rules! event {
    ($name:ident, $topic:expr, $type:literal, $source:literal) => {
        impl Event for $name {
            const TOPIC: &'static str = $topic;
            const TYPE: &'static str = $type;
            const SOURCE: &'static str = $source;

            fn order_id(&self) -> OrderId {
                self.order_id
            }

            fn status(&self) -> &'static str {
                self.status.as_str()
            }

            fn timestamp(&self) -> Timestamp {
                self.timestamp
            }
        }
    };
}

event!(
    OrderPlaced,
    names::ORDER_PLACED,
    "orderflow.order_placed.v1",
    "/order-service"
);
event!(
    OrderCancelled,
    names::ORDER_CANCELLED,
    "orderflow.order_cancelled.v1",
    "/order-service"
);
event!(
    PaymentProcessed,
    names::PAYMENT_PROCESSED,
    "orderflow.payment_processed.v1",
    "/payment-service"
);
event!(
    InventoryUpdated,
    names::INVENTORY_UPDATED,
    "orderflow.inventory_updated.v1",
    "/inventory-service"
);
event!(
    ShipmentProcessed,
    names::SHIPMENT_PROCESSED,
    "orderflow.shipment_processed.v1",
    "/shipment-service"
);
