//! The instances of the services in one process, as the processes that they would be elsewhere: each can be stopped, killed and
//! started while the others go on, and so can the embedded broker.
//!
//! [`Instances`] is what is handed out. All that changes is done by one loop, in `supervisor`.

pub(crate) mod blueprint;
pub(crate) mod supervisor;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use dashboard::controls::{
    BrokerAction, ControlError, Controls, Instance, InstanceAction, InstanceState,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use kafka_broker::{Broker, BrokerError};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::cli::Role;
use blueprint::InstanceName;

/// The most instances of a service.
pub const MOST: usize = 8;
/// Orders that wait to be taken in; who has another one waits.
const WAITING: usize = 16;
/// How long somebody waits for what he told to be done: longer than a service may take to stop.
const PATIENCE: Duration = Duration::from_secs(10);

/// The means to stop, crash and start the instances of a shop, and its embedded broker. Clones are the same.
#[derive(Debug, Clone)]
pub struct Instances {
    board: Board,
    orders: mpsc::Sender<Order>,
    broker: Option<Arc<Broker>>,
}

/// The instances as they are now, for all to read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Board(Arc<Mutex<Vec<Instance>>>);

/// Who wants to know how it ended.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, ControlError>>;

/// What the supervisor is told.
#[derive(Debug)]
pub(crate) enum Order {
    Add(Role, Answer<Instance>),
    Act(String, InstanceAction, Answer<()>),
}

impl Instances {
    pub(crate) fn new(
        broker: Option<Arc<Broker>>,
        ready: impl IntoIterator<Item = (InstanceName, SocketAddr)>,
    ) -> (Self, mpsc::Receiver<Order>) {
        let (orders, told) = mpsc::channel(WAITING);
        let board = Board::default();
        let running = InstanceState::Running;
        board.show(
            ready
                .into_iter()
                .map(|(name, address)| (name, address, running)),
        );
        let instances = Self {
            board,
            orders,
            broker,
        };
        (instances, told)
    }

    pub(crate) fn board(&self) -> Board {
        self.board.clone()
    }

    async fn tell<T>(self, order: impl FnOnce(Answer<T>) -> Order) -> Result<T, ControlError> {
        let gone = || ControlError::Conflict("the shop is stopping".to_owned());
        let (answer, answered) = oneshot::channel();
        let told = async {
            self.orders.send(order(answer)).await.map_err(|_| gone())?;
            answered.await.unwrap_or_else(|_| Err(gone()))
        };
        tokio::time::timeout(PATIENCE, told)
            .await
            .unwrap_or_else(|_| Err(ControlError::Late(late("it may still be done"))))
    }
}

impl Controls for Instances {
    fn instances(&self) -> Vec<Instance> {
        self.board.0.lock().clone()
    }

    fn add(&self, service: &str) -> BoxFuture<'static, Result<Instance, ControlError>> {
        let role = Role::ALL.into_iter().find(|role| role.service() == service);
        match role {
            Some(role) => self
                .clone()
                .tell(move |answer| Order::Add(role, answer))
                .boxed(),
            None => {
                let unknown = ControlError::Unknown(format!("service {service}"));
                std::future::ready(Err(unknown)).boxed()
            }
        }
    }

    fn instance(
        &self,
        instance: &str,
        what: InstanceAction,
    ) -> BoxFuture<'static, Result<(), ControlError>> {
        let name = instance.to_owned();
        self.clone()
            .tell(move |answer| Order::Act(name, what, answer))
            .boxed()
    }

    fn broker(&self) -> Option<bool> {
        self.broker.as_deref().map(is_up)
    }

    fn act_on_broker(&self, what: BrokerAction) -> BoxFuture<'static, Result<(), ControlError>> {
        let broker = self.broker.clone();
        async move {
            let broker =
                broker.ok_or_else(|| ControlError::Unknown("embedded broker".to_owned()))?;
            tokio::time::timeout(PATIENCE, act_on(&broker, what))
                .await
                .unwrap_or_else(|_| Err(ControlError::Failed(late("try again"))))
        }
        .boxed()
    }
}

async fn act_on(broker: &Broker, what: BrokerAction) -> Result<(), ControlError> {
    let conflict = |why: &str| Err(ControlError::Conflict(why.to_owned()));
    match (what, is_up(broker)) {
        (BrokerAction::Start, true) => return conflict("the embedded broker is running already"),
        (BrokerAction::Stop | BrokerAction::Crash | BrokerAction::Cut, false) => {
            return conflict("the embedded broker is not running: start it first");
        }
        _ => {}
    }
    for node in broker.node_ids() {
        let done: Result<(), BrokerError> = match what {
            BrokerAction::Stop => broker.stop_node(node).await,
            BrokerAction::Crash => broker.crash_node(node).await,
            BrokerAction::Start => broker.start_node(node).await,
            BrokerAction::Cut => broker.cut_connections(node),
        };
        done.map_err(|error| ControlError::Failed(error.to_string()))?;
    }
    tracing::warn!(?what, "the embedded broker was acted on");
    Ok(())
}

fn late(then: &str) -> String {
    let seconds = PATIENCE.as_secs();
    format!("not done within {seconds} s; {then}")
}

fn is_up(broker: &Broker) -> bool {
    !broker.inspect().nodes_up().is_empty()
}

impl Board {
    pub(crate) fn show(
        &self,
        instances: impl Iterator<Item = (InstanceName, SocketAddr, InstanceState)>,
    ) {
        *self.0.lock() = instances
            .map(|(name, address, state)| shown(name, address, state))
            .collect();
    }
}

pub(crate) fn shown(name: InstanceName, address: SocketAddr, state: InstanceState) -> Instance {
    Instance {
        instance: name.to_string(),
        service: name.role.service().to_owned(),
        url: url_of(address),
        state,
    }
}

/// Where somebody on this machine finds what listens there.
fn url_of(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}
