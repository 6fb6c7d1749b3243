//! What each command does.

mod everything;
mod healthcheck;
mod kafka;
mod serve;

use std::process::ExitCode;

use service_kit::store::Store;

use crate::cli::{Cli, Command, Settings};
use crate::shop::{ShopError, ShopSettings};

/// Does what the command line says, until it is done or the process is told to stop.
///
/// # Errors
///
/// [`ShopError`], whose text is what the user is told.
pub async fn run(cli: Cli) -> Result<ExitCode, ShopError> {
    match cli.command {
        None => everything::run(cli.settings).await?,
        Some(Command::Serve(serve)) => serve::run(serve).await?,
        Some(Command::Broker { listen }) => kafka::broker(listen).await?,
        Some(Command::Offsets { group, kafka }) => {
            kafka::offsets(&kafka, group.as_deref()).await?;
        }
        Some(Command::Topics {
            create,
            partitions,
            kafka,
        }) => {
            kafka::topics(&kafka, create, partitions).await?;
        }
        Some(Command::Healthcheck { url }) => return Ok(healthcheck::run(&url).await),
    }
    Ok(ExitCode::SUCCESS)
}

/// Logs to standard error what `RUST_LOG` lets through.
fn init_log(default: &str) -> Result<(), ShopError> {
    let filter = std::env::var("RUST_LOG")
        .ok()
        .filter(|filter| !filter.is_empty());
    Ok(service_kit::telemetry::init(
        filter.as_deref().unwrap_or(default),
    )?)
}

async fn shop_settings(settings: &Settings) -> Result<ShopSettings, ShopError> {
    // An empty variable is one that somebody meant to leave out.
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    Ok(ShopSettings {
        bootstrap_servers: given(&settings.bootstrap_servers),
        store: Store::open(given(&settings.mongodb_uri).as_deref()).await?,
        processing_time: settings.processing_time,
        ..ShopSettings::embedded(settings.stock.0.clone())
    })
}
