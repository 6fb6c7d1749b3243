//! One file for each event that payment-service reacts to.

pub mod order_placed;
