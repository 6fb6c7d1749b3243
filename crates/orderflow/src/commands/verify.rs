//! `orderflow verify`: whether services, topics and stock agree on every order.

use std::process::ExitCode;

use super::output::{say, show};
use super::progress::watched;
use super::{init_log, kafka};
use crate::cli::Verify;
use crate::shop::ShopError;
use crate::verify::{self, Progress, VerifySettings};

/// The most violations that are printed: what is wrong with one order is often wrong with all.
const PRINTED: usize = 100;

pub(super) async fn run(command: Verify) -> Result<ExitCode, ShopError> {
    init_log("warn")?;
    let settings = VerifySettings {
        order_url: command.urls.order.order_url,
        payment_url: command.urls.payment_url,
        inventory_url: command.urls.inventory.inventory_url,
        shipment_url: command.urls.shipment_url,
        client: kafka::client(&command.kafka)?,
        wait: command.wait,
    };
    let progress = Progress::default();
    let verified = watched(verify::run(&settings, &progress), None, |bar| {
        bar.set_message(format!(
            "read {} orders and {} events",
            progress.orders(),
            progress.records()
        ));
    })
    .await?;
    if command.json {
        let json = serde_json::to_string(&verified).map_err(std::io::Error::from)?;
        say!("{json}");
    } else {
        show!("{verified}");
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
