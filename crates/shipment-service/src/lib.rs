//! The shipment service of the order pipeline.
