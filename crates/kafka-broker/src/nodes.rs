//! The nodes of the cluster: where each listens, and which are up.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};

/// A node as clients see it.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: i32,
    pub(crate) address: SocketAddr,
    pub(crate) host: String,
    pub(crate) rack: Option<String>,
    up: AtomicBool,
}

#[derive(Debug)]
pub(crate) struct Nodes {
    nodes: Vec<Node>,
}

impl Nodes {
    /// Nodes 1, 2, 3 … at these addresses and in these racks, all down.
    pub(crate) fn new(
        addresses: &[SocketAddr],
        racks: &[String],
        advertised_host: Option<&str>,
    ) -> Self {
        let nodes = (1..)
            .zip(addresses)
            .enumerate()
            .map(|(index, (id, address))| Node {
                id,
                address: *address,
                host: advertised_host.map_or_else(|| host_of(address.ip()), str::to_owned),
                rack: racks.get(index).cloned(),
                up: AtomicBool::new(false),
            })
            .collect();
        Self { nodes }
    }

    pub(crate) fn get(&self, id: i32) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id)
    }

    pub(crate) fn all(&self) -> &[Node] {
        &self.nodes
    }

    pub(crate) fn up(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.is_up())
    }

    pub(crate) fn is_up(&self, id: i32) -> bool {
        self.get(id).is_some_and(Node::is_up)
    }

    pub(crate) fn set_up(&self, id: i32, up: bool) {
        if let Some(node) = self.get(id) {
            node.up.store(up, Ordering::SeqCst);
        }
    }

    /// Whether a node is up and in this rack.
    pub(crate) fn is_up_in(&self, id: i32, rack: &str) -> bool {
        self.get(id)
            .is_some_and(|node| node.is_up() && node.rack.as_deref() == Some(rack))
    }

    /// The node that answers for the cluster as a whole: the first that is up.
    pub(crate) fn controller(&self) -> i32 {
        self.up().next().map_or(-1, |node| node.id)
    }
}

impl Node {
    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::SeqCst)
    }
}

fn host_of(ip: IpAddr) -> String {
    if ip.is_unspecified() {
        "localhost".to_owned()
    } else {
        ip.to_string()
    }
}
