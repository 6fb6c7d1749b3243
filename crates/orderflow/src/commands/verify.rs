//! `orderflow verify`: whether services, topics and stock agree on every order.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{init_log, kafka};
use crate::cli::Verify;
use crate::shop::ShopError;
use crate::verify::{self, Progress, VerifyError, VerifySettings};

/// How often the progress is drawn anew.
const DRAWN: Duration = Duration::from_millis(100);
/// The most violations that are printed: what is wrong with one order is often wrong with all.
const PRINTED: usize = 100;

pub(super) async fn run(command: Verify) -> Result<ExitCode, ShopError> {
    init_log("warn")?;
    let settings = VerifySettings {
        order_url: command.order.order_url,
        payment_url: command.payment_url,
        inventory_url: command.inventory.inventory_url,
        shipment_url: command.shipment_url,
        client: kafka::client(&command.kafka)?,
        wait: command.wait,
    };
    let progress = Progress::default();
    let verified = watched(verify::run(&settings, &progress), &progress).await?;
    if command.json {
        let json = serde_json::to_string(&verified).map_err(std::io::Error::from)?;
        println!("{json}");
    } else {
        print!("{verified}");
    }
    for violation in verified.violations.iter().take(PRINTED) {
        eprintln!("orderflow: {violation}");
    }
    match verified.violations.len() {
        0 => return Ok(ExitCode::SUCCESS),
        all if all > PRINTED => eprintln!("orderflow: and {} more", all - PRINTED),
        _ => {}
    }
    Ok(ExitCode::FAILURE)
}

/// Draws how much was read, where somebody can see it.
async fn watched<T>(
    running: impl Future<Output = Result<T, VerifyError>>,
    progress: &Progress,
) -> Result<T, VerifyError> {
    if !std::io::stderr().is_terminal() {
        return running.await;
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        bar.set_style(style);
    }
    let mut running = std::pin::pin!(running);
    let mut redraw = tokio::time::interval(DRAWN);
    let outcome = loop {
        tokio::select! {
            outcome = &mut running => break outcome,
            _ = redraw.tick() => {
                bar.tick();
                bar.set_message(format!("read {} orders and {} events", progress.orders(), progress.records()));
            }
        }
    };
    bar.finish_and_clear();
    outcome
}
