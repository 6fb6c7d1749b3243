//! The broker over the wire: each API as a client sees it.

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
