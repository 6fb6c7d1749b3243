//! Orders go all the way: the whole shop, driven over HTTP as a customer would.
//!
//! The scenarios are written once and run on the embedded broker and store here, and on a real Kafka and MongoDB where
//! `KAFKA_BOOTSTRAP_SERVERS` and `MONGODB_URI` name them (those tests are ignored unless asked for).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod api;
mod command_line;
mod embedded;
mod faults;
mod load;
mod members;
mod metrics;
mod page;
mod processes;
mod real;
mod reset_offsets;
mod running;
mod scenarios;
mod supervised;
mod verify;
