//! Nothing is lost, nothing doubled, and order kept, while members, connections and brokers come and go: short forms on
//! the embedded broker, full ones on a real Kafka. And other clients see the same log.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod chain;
mod chains;
mod cluster;
mod faults;
mod interop;
mod journal;
mod kit;
mod member;
mod proxy;
mod real;
mod rolling;
