//! What every service shares: telemetry, HTTP, the store and the consume loop.

pub mod application;
pub mod clock;
pub mod context;
pub mod dead_letters;
pub mod http;
pub mod ids;
pub mod member;
pub mod metric;
pub mod offsets;
pub mod outbox;
pub mod publish;
pub mod reaction;
pub mod secret;
pub mod store;
pub mod telemetry;
pub mod worker;
