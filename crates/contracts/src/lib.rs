//! The events of the order pipeline: their envelope, topics, ids and money.
//!
//! This crate knows nothing of Kafka, HTTP or a database: it says what travels, not how.
//! Everything that can be wrong is refused when a value is made, so a `Money`, an `OrderId` or a
//! `Quantity` that exists is a right one.

mod decimal;
mod envelope;
mod events;
mod ids;
mod money;
pub mod names;
mod quantity;
mod status;
mod text;
mod timestamp;
mod trace;

pub use envelope::{Attributes, DecodeError, EncodeError, Envelope, Message};
pub use events::{
    Event, InventoryUpdated, Item, OrderCancelled, OrderPlaced, PaymentProcessed,
    ShipmentProcessed, total_of,
};
pub use ids::{EventId, IdError, OrderId, ShipmentId, Step, TrackingNumber};
pub use money::{Money, MoneyError};
pub use quantity::{Quantity, QuantityError};
pub use status::{InventoryStatus, OrderStatus, PaymentStatus, ShipmentStatus, UnknownStatus};
pub use text::{CustomerId, ProductId, ShippingAddress, TextError};
pub use timestamp::{Timestamp, TimestampError};
pub use trace_context::{TraceParent, TraceParentError};
