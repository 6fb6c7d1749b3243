//! Several services in one process, with an embedded broker and store where no real ones are named.

mod error;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use contracts::Money;
use dashboard::{DashboardSettings, ServiceUrls};
use inventory_service::stock::Product;
use kafka_broker::{Broker, BrokerConfig, BrokerError};
use kafka_client::ClientConfig;
use notification_service::NotificationSettings;
use payment_service::payment::DeclineRule;
use service_kit::application::Application;
use service_kit::clock::{SharedClock, SystemClock};
use service_kit::http::AllowedHosts;
use service_kit::metric;
use service_kit::secret::Secret;
use service_kit::store::Store;
use service_kit::worker::WorkerConfig;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::cli::Role;
use crate::instances::blueprint::{Blueprint, InstanceName};
use crate::instances::supervisor::Supervisor;
use crate::instances::{Instances, Order};
use crate::processing::ProcessingTime;
pub use error::ShopError;

/// What a shop is told.
#[derive(Debug, Clone)]
pub struct ShopSettings {
    /// Kafka's bootstrap servers; none for an embedded broker.
    pub bootstrap_servers: Option<String>,
    /// Where an embedded broker listens; one that is taken is left for a free port. Port 0 is a free port at once.
    pub broker: SocketAddr,
    /// The store.
    pub store: Store,
    /// The stock at the very first start.
    pub stock: Vec<Product>,
    /// Which payments are declined.
    pub decline: DeclineRule,
    /// Simulated work an order.
    pub processing_time: ProcessingTime,
    /// How customers are written to.
    pub notification: NotificationSettings,
    /// The names that HTTP answers to, beside localhost, addresses and names without a dot.
    pub allowed_hosts: AllowedHosts,
    /// The most orders of a partition that a service works on at the same time.
    pub concurrency: usize,
    /// What the services are to their consumer groups across restarts (KIP-345); a service's second instance and those after it
    /// have their number added. Without it, each is its service, host and port on a Kafka that is not embedded, and its name,
    /// `payment-service-1`, on one that is.
    pub group_instance_id: Option<String>,
    /// The time.
    pub clock: SharedClock,
}

impl ShopSettings {
    /// Everything embedded and the broker on a free port, with this stock; no payment is declined.
    pub fn embedded(stock: Vec<Product>) -> Self {
        Self {
            bootstrap_servers: None,
            broker: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            store: Store::Embedded(service_kit::store::EmbeddedStore::new()),
            stock,
            decline: DeclineRule { above: Money::MAX },
            processing_time: ProcessingTime::default(),
            notification: NotificationSettings::default(),
            allowed_hosts: AllowedHosts::default(),
            concurrency: WorkerConfig::default().concurrency,
            group_instance_id: None,
            clock: Arc::new(SystemClock),
        }
    }
}

/// Services that are ready to run.
pub struct Shop {
    broker: Option<Arc<Broker>>,
    blueprint: Arc<Blueprint>,
    services: Vec<(InstanceName, Application)>,
    instances: Instances,
    orders: mpsc::Receiver<Order>,
    attended: bool,
    dashboard: Option<Application>,
}

impl Shop {
    /// The services of these roles; the broker, where it is embedded, is up when this returns.
    ///
    /// # Errors
    ///
    /// [`ShopError`] when a port is taken or a setting is wrong. Servers that are away are waited for by the services.
    pub async fn build(
        roles: &[(Role, u16)],
        settings: ShopSettings,
        host: IpAddr,
    ) -> Result<Self, ShopError> {
        metric::install();
        let (broker, bootstrap_servers) = match &settings.bootstrap_servers {
            Some(servers) => (None, servers.clone()),
            None => {
                let broker = embedded_broker(settings.broker).await?;
                let servers = broker.bootstrap_servers();
                (Some(Arc::new(broker)), servers)
            }
        };
        let blueprint = Blueprint {
            settings,
            bootstrap_servers,
            embedded: broker.is_some(),
            roles: roles.iter().map(|(role, _)| *role).collect(),
            host,
        };
        let mut services: Vec<(InstanceName, Application)> = Vec::with_capacity(roles.len());
        for (role, port) in roles {
            let of_role = services.iter().filter(|(name, _)| name.role == *role);
            let number = of_role.count() as u16 + 1;
            let name = InstanceName {
                role: *role,
                number,
            };
            let listener = listen(role.service(), SocketAddr::new(host, *port)).await?;
            services.push((name, blueprint.build(name, listener)?));
        }
        let ready = services
            .iter()
            .map(|(name, service)| (*name, service.address()));
        let (instances, orders) = Instances::new(broker.clone(), ready);
        Ok(Self {
            broker,
            blueprint: Arc::new(blueprint),
            services,
            instances,
            orders,
            attended: false,
            dashboard: None,
        })
    }

