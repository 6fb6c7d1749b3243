//! How a sender learns of partitions that have something for it.

use std::sync::Arc;

use parking_lot::Mutex;

use super::partition::Partition;

/// A partition in a sender's list.
///
/// A leader that goes and comes back before its sender looks again posts the partition once more while the old entry is
/// still in the list: the number tells them apart, and only the latest is served. Two batches of a partition in one
/// request would not do: Kafka keeps the last.
#[derive(Debug, Clone)]
pub(crate) struct Listing {
    pub(crate) partition: Arc<Partition>,
    /// Rises with every listing of the partition, in whichever list.
    pub(super) number: u64,
}

/// What a sender is woken by: the partitions that have something for it.
#[derive(Debug)]
pub(crate) struct Mailbox {
    /// The broker that the sender sends to.
    pub(crate) node: i32,
    ready: Mutex<Vec<Listing>>,
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

    pub(super) fn post(&self, listing: Listing) {
        self.ready.lock().push(listing);
        self.notify.notify_one();
    }

    pub(crate) fn wake(&self) {
        self.notify.notify_one();
    }

    /// Moves what was posted into `list`.
    pub(crate) fn collect(&self, list: &mut Vec<Listing>) {
        list.append(&mut self.ready.lock());
    }

    pub(crate) async fn woken(&self) {
        self.notify.notified().await;
    }
}
