//! What every service shares: configuration, telemetry, HTTP, the store and the consume loop.

pub mod store;
