//! A shop with its dashboard, embedded and on free ports.

use std::net::Ipv4Addr;

use orderflow::cli::Role;
use orderflow::stock::Stock;
use orderflow::{Shop, ShopError, ShopSettings};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A shop that runs until it is stopped.
pub(crate) struct Running {
    /// The dashboard.
    pub(crate) url: String,
    stop: CancellationToken,
    task: JoinHandle<Result<(), ShopError>>,
}

impl Running {
    pub(crate) async fn start() -> Self {
        let Stock(stock) = "P001:1000000:29.99,P002:1000000:49.99".parse().unwrap();
        let roles = Role::ALL.map(|role| (role, 0));
        let shop = Shop::build(
            &roles,
            ShopSettings::embedded(stock),
            Ipv4Addr::LOCALHOST.into(),
        );
        let shop = shop.await.unwrap().with_dashboard(0, None).await.unwrap();
        let url = format!("http://{}", shop.dashboard().unwrap());
        let stop = CancellationToken::new();
        let task = tokio::spawn(shop.run_until_stopped(stop.clone()));
        Self { url, stop, task }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}
