//! One service on real servers.

use service_kit::application::stop_on_signal;

use super::{init_log, shop_settings};
use crate::cli::Serve;
use crate::shop::{Shop, ShopError};

/// Where Kafka usually is.
const KAFKA: &str = "127.0.0.1:9092";

pub(super) async fn run(serve: Serve) -> Result<(), ShopError> {
    init_log("info")?;
    let stop = stop_on_signal()?;
    let mut settings = shop_settings(&serve.settings).await?;
    // A broker of its own would be of no use to one service: the others would not see it.
    settings
        .bootstrap_servers
        .get_or_insert_with(|| KAFKA.to_owned());
    let port = serve.http_port.unwrap_or(serve.role.port());
    let shop = Shop::build(&[(serve.role, port)], settings, serve.settings.http_host).await?;
    tracing::info!(
        service = serve.role.service(),
        kafka = shop.bootstrap_servers(),
        store = shop.store().name(),
        "starting"
    );
    shop.run_until_stopped(stop).await
}
