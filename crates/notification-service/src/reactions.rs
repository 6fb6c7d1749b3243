//! One file for each event that notification-service reacts to.

pub mod payment_processed;
pub mod shipment_processed;
