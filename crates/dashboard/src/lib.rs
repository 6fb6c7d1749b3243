//! The live page: where each message lies, who reads it, and what happens when something dies.
//!
//! What it shows is [`snapshot`]; what it can do to a shop that runs in the same process is [`controls`].
//!
//! # Layout
//!
//! - `build.rs` puts the application together; `api.rs` has the paths that are read, `actions.rs` those that do something.
//! - `observe.rs` looks at everything twice a second while somebody watches, and says it to all who watch; `observe/` has what it
//!   looks at, and, as pure functions, what it concludes from two looks: who reads what now, how fast a topic grows.
//! - `tail.rs` has the last records of each partition, `reading.rs` reads a piece of one once, `journey.rs` finds what was said of an order.
//! - `commits.rs` asks the groups what they have committed. `services.rs` is the other side of HTTP: the instances of the services and what they answer.
//! - `load.rs` places orders. `assets.rs` is the page itself, from `web/`.

mod actions;
mod api;
mod assets;
mod build;
mod commits;
pub mod controls;
mod journey;
mod load;
mod observation;
mod observe;
mod reading;
mod records;
mod services;
pub mod snapshot;
mod stream;
mod tail;

pub use build::{BuildError, DashboardSettings, ServiceUrls, build};
pub use observation::Observation;
