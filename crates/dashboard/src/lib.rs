//! The live page: where each message lies, who reads it, and what happens when something dies.
//!
//! What it shows is [`snapshot`]; what it can do to a shop that runs in the same process is [`controls`].

pub mod controls;
pub mod snapshot;