    /// The pipeline, each of its services on a free port of loopback: for tests.
    ///
    /// # Errors
    ///
    /// As [`Shop::build`].
    pub async fn on_free_ports(settings: ShopSettings) -> Result<Self, ShopError> {
        Self::build(
            &Role::PIPELINE.map(|role| (role, 0)),
            settings,
            Ipv4Addr::LOCALHOST.into(),
        )
        .await
    }

    /// And with the dashboard on this port, which [attends to](Self::attended) the instances. Without a token everybody who can
    /// reach it can do what it can do.
    ///
    /// # Errors
    ///
    /// [`ShopError::Listen`] when the port is taken, [`ShopError::Dashboard`].
    pub async fn with_dashboard(
        mut self,
        port: u16,
        admin_token: Option<Secret>,
    ) -> Result<Self, ShopError> {
        let address = SocketAddr::new(self.blueprint.host, port);
        let listener = listen("the dashboard", address).await?;
        let client = self.blueprint.client("dashboard")?;
        let settings = DashboardSettings {
            services: ServiceUrls::default(),
            admin_token,
            controls: Some(Arc::new(self.attended())),
            embedded: self.broker.is_some(),
        };
        let hosts = self.blueprint.settings.allowed_hosts.clone();
        let dashboard = dashboard::build(&client, listener, settings)?;
        self.dashboard = Some(dashboard.with_allowed_hosts(hosts));
        Ok(self)
    }

    /// Where the dashboard listens; none without one.
    pub fn dashboard(&self) -> Option<SocketAddr> {
        self.dashboard.as_ref().map(Application::address)
    }

    /// The means to stop, crash and start instances of the services, and the embedded broker, while the shop runs. Whoever takes
    /// them looks after the instances: from now on one that fails by itself is shown to have crashed, and the shop goes on.
    pub fn attended(&mut self) -> Instances {
        self.attended = true;
        self.instances.clone()
    }

    /// Where a service's HTTP listens; none if it is not part of this shop.
    pub fn address(&self, role: Role) -> Option<SocketAddr> {
        let mut addresses = self.addresses();
        addresses.find_map(|(known, address)| (known == role).then_some(address))
    }

    /// The same as a URL without a path: `http://127.0.0.1:8001`.
    pub fn url(&self, role: Role) -> Option<String> {
        self.address(role).map(|at| format!("http://{at}"))
    }

    /// The services and where they listen.
    pub fn addresses(&self) -> impl Iterator<Item = (Role, SocketAddr)> + '_ {
        self.services
            .iter()
            .map(|(name, application)| (name.role, application.address()))
    }

    /// The embedded broker; none where a real Kafka serves.
    pub fn broker(&self) -> Option<&Arc<Broker>> {
        self.broker.as_ref()
    }

    /// The bootstrap servers in use.
    pub fn bootstrap_servers(&self) -> String {
        ClientConfig::new(&self.blueprint.bootstrap_servers)
            .bootstrap_servers
            .join(",")
    }

    /// The store in use.
    pub fn store(&self) -> &Store {
        &self.blueprint.settings.store
    }

    /// Runs all services until `stop`, or until one of them fails; then stops the others and the broker. Those that are told to
    /// end through the [controls](Self::attended) have not failed; and where somebody has these, a failure ends nothing else.
    ///
    /// # Errors
    ///
    /// [`ShopError::Service`], the first failure.
    pub async fn run_until_stopped(self, stop: CancellationToken) -> Result<(), ShopError> {
        let mut supervisor = Supervisor::new(
            self.blueprint,
            self.instances.board(),
            stop.child_token(),
            self.attended,
        );
        for (name, application) in self.services {
            supervisor.run(name, application);
        }
        if let Some(dashboard) = self.dashboard {
            supervisor.run_beside(dashboard);
        }
        let outcome = supervisor.supervise(self.orders).await;
        if let Some(broker) = self.broker {
            broker.stop().await;
        }
        Ok(outcome?)
    }
}

/// A listener there, for this service.
///
/// # Errors
///
/// [`ShopError::Listen`].
pub(crate) async fn listen(
    service: &'static str,
    address: SocketAddr,
) -> Result<TcpListener, ShopError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ShopError::Listen {
            service,
            address,
            source,
        })
}

async fn embedded_broker(wanted: SocketAddr) -> Result<Broker, BrokerError> {
    match Broker::start(BrokerConfig::listening_on(wanted)).await {
        Ok(broker) => Ok(broker),
        Err(error) if wanted.port() != 0 => {
            tracing::info!(%error, "the embedded broker takes a free port");
            Broker::start(BrokerConfig::default()).await
        }
        Err(error) => Err(error),
    }
}
