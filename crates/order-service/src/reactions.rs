//! One file for each event that order-service reacts to. All three keep an order's status true.

pub mod inventory_updated;
pub mod payment_processed;
pub mod shipment_processed;
