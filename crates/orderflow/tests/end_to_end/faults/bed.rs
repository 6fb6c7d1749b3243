//! Four services that can be stopped and killed one by one, in this process.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use kafka_broker::{Broker, BrokerConfig};
use kafka_client::{Client, ClientConfig};
use orderflow::cli::Role;
use orderflow::load::LoadSettings;
use orderflow::{Shop, ShopError, ShopSettings};
use service_kit::store::{EmbeddedStore, Store};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::load::{under_load, verify};
use crate::running::PATIENCE;
use crate::scenarios::product;

/// An embedded broker and store, and the services on them.
pub(crate) struct Bed {
    pub(crate) broker: Arc<Broker>,
    pub(crate) store: EmbeddedStore,
    pub(crate) client: Client,
    settings: ShopSettings,
    services: BTreeMap<Role, Service>,
    /// How often a fault struck while orders were on their way.
    strikes: u32,
}

struct Service {
    port: u16,
    stop: CancellationToken,
    task: JoinHandle<Result<(), ShopError>>,
}

impl Bed {
    pub(crate) async fn start() -> Self {
        Self::with(|settings| settings).await
    }

    /// With other settings.
    pub(crate) async fn with(change: impl FnOnce(ShopSettings) -> ShopSettings) -> Self {
        let broker = Arc::new(Broker::start(BrokerConfig::default()).await.unwrap());
        let store = EmbeddedStore::new();
        let stock = vec![
            product("PLENTY", 100_000, 500),
            product("SCARCE", 100, 1250),
            product("DEAR", 100_000, 700_000),
        ];
        let settings = change(ShopSettings {
            bootstrap_servers: Some(broker.bootstrap_servers()),
            store: Store::Embedded(store.clone()),
            decline: payment_service::payment::DeclineRule {
                above: "10000.00".parse().unwrap(),
            },
            ..ShopSettings::embedded(stock)
        });
        let client = Client::new(ClientConfig::new(&broker.bootstrap_servers())).unwrap();
        let mut bed = Self {
            broker,
            store,
            client,
            settings,
            services: BTreeMap::new(),
            strikes: 0,
        };
        for role in Role::PIPELINE {
            bed.start_service(role, 0).await;
        }
        bed
    }

    async fn start_service(&mut self, role: Role, port: u16) {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        let bound = async {
            loop {
                ticks.tick().await;
                // A killed one's socket is closed when its task is dropped, which is a moment later.
                match self.build(role, port).await {
                    Err(ShopError::Listen { .. }) => {}
                    built => return built.unwrap(),
                }
            }
        };
        let shop = tokio::time::timeout(PATIENCE, bound).await.unwrap();
        let port = shop.address(role).unwrap().port();
        let stop = CancellationToken::new();
        let task = tokio::spawn(shop.run_until_stopped(stop.clone()));
        self.services.insert(role, Service { port, stop, task });
    }

    async fn build(&self, role: Role, port: u16) -> Result<Shop, ShopError> {
        let host = Ipv4Addr::LOCALHOST.into();
        Shop::build(&[(role, port)], self.settings.clone(), host).await
    }

    /// A second instance of some services, for as long as the caller likes.
    pub(crate) async fn second(&self, roles: &[Role]) -> crate::running::Running {
        let roles: Vec<(Role, u16)> = roles.iter().map(|role| (*role, 0)).collect();
        let host = Ipv4Addr::LOCALHOST.into();
        let shop = Shop::build(&roles, self.settings.clone(), host).await;
        crate::running::Running::run(shop.unwrap())
    }

    /// As SIGKILL would: nothing is finished, nobody is told. Then it is started again at the same place.
    pub(crate) async fn kill_and_restart(&mut self, role: Role) {
        let killed = self.services.remove(&role).unwrap();
        killed.task.abort();
        assert!(killed.task.await.unwrap_err().is_cancelled());
        self.start_service(role, killed.port).await;
    }

    /// As SIGTERM would. Then it is started again at the same place.
    pub(crate) async fn stop_and_restart(&mut self, role: Role) {
        let stopped = self.services.remove(&role).unwrap();
        stopped.stop.cancel();
        let ended = tokio::time::timeout(PATIENCE, stopped.task).await;
        ended.expect("stops").unwrap().unwrap();
        self.start_service(role, stopped.port).await;
    }

    pub(crate) fn address(&self, role: Role) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.services[&role].port))
    }

    /// One wave: so many orders, some of them asked back; when a part of them is accepted, the fault strikes.
    pub(crate) async fn wave(&mut self, orders: u64, fault: impl AsyncFnOnce(&mut Self)) {
        let settings = LoadSettings {
            order_url: format!("http://{}", self.address(Role::Order))
                .parse()
                .unwrap(),
            inventory_url: format!("http://{}", self.address(Role::Inventory))
                .parse()
                .unwrap(),
            concurrency: 20,
            cancel_percent: 20,
            seed: orders,
            ..LoadSettings::local(orders)
        };
        let in_time = under_load(settings, async |_| fault(self).await).await;
        self.strikes += u32::from(in_time);
    }

    /// Every invariant holds. Returns how many events were published again, with the same id.
    pub(crate) async fn verify(&self) -> u64 {
        assert!(
            self.strikes > 0,
            "nothing struck while orders were on their way"
        );
        let urls = Role::PIPELINE.map(|role| (role, format!("http://{}", self.address(role))));
        verify(BTreeMap::from(urls), &self.broker.bootstrap_servers()).await
    }

    pub(crate) async fn stop(self) {
        for (_, service) in self.services {
            service.stop.cancel();
            let ended = tokio::time::timeout(PATIENCE, service.task).await;
            ended.expect("stops").unwrap().unwrap();
        }
        self.broker.stop().await;
    }
}

/// Waits until it is so.
pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    let mut ticks = tokio::time::interval(Duration::from_millis(2));
    let looking = async {
        while !is_so() {
            ticks.tick().await;
        }
    };
    let looked = tokio::time::timeout(PATIENCE, looking).await;
    looked.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"));
}
