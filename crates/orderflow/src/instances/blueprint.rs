//! What an instance of a service is built from, the first time and each time that it is started again.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use kafka_client::{Client, ClientConfig, ClientError};
use service_kit::application::Application;
use service_kit::context::Context;
use service_kit::ids::IdGenerator;
use service_kit::worker::WorkerConfig;
use tokio::net::TcpListener;

use crate::cli::Role;
use crate::shop::{ShopError, ShopSettings};

/// The name of an instance: `payment-service-1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct InstanceName {
    pub(crate) role: Role,
    /// Counted from 1 among those of its service.
    pub(crate) number: u16,
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.role.service(), self.number)
    }
}

/// What every instance is built from.
#[derive(Debug)]
pub(crate) struct Blueprint {
    pub(crate) settings: ShopSettings,
    /// Also those of an embedded broker.
    pub(crate) bootstrap_servers: String,
    /// Whether the broker is embedded.
    pub(crate) embedded: bool,
    /// The services that there are here, and may have more instances.
    pub(crate) roles: Vec<Role>,
    /// The address that HTTP listens on.
    pub(crate) host: IpAddr,
}

impl Blueprint {
    /// A client of the shop's Kafka. Each instance has one of its own, so that its connections end with it, as a process's would.
    pub(crate) fn client(&self, id: &str) -> Result<Client, ClientError> {
        Client::new(ClientConfig {
            client_id: Arc::from(id),
            ..ClientConfig::new(&self.bootstrap_servers)
        })
    }

    /// An instance that is ready to run on this listener.
    pub(crate) fn build(
        &self,
        name: InstanceName,
        listener: TcpListener,
    ) -> Result<Application, ShopError> {
        let settings = &self.settings;
        let context = Context {
            client: self.client(&self.client_id(name))?,
            store: settings.store.clone(),
            clock: Arc::clone(&settings.clock),
            worker: WorkerConfig {
                concurrency: settings.concurrency,
                processing_time: settings.processing_time.of(name.role),
                group_instance_id: Some(self.group_instance_id(name, listener.local_addr()?)),
            },
        };
        let application = match name.role {
            Role::Order => order_service::build(&context, listener, IdGenerator::random())?,
            Role::Payment => payment_service::build(&context, listener, settings.decline)?,
            Role::Inventory => {
                inventory_service::build(&context, listener, settings.stock.clone())?
            }
            Role::Shipment => shipment_service::build(&context, listener)?,
            Role::Notification => {
                notification_service::build(&context, listener, settings.notification.clone())?
            }
        };
        Ok(application.with_allowed_hosts(settings.allowed_hosts.clone()))
    }

    /// What it calls itself to the brokers, by which its metrics are told apart from those of the others in this process. A service
    /// that has a process to itself is known by its own name.
    fn client_id(&self, name: InstanceName) -> String {
        if self.roles.len() == 1 && name.number == 1 {
            name.role.service().to_owned()
        } else {
            name.to_string()
        }
    }

    /// A name that the instance has again when it is started again (KIP-345), and no other in its group has.
    fn group_instance_id(&self, name: InstanceName, address: SocketAddr) -> Arc<str> {
        match (&self.settings.group_instance_id, name.number) {
            (Some(id), 1) => Arc::from(id.as_str()),
            (Some(id), number) => Arc::from(format!("{id}-{number}")),
            // Nobody else is on this broker.
            (None, _) if self.embedded => Arc::from(name.to_string()),
            (None, _) => by_place(name.role, address),
        }
    }
}

/// A name that a service has again when it is started again at the same place: no other can listen there meanwhile, as long as
/// no two machines have the same host name.
fn by_place(role: Role, address: SocketAddr) -> Arc<str> {
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
