//! The order service of the order pipeline.
