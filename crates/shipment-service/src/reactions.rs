//! One file for each event that shipment-service reacts to.

pub mod inventory_updated;
