//! Everything in one process.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use contracts::names;
use service_kit::secret::Secret;
use tokio_util::sync::CancellationToken;

use super::output::say;
use super::{init_log, shop_settings, until_signal};
use crate::cli::{Role, Settings};
use crate::shop::{Shop, ShopError, ShopSettings};

/// Where Kafka's tools look for a broker.
const BROKER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9092);

pub(super) async fn run(settings: Settings, admin_token: Option<Secret>) -> Result<(), ShopError> {
    init_log("warn")?;
    until_signal(|stop| run_until(settings, admin_token, stop)).await
}

async fn run_until(
    settings: Settings,
    admin_token: Option<Secret>,
    stop: CancellationToken,
) -> Result<(), ShopError> {
    let roles = Role::ALL.map(|role| (role, role.port()));
    let shop_settings = ShopSettings {
        broker: BROKER,
        ..shop_settings(&settings).await?
    };
    let shop = Shop::build(&roles, shop_settings, settings.http.host)
        .await?
        .with_dashboard(names::DASHBOARD_PORT, admin_token)
        .await?;
    say!("{}", welcome(&shop));
    let stopping = stop.clone();
    let told = tokio::spawn(async move {
        stopping.cancelled().await;
        say!("stopping: what is under way is finished, offsets are committed");
    });
    let outcome = shop.run_until_stopped(stop).await;
    told.abort();
    outcome
}

/// What there is, and the first thing to try.
fn welcome(shop: &Shop) -> String {
    let kafka = if shop.broker().is_some() {
        "embedded"
    } else {
        "Apache Kafka"
    };
    let mut lines = vec![
        "orderflow: order → payment → inventory → shipment".to_owned(),
        String::new(),
    ];
    if let Some(address) = shop.dashboard() {
        lines.extend([
            format!("  open http://{address} to see it all, live"),
            String::new(),
        ]);
    }
    lines.extend([
        format!("  Kafka        {}  ({kafka})", shop.bootstrap_servers()),
        format!("  store        {}", shop.store().name()),
    ]);
    let mut first = None;
    for (role, address) in shop.addresses() {
        let (name, list) = match role {
            Role::Order => ("order", "orders"),
            Role::Payment => ("payment", "payments"),
            Role::Inventory => ("inventory", "inventory"),
            Role::Shipment => ("shipment", "shipments"),
            Role::Notification => ("notification", "outbox"),
        };
        first.get_or_insert(address);
        lines.push(format!(
            "  {name:<12} http://{address}/{list}   /health   /offsets   /metrics"
        ));
    }
    if let Some(address) = first {
        lines.extend([
            String::new(),
            "Place an order:".to_owned(),
            String::new(),
            format!("  curl -s http://{address}/orders -H 'content-type: application/json' -d '{EXAMPLE}'"),
            String::new(),
            "and follow it:".to_owned(),
            String::new(),
            format!("  curl -s http://{address}/orders"),
            String::new(),
            "Ctrl-C stops.".to_owned(),
        ]);
    }
    lines.join("\n")
}

const EXAMPLE: &str = r#"{"customer_id":"CUST-42","items":[{"product_id":"P001","quantity":2,"price":29.99}],"shipping_address":"1 Main Street, Springfield","total_amount":59.98}"#;
