//! The loop of a service: a task a partition, each at its own pace.

mod backlog;
mod batch;
mod error;
mod lanes;
mod partition;
mod route;

use std::sync::Arc;
use std::time::Duration;

use kafka_client::{
    Client, ConsumerError, ConsumerGroup, GroupConfig, GroupEvent, GroupHandle,
    GroupMembershipOperation, OffsetReset, Producer,
};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use error::WorkerError;
pub use lanes::Lanes;
pub use route::Reactions;

use crate::dead_letters::DeadLetters;

/// How long a closing group waits for the batches under way, before it leaves all the same.
const CLOSE: Duration = Duration::from_secs(3);
/// Kafka's lowest default bound (`group.min.session.timeout.ms`): the partitions of a killed process are handed out again
/// after this long.
const SESSION: Duration = Duration::from_secs(6);
/// A third of the session, so that two heartbeats may be lost.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// The first and the longest wait before a group that failed is joined anew. Each time costs all members a rebalance, so what
/// fails again at once, like a topic that may not be read, is tried less and less often.
const REJOIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How a worker works.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// The most events of a partition that are under way at the same time. Those of one order are handled one after the other,
    /// whatever this says, and an offset is committed once all before it are done. From 1. Default: 500, a whole batch.
    pub concurrency: usize,
    /// Simulated work an event. Default: none.
    pub processing_time: Duration,
    /// A name that stays the same when the process restarts, so that it gets its partitions back at once, even after a crash
    /// (KIP-345). Two processes must not have the same one at the same time: the older is shut out, and its worker ends.
    /// Default: none, so that a crashed process's partitions are handed out again after 6 s.
    pub group_instance_id: Option<Arc<str>>,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            concurrency: backlog::BATCH,
            processing_time: Duration::ZERO,
            group_instance_id: None,
        }
    }
}

/// Consumes a group's topics and has the reactions handle what arrives.
#[derive(Debug)]
pub struct Worker {
    client: Client,
    config: GroupConfig,
    shared: Arc<Shared>,
    group: watch::Sender<Option<GroupHandle>>,
}

/// What the tasks of all partitions use.
#[derive(Debug)]
struct Shared {
    group: Arc<str>,
    reactions: Reactions,
    producer: Producer,
    dead_letters: DeadLetters,
    concurrency: usize,
    processing_time: Duration,
    lanes: Lanes,
}

impl Worker {
    /// A worker in `group`. Nothing is read before [`Worker::run`].
    pub fn new(
        client: Client,
        producer: Producer,
        group: &str,
        reactions: Reactions,
        worker: WorkerConfig,
    ) -> Self {
        let dead_letters = DeadLetters::new(group, producer.clone(), client.admin());
        let mut config = GroupConfig {
            group_instance_id: worker.group_instance_id,
            session_timeout: SESSION,
            heartbeat_interval: HEARTBEAT,
            // A batch is tried until it is done, however long the store or a leader is away, and each attempt has a bound of
            // its own. Giving the partitions up meanwhile would only hold up the healthy ones: the next owner has the same store.
            max_poll_interval: Duration::MAX,
            ..GroupConfig::new(group, reactions.topics())
        };
        // What was published before the group first committed is work as well.
        config.consumer.auto_offset_reset = OffsetReset::Earliest;
        let shared = Shared {
            group: Arc::clone(&config.group_id),
            reactions,
            producer,
            dead_letters,
            concurrency: worker.concurrency,
            processing_time: worker.processing_time,
            lanes: Lanes::default(),
        };
        Self {
            client,
            config,
            shared: Arc::new(shared),
            group: watch::Sender::default(),
        }
    }

    /// The membership, once there is one: generation, partitions, positions.
    pub fn membership(&self) -> watch::Receiver<Option<GroupHandle>> {
        self.group.subscribe()
    }

    /// The partitions that are read, to be paused and resumed.
    pub fn lanes(&self) -> Lanes {
        self.shared.lanes.clone()
    }

    /// Works until `stop`: then no new batch is begun, those under way are finished and committed, and the group is left.
    ///
    /// # Errors
    ///
    /// A [`WorkerError`] that [is final](WorkerError::is_final). After any other the group is joined anew.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), WorkerError> {
        let mut rejoin = REJOIN.0;
        while !stop.is_cancelled() {
            let joined = Instant::now();
            let Err(error) = self.run_group(&stop).await else {
                continue; // which it only does when it is stopped
            };
            if error.is_final() {
                return Err(error);
            }
            tracing::error!(group = %self.config.group_id, %error, "the group failed, joining it anew");
            if joined.elapsed() > REJOIN.1 {
                rejoin = REJOIN.0;
            }
            stop.run_until_cancelled(tokio::time::sleep(rejoin)).await;
            rejoin = (rejoin * 2).min(REJOIN.1);
        }
        Ok(())
    }

    async fn run_group(&self, stop: &CancellationToken) -> Result<(), WorkerError> {
        let mut group: ConsumerGroup = self
            .client
            .consumer_group(self.config.clone())
            .map_err(ConsumerError::from)?;
        self.group.send_replace(Some(group.handle()));
        let mut partitions = JoinSet::new();
        let outcome = loop {
            tokio::select! {
                event = group.next() => match event {
                    Some(GroupEvent::Assigned(partition)) => {
                        let shared = Arc::clone(&self.shared);
                        partitions.spawn(async move {
                            match shared.reactions.route(partition.topic()) {
                                Some(route) => route.work(partition, &shared).await,
                                None => Err(WorkerError::NoReaction(Arc::clone(partition.topic()))),
                            }
                        });
                    }
                    Some(GroupEvent::Error(error)) => break Err(error.into()),
                    None => break Err(WorkerError::GroupEnded),
                },
                // A partition that its task gave up, or panicked over, is still this member's and would stay unread:
                // joined anew, the group hands it out again.
                Some(ended) = partitions.join_next() => {
                    if let Err(error) = ended.map_err(WorkerError::from).flatten() {
                        break Err(error);
                    }
                }
                () = stop.cancelled() => break Ok(()),
            }
        };
        // Closing revokes the partitions, so their tasks end by themselves; the set is emptied in case they do not.
        // A service that is told to stop may be gone for good, so its partitions are not kept for it.
        let leave = GroupMembershipOperation::LeaveGroup;
        if let Err(error) = group.close_with(CLOSE, leave).await {
            tracing::warn!(group = %self.config.group_id, %error, "the group was not left in order");
        }
        partitions.shutdown().await;
        outcome
    }
}
