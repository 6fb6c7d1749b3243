//! One file for each event that inventory-service reacts to.

pub mod payment_processed;
pub mod shipment_processed;
