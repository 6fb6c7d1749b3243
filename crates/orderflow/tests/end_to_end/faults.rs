//! Orders are on their way, something happens, and every one of them comes to its right end all the same.
//!
//! The load comes in waves: when a part of a wave is accepted the fault strikes, and the wave is followed to its end. Then
//! `orderflow verify` looks at all services and at every event.

mod bed;
mod embedded;
mod load;
#[path = "../../../kafka-client/tests/reliability/proxy.rs"]
mod proxy;
mod real;
mod records;

pub(crate) use bed::until;
pub(crate) use load::verify;
