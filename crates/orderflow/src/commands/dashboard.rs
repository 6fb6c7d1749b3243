//! The dashboard by itself.

use std::net::SocketAddr;

use dashboard::DashboardSettings;
use tokio_util::sync::CancellationToken;

use super::output::say;
use super::{init_log, kafka, until_signal};
use crate::cli::Dashboard;
use crate::shop::{ShopError, listen};

pub(super) async fn run(command: Dashboard) -> Result<(), ShopError> {
    init_log("info")?;
    until_signal(|stop| run_until(command, stop)).await
}

async fn run_until(command: Dashboard, stop: CancellationToken) -> Result<(), ShopError> {
    let address = SocketAddr::new(command.http.host, command.http_port);
    let listener = listen("the dashboard", address).await?;
    let client = kafka::client(&command.kafka)?;
    let settings = DashboardSettings {
        services: command.urls.into(),
        admin_token: command.admin.token(),
        controls: None,
        embedded: false,
    };
    let dashboard = dashboard::build(&client, listener, settings)?
        .with_allowed_hosts(command.http.allowed_hosts);
    say!(
        "dashboard: open http://{}, Ctrl-C stops",
        dashboard.address()
    );
    Ok(dashboard.run_until_stopped(stop).await?)
}
