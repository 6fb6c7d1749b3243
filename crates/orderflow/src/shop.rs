//! Several services in one process, with an embedded broker and store where no real ones are named.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use contracts::Money;
use inventory_service::stock::Product;
use kafka_broker::{Broker, BrokerConfig, BrokerError};
use kafka_client::{Client, ClientConfig, ClientError};
use payment_service::payment::DeclineRule;
use service_kit::application::{Application, ApplicationError};
use service_kit::clock::{SharedClock, SystemClock};
use service_kit::context::{BuildError, Context};
use service_kit::dead_letters::DeskError;
use service_kit::ids::IdGenerator;
use service_kit::metric;
use service_kit::store::{Store, StoreError};
use service_kit::worker::WorkerConfig;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cli::Role;
use crate::load::LoadError;
use crate::processing::ProcessingTime;
use crate::verify::VerifyError;

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
    /// The most orders of a partition that a service works on at the same time.
    pub concurrency: usize,
    /// What the services are to their consumer groups across restarts (KIP-345). Without it, each is its service, host and port
    /// on a Kafka that is not embedded, and nothing on one that ends with them.
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
            concurrency: WorkerConfig::default().concurrency,
            group_instance_id: None,
            clock: Arc::new(SystemClock),
        }
    }
}

/// Why a shop did not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ShopError {
    /// A port is taken, or the address is not this machine's.
    #[error("{service} cannot listen on {address}: {source}")]
    Listen {
        /// Which service.
        service: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The embedded broker did not start.
    #[error("the embedded broker did not start: {0}")]
    Broker(#[from] BrokerError),
    /// The Kafka client's settings are wrong.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// One service alone was not told where its documents go.
    #[error(
        "MONGODB_URI is not set: a store inside this process would be seen by no other service and lost at its end; set \
         MONGODB_URI, for example to mongodb://127.0.0.1:27017, or give --embedded-store if that is what you want"
    )]
    NoStore,
    /// One service alone was told of two stores.
    #[error("MONGODB_URI is set and --embedded-store is given: only one of them can be the store")]
    TwoStores,
    /// Somebody asked for a consumer group that Kafka does not know.
    #[error("Kafka knows no group {group}; it knows {}", named(.known))]
    UnknownGroup {
        /// Which was asked for.
        group: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// A topic cannot have so many partitions.
    #[error("--partitions must be at least 1, and not {0}")]
    Partitions(i32),
    /// The dead letters cannot be had.
    #[error(transparent)]
    DeadLetters(#[from] DeskError),
    /// Somebody asked for a dead letter that is not there.
    #[error("there is no letter at offset {offset} of {topic}")]
    UnknownLetter {
        /// Of which topic.
        topic: String,
        /// At which offset.
        offset: i64,
    },
    /// It was told to stop and did not.
    #[error("told to stop, but not done within {0:?}: what was left was cut off")]
    Late(Duration),
    /// There was no load.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Nothing can be said of a shop.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The store's settings are wrong.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A service could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A service failed.
    #[error(transparent)]
    Service(#[from] ApplicationError),
    /// Signals or standard streams cannot be had.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Logging cannot be set up.
    #[error(transparent)]
    Telemetry(#[from] service_kit::telemetry::TelemetryError),
}

/// The groups by name; of a long list the beginning, since a cluster may have thousands.
fn named(groups: &[String]) -> String {
    const MOST: usize = 10;
    match groups.len() {
        0 => "none".to_owned(),
        all if all > MOST => format!("{} and {} more", groups[..MOST].join(", "), all - MOST),
        _ => groups.join(", "),
    }
}

/// Services that are ready to run.
pub struct Shop {
    broker: Option<Arc<Broker>>,
    context: Context,
    services: Vec<(Role, Application)>,
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
        let (broker, bootstrap_servers) = match settings.bootstrap_servers {
            Some(servers) => (None, servers),
            None => {
                let broker = embedded_broker(settings.broker).await?;
                let servers = broker.bootstrap_servers();
                (Some(Arc::new(broker)), servers)
            }
        };
        let client = Client::new(ClientConfig {
            client_id: Arc::from("orderflow"),
            ..ClientConfig::new(&bootstrap_servers)
        })?;
        let context = Context {
            client,
            store: settings.store,
            clock: settings.clock,
            worker: WorkerConfig {
                concurrency: settings.concurrency,
                ..WorkerConfig::default()
            },
        };
        let mut services = Vec::with_capacity(roles.len());
        for (role, port) in roles {
            let listener = listen(*role, SocketAddr::new(host, *port)).await?;
            let context = Context {
                worker: WorkerConfig {
                    processing_time: settings.processing_time.of(*role),
                    group_instance_id: match &settings.group_instance_id {
                        Some(id) => Some(Arc::from(id.as_str())),
                        None if broker.is_some() => None,
                        None => Some(instance_id(*role, listener.local_addr()?)),
                    },
                    ..context.worker.clone()
                },
                ..context.clone()
            };
            let application = match role {
                Role::Order => order_service::build(&context, listener, IdGenerator::random())?,
                Role::Payment => payment_service::build(&context, listener, settings.decline)?,
                Role::Inventory => {
                    inventory_service::build(&context, listener, settings.stock.clone())?
                }
                Role::Shipment => shipment_service::build(&context, listener)?,
            };
            services.push((*role, application));
        }
        Ok(Self {
            broker,
            context,
            services,
        })
    }

    /// The whole shop, each service on a free port of loopback: for tests.
    ///
    /// # Errors
    ///
    /// As [`Shop::build`].
    pub async fn on_free_ports(settings: ShopSettings) -> Result<Self, ShopError> {
        Self::build(
            &Role::ALL.map(|role| (role, 0)),
            settings,
            Ipv4Addr::LOCALHOST.into(),
        )
        .await
    }

    /// Where a service's HTTP listens; none if it is not part of this shop.
    pub fn address(&self, role: Role) -> Option<SocketAddr> {
        let (_, application) = self.services.iter().find(|(known, _)| *known == role)?;
        Some(application.address())
    }

    /// The same as a URL without a path: `http://127.0.0.1:8001`.
    pub fn url(&self, role: Role) -> Option<String> {
        self.address(role).map(|at| format!("http://{at}"))
    }

    /// The services and where they listen.
    pub fn addresses(&self) -> impl Iterator<Item = (Role, SocketAddr)> + '_ {
        self.services
            .iter()
            .map(|(role, application)| (*role, application.address()))
    }

    /// The embedded broker; none where a real Kafka serves.
    pub fn broker(&self) -> Option<&Arc<Broker>> {
        self.broker.as_ref()
    }

    /// The bootstrap servers in use.
    pub fn bootstrap_servers(&self) -> String {
        self.context.client.config().bootstrap_servers.join(",")
    }

    /// The store in use.
    pub fn store(&self) -> &Store {
        &self.context.store
    }

    /// Runs all services until `stop`, or until one of them fails; then stops the others and the broker.
    ///
    /// # Errors
    ///
    /// [`ShopError::Service`], the first failure.
    pub async fn run_until_stopped(self, stop: CancellationToken) -> Result<(), ShopError> {
        let stop = stop.child_token();
        let mut running = JoinSet::new();
        for (_, application) in self.services {
            running.spawn(application.run_until_stopped(stop.clone()));
        }
        let mut outcome = Ok(());
        while let Some(ended) = running.join_next().await {
            // One that ends by itself has failed: a shop without it would look as if it worked.
            stop.cancel();
            if let (Ok(Err(error)), Ok(())) = (ended, &outcome) {
                outcome = Err(error.into());
            }
        }
        if let Some(broker) = self.broker {
            broker.stop().await;
        }
        outcome
    }
}

/// A name that a service has again when it is started again at the same place: no other can listen there meanwhile, as long as
/// no two machines have the same host name.
fn instance_id(role: Role, address: SocketAddr) -> Arc<str> {
    let host = gethostname::gethostname();
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let host: String = host
        .to_string_lossy()
        .chars()
        .map(|c| if legal(c) { c } else { '-' })
        .take(150)
        .collect();
    // An IPv6 address has colons, which are not legal either.
    let ip = address.ip().to_string().replace(':', "_");
    Arc::from(format!("{}-{host}-{ip}-{}", role.service(), address.port()))
}

async fn listen(role: Role, address: SocketAddr) -> Result<TcpListener, ShopError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ShopError::Listen {
            service: role.service(),
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

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn of_many_groups_the_first_are_named() {
        let groups: Vec<String> = (0..12).map(|group| group.to_string()).collect();
        assert_eq!(named(&[]), "none");
        assert_eq!(named(&groups[..10]), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9");
        assert_eq!(named(&groups), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more");
    }
}
