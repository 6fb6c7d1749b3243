//! The dashboard on an embedded broker, beside services that are only played: over HTTP, as a browser has it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests may fail loudly"
)]

mod acting;
mod bed;
mod groups;
mod guarded;
mod http;
mod journeys;
mod played;
mod reading;
mod watching;
