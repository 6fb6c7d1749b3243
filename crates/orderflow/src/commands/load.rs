//! `orderflow load`: orders, and what became of them.

use std::process::ExitCode;
use std::sync::Arc;

use service_kit::application::stop_on_signal;
use tokio::time::Instant;

use super::init_log;
use super::output::{say, show};
use super::progress::watched;
use crate::cli::Load;
use crate::load::{self, LoadSettings, Progress};
use crate::shop::ShopError;

pub(super) async fn run(command: Load) -> Result<ExitCode, ShopError> {
    init_log("warn")?;
    let settings = LoadSettings {
        order_url: command.order.order_url,
        inventory_url: command.inventory.inventory_url,
        orders: command.orders,
        concurrency: command.concurrency,
        rate: command.rate,
        // Small enough to be typed, and for readers of JSON that have only floats.
        seed: command.seed.unwrap_or_else(|| rand::random::<u32>().into()),
        cancel_percent: command.cancel,
        restock: command.restock,
        follow_for: command.follow_for,
    };
    let progress = Arc::new(Progress::default());
    let running = load::run(&settings, &progress);
    let (start, orders) = (Instant::now(), settings.orders);
    let interrupted = stop_on_signal()?;
    let watching = watched(running, Some(orders), |bar| {
        let (accepted, settled) = (progress.accepted(), progress.settled());
        let speed = settled as f64 / start.elapsed().as_secs_f64().max(0.001);
        bar.set_position(settled);
        bar.set_message(format!(
            "accepted {accepted}   final {settled} of {orders}   {speed:.0} orders/s"
        ));
    });
    let Some(report) = interrupted.run_until_cancelled(watching).await else {
        eprintln!(
            "orderflow: interrupted: seed {}, {} accepted, {} of them final",
            settings.seed,
            progress.accepted(),
            progress.settled()
        );
        return Ok(ExitCode::FAILURE);
    };
    let report = report?;
    if command.json {
        say!(
            "{}",
            serde_json::to_string(&report).map_err(std::io::Error::from)?
        );
    } else {
        show!("{report}");
    }
    let complaints = report.complaints();
    for complaint in &complaints {
        eprintln!("orderflow: {complaint}");
    }
    Ok(match complaints.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
