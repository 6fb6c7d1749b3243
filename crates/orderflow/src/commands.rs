//! What each command does.

mod dashboard;
mod dlq;
mod everything;
mod healthcheck;
mod kafka;
mod load;
mod offsets;
mod output;
mod progress;
mod reset;
mod serve;
mod top;
mod verify;

use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use notification_service::NotificationSettings;
use payment_service::payment::DeclineRule;
use service_kit::application::stop_on_signal;
use service_kit::store::Store;
use tokio_util::sync::CancellationToken;

use crate::cli::{Cli, Command, Settings};
use crate::shop::{ShopError, ShopSettings};

/// From the signal to the end. The services have 4 s of it for what is under way.
const STOP: Duration = Duration::from_millis(4_800);

/// Does what the command line says, until it is done or the process is told to stop.
///
/// # Errors
///
/// [`ShopError`], whose text is what the user is told.
pub async fn run(cli: Cli) -> Result<ExitCode, ShopError> {
    match cli.command {
        None => everything::run(cli.settings, cli.admin.token()).await?,
        Some(Command::Serve(serve)) => serve::run(serve).await?,
        Some(Command::Broker { listen }) => kafka::broker(listen).await?,
        Some(Command::Offsets { group, kafka }) => {
            offsets::run(&kafka, group.as_deref()).await?;
        }
        Some(Command::Topics {
            create,
            partitions,
            kafka,
        }) => {
            kafka::topics(&kafka, create, partitions).await?;
        }
        Some(Command::ResetOffsets(command)) => reset::run(command).await?,
        Some(Command::Dashboard(command)) => dashboard::run(command).await?,
        Some(Command::Top(command)) => top::run(command).await?,
        Some(Command::Dlq { action }) => dlq::run(action).await?,
        Some(Command::Load(load)) => return load::run(load).await,
        Some(Command::Verify(verify)) => return verify::run(verify).await,
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

/// Works until it is done, or for [`STOP`] after a signal. Whatever hangs then, the process does not.
async fn until_signal<F>(work: impl FnOnce(CancellationToken) -> F) -> Result<(), ShopError>
where
    F: Future<Output = Result<(), ShopError>>,
{
    let stop = CancellationToken::new();
    let signal = stop_on_signal()?;
    until_late(work(stop.clone()), &stop, &signal, STOP).await
}

/// Works until it is done, or for so long after `signal`. The work gets to know of it by `stop`, once that was said.
async fn until_late(
    work: impl Future<Output = Result<(), ShopError>>,
    stop: &CancellationToken,
    signal: &CancellationToken,
    limit: Duration,
) -> Result<(), ShopError> {
    let mut work = pin!(work);
    tokio::select! {
        outcome = &mut work => return outcome,
        () = signal.cancelled() => {}
    }
    tracing::info!("told to stop: what is under way is finished");
    stop.cancel();
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or(Err(ShopError::Late(limit)))
}

async fn shop_settings(settings: &Settings) -> Result<ShopSettings, ShopError> {
    Ok(ShopSettings {
        bootstrap_servers: settings.bootstrap_servers().map(str::to_owned),
        store: Store::open(settings.mongodb_uri()).await?,
        decline: DeclineRule {
            above: settings.decline_above,
        },
        processing_time: settings.processing_time,
        allowed_hosts: settings.http.allowed_hosts.clone(),
        concurrency: settings.concurrency,
        group_instance_id: settings.group_instance_id().map(str::to_owned),
        notification: NotificationSettings {
            smtp_url: settings.smtp_url.clone(),
            from: settings.mail_from.clone(),
            domain: settings.mail_domain.clone(),
            ..NotificationSettings::default()
        },
        ..ShopSettings::embedded(settings.stock.0.clone())
    })
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::time::Duration;

    use tokio_util::sync::CancellationToken;

    use super::until_late;
    use crate::shop::ShopError;

    const LIMIT: Duration = Duration::from_millis(1);

    #[tokio::test]
    async fn work_that_is_done_ends_without_a_signal() {
        let (stop, signal) = (CancellationToken::new(), CancellationToken::new());
        let done = until_late(ready(Ok(())), &stop, &signal, LIMIT).await;
        assert!(done.is_ok() && !stop.is_cancelled(), "{done:?}");
    }

    #[tokio::test]
    async fn what_does_not_stop_is_cut_off() {
        let (stop, signal) = (CancellationToken::new(), CancellationToken::new());
        signal.cancel();
        let cut = until_late(pending(), &stop, &signal, LIMIT).await;
        assert!(
            matches!(cut, Err(ShopError::Late(LIMIT))) && stop.is_cancelled(),
            "{cut:?}"
        );
    }
}
