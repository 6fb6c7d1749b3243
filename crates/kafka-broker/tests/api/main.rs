//! The broker over the wire: each API as a client sees it.

mod groups;
mod records;
mod support;
