//! The partitions that a worker reads now, and what they can be told.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use kafka_client::{PartitionConsumer, TopicPartition};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

/// How many orders a partition may be behind with; who has more to say waits.
const WAITING: usize = 4;

/// The partitions that a worker reads now. Clones tell of the same worker.
#[derive(Debug, Clone, Default)]
pub struct Lanes {
    lanes: Arc<Mutex<HashMap<TopicPartition, mpsc::Sender<Tell>>>>,
}

/// What a partition's loop is told.
#[derive(Debug)]
pub(super) struct Tell {
    paused: bool,
    done: oneshot::Sender<()>,
}

/// A lane's place among the others, for as long as it reads.
#[derive(Debug)]
pub(super) struct Seat {
    lanes: Lanes,
    partition: TopicPartition,
    tell: mpsc::Sender<Tell>,
    told: mpsc::Receiver<Tell>,
}

impl Lanes {
    /// Stops the reading of a partition, or goes on with it, in this process. What is under way is finished and committed, and the
    /// member keeps the partition. It holds until the partition is revoked or lost, and when this returns it is so.
    ///
    /// Returns whether this process reads the partition; if not, nothing was done.
    pub async fn set_paused(&self, partition: &TopicPartition, paused: bool) -> bool {
        let Some(lane) = self.lanes.lock().get(partition).cloned() else {
            return false;
        };
        let (done, is_done) = oneshot::channel();
        lane.send(Tell { paused, done }).await.is_ok() && is_done.await.is_ok()
    }

    pub(super) fn sit(&self, partition: &TopicPartition) -> Seat {
        let (tell, told) = mpsc::channel(WAITING);
        self.lanes.lock().insert(partition.clone(), tell.clone());
        Seat {
            lanes: self.clone(),
            partition: partition.clone(),
            tell,
            told,
        }
    }
}

impl Seat {
    /// Waits until the partition is told something; never ends well otherwise. Cancel safe.
    pub(super) async fn told(&mut self) -> Option<Tell> {
        self.told.recv().await
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut lanes = self.lanes.lanes.lock();
        // A partition that was lost may be here again, in another lane.
        if let Entry::Occupied(seat) = lanes.entry(self.partition.clone())
            && seat.get().same_channel(&self.tell)
        {
            seat.remove();
        }
    }
}

impl Tell {
    pub(super) fn obeyed_by(self, partition: &mut PartitionConsumer) {
        if self.paused {
            partition.pause();
        } else {
            partition.resume();
        }
        tracing::info!(partition = %partition.topic_partition(), paused = self.paused, "told whether to read");
        // Whoever asked may have gone.
        let _ = self.done.send(());
    }
}
