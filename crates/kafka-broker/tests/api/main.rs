//! The broker over the wire: each API as a client sees it.

// Clippy's leave for tests does not reach their helper functions.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod admin;
mod faults;
mod fuzz;
mod groups;
mod nodes;
mod offsets;
mod raw;
mod records;
mod samples;
mod support;
mod versions;
