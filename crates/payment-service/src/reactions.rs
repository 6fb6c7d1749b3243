//! One file for each event that payment-service reacts to.

pub mod inventory_updated;
pub mod order_placed;
