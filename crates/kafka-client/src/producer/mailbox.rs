//! How a sender learns of partitions that have something for it.

use std::sync::Arc;

use parking_lot::Mutex;

use super::partition::Partition;

/// What a sender is woken by: the partitions that have something for it.
#[derive(Debug)]
pub(crate) struct Mailbox {
    /// The broker that the sender sends to.
    pub(crate) node: i32,
    ready: Mutex<Vec<Arc<Partition>>>,
    notify: tokio::sync::Notify,
}

impl Mailbox {
    pub(crate) fn new(node: i32) -> Self {
        Self {
            node,
            ready: Mutex::default(),
            notify: tokio::sync::Notify::new(),
        }
    }

    pub(super) fn post(&self, partition: &Arc<Partition>) {
        self.ready.lock().push(Arc::clone(partition));
        self.notify.notify_one();
    }

    pub(crate) fn wake(&self) {
        self.notify.notify_one();
    }

    /// Moves what was posted into `list`.
    pub(crate) fn collect(&self, list: &mut Vec<Arc<Partition>>) {
        list.append(&mut self.ready.lock());
    }

    pub(crate) async fn woken(&self) {
        self.notify.notified().await;
    }
}
