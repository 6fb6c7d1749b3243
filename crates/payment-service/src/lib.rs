//! The payment service of the order pipeline.
