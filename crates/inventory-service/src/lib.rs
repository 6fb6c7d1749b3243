//! The inventory service of the order pipeline.
