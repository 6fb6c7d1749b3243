//! What leaves this service: the mails themselves, what becomes of them when something dies or refuses, and the service as a whole.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly too"
)]

mod crashes;
mod desk;
mod letters;
mod relay;
mod service;
mod smtp;
