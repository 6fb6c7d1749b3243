//! The worker, the dead letters and the outbox on an embedded broker, which can be told to do wrong.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly too"
)]

mod concurrency;
mod dead_letters;
mod kit;
mod outbox;
mod pausing;
mod worker;
