//! The order pipeline in one binary: everything in one process, or one role of it.
//!
//! Only this crate sees all the others. [`Shop`] is what `main` and the end-to-end tests start alike.

pub mod cli;
mod commands;
mod instances;
pub mod load;
pub mod processing;
mod shop;
pub mod stock;
pub mod top;
pub mod verify;

pub use commands::run;
pub use instances::{Instances, MOST as MOST_INSTANCES};
pub use service_kit::http::client as http;
pub use shop::{Shop, ShopError, ShopSettings};
