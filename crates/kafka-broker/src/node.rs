//! A node's listener, and the tasks that serve its connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cluster::Cluster;
use crate::connection;
use crate::error::BrokerError;

/// Connections that the kernel holds for a node until it accepts them.
const BACKLOG: u32 = 1024;
/// How long a listener rests that cannot accept, for want of file descriptors for example.
const REST: Duration = Duration::from_millis(50);

/// A node that runs.
#[derive(Debug)]
pub(crate) struct RunningNode {
    stop: CancellationToken,
    /// A child of `stop`: cancelled and replaced to end the present connections only.
    connections: parking_lot::Mutex<CancellationToken>,
    tasks: TaskTracker,
}

/// A port that is taken but not listened on: connecting to it is refused, and nobody else gets it.
#[derive(Debug)]
pub(crate) struct ReservedPort {
    socket: TcpSocket,
    address: SocketAddr,
}

impl ReservedPort {
    pub(crate) fn new(node: i32, address: SocketAddr) -> Result<Self, BrokerError> {
        let failed = |source| BrokerError::Listen {
            node,
            address,
            source,
        };
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }
        .map_err(failed)?;
        // A restarted node takes its port again although connections of its former life linger in TIME_WAIT.
        socket.set_reuseaddr(true).map_err(failed)?;
        socket.bind(address).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, address })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn listen(self, node: i32) -> Result<TcpListener, BrokerError> {
        self.socket
            .listen(BACKLOG)
            .map_err(|source| BrokerError::Listen {
                node,
                address: self.address,
                source,
            })
    }
}

impl RunningNode {
    pub(crate) fn start(id: i32, listener: TcpListener, cluster: Arc<Cluster>) -> Arc<Self> {
        let stop = CancellationToken::new();
        let node = Arc::new(Self {
            connections: parking_lot::Mutex::new(stop.child_token()),
            stop,
            tasks: TaskTracker::new(),
        });
        let accepting = Arc::clone(&node);
        let stopped = node.stop.clone();
        node.tasks.spawn(async move {
            stopped
                .run_until_cancelled(accepting.accept(id, listener, cluster))
                .await;
        });
        node
    }

    async fn accept(&self, id: i32, listener: TcpListener, cluster: Arc<Cluster>) {
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(node = id, %error, "cannot accept connections");
                    tokio::time::sleep(REST).await;
                    continue;
                }
            };
            // The task that accepts is one of them.
            if self.tasks.len() > cluster.config.max_connections {
                tracing::warn!(node = id, %peer, "refused a connection, there are too many");
                continue;
            }
            let ended = self.connections.lock().clone();
            let serving = connection::serve(stream, peer, id, Arc::clone(&cluster));
            self.tasks.spawn(async move {
                ended.run_until_cancelled(serving).await;
            });
        }
    }

    /// Ends the connections that there are. New ones are accepted.
    pub(crate) fn cut_connections(&self) {
        let fresh = self.stop.child_token();
        std::mem::replace(&mut *self.connections.lock(), fresh).cancel();
    }

    /// Ends the listener and all connections.
    pub(crate) fn cancel(&self) {
        self.stop.cancel();
        self.tasks.close();
    }

    /// Ends the listener and all connections, and returns when their tasks are gone.
    pub(crate) async fn stop(&self) {
        self.cancel();
        self.tasks.wait().await;
    }
}
