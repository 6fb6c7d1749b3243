//! One service on real servers.

use tokio_util::sync::CancellationToken;

use super::{init_log, shop_settings, until_signal};
use crate::cli::Serve;
use crate::shop::{Shop, ShopError};

/// Where Kafka usually is.
const KAFKA: &str = "127.0.0.1:9092";

pub(super) async fn run(serve: Serve) -> Result<(), ShopError> {
    init_log("info")?;
    match (serve.settings.mongodb_uri(), serve.embedded_store) {
        (None, false) => return Err(ShopError::NoStore),
        (Some(_), true) => return Err(ShopError::TwoStores),
        (None, true) => tracing::warn!(
            service = serve.role.service(),
            "documents are kept in this process: no other sees them, and they are lost at its end"
        ),
        (Some(_), false) => {}
    }
    until_signal(|stop| run_until(serve, stop)).await
}

async fn run_until(serve: Serve, stop: CancellationToken) -> Result<(), ShopError> {
    let mut settings = shop_settings(&serve.settings).await?;
    // A broker of its own would be of no use to one service: the others would not see it.
    settings
        .bootstrap_servers
        .get_or_insert_with(|| KAFKA.to_owned());
    let port = serve.http_port.unwrap_or(serve.role.port());
    let shop = Shop::build(&[(serve.role, port)], settings, serve.settings.http.host).await?;
    tracing::info!(
        service = serve.role.service(),
        kafka = shop.bootstrap_servers(),
        store = shop.store().name(),
        "starting"
    );
    shop.run_until_stopped(stop).await
}
