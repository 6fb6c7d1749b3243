//! Consumer groups of the classic protocol.
//!
//! [`ConsumerGroup`] is what the caller holds. One task, in `manage`, does all that concerns the membership; what it does
//! next is decided by `membership`, a pure function. Commits of all partitions go through `commit`.

mod assignor;
mod commit;
mod committed;
mod config;
mod coordinator;
mod exchange;
mod heartbeat;
mod manage;
mod membership;
pub(crate) mod protocol;
mod state;
mod subscription;
mod wait;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use assignor::Assignor;
pub(crate) use commit::Commits;
pub use commit::{CommitError, PendingCommit, PendingCommits};
pub use config::GroupConfig;
pub use state::{GroupMembershipOperation, GroupPhase, GroupState, GroupStatus, PartitionState};

pub use subscription::TopicPattern;

use crate::client::Client;
use crate::consumer::{
    ConsumerError, LostReason, Ownership, PartitionConsumer, Slot, TopicPartition,
};
use crate::error::ClientError;

/// What a group tells its caller.
#[derive(Debug)]
pub enum GroupEvent {
    /// A partition was assigned: whoever takes the handle reads it.
    Assigned(PartitionConsumer),
    /// The group cannot go on and has ended. A session that expired is not such an error: the handles are lost, and the
    /// member joins anew.
    Error(ConsumerError),
}

/// A member of a consumer group.
///
/// Dropping it stops its tasks and takes its partitions away without leaving the group, as a crash would;
/// [`close`](Self::close) ends it in order.
#[derive(Debug)]
pub struct ConsumerGroup {
    shared: Arc<Shared>,
    _stop: DropGuard,
}

/// A cloneable view of a group: its state, and commits for several partitions at a time.
#[derive(Debug, Clone)]
pub struct GroupHandle {
    shared: Arc<Shared>,
}

/// What the caller's side and the tasks share.
#[derive(Debug)]
pub(crate) struct Shared {
    config: GroupConfig,
    status: watch::Sender<GroupStatus>,
    events: Events,
    /// The partitions that the member has, revoked ones included until they are released.
    slots: Mutex<Vec<Arc<Slot>>>,
    /// Held while the membership takes a step, or ends: whoever asks sees the place that it has with the partitions of that place.
    stepping: Mutex<()>,
    commits: Arc<Commits>,
    /// Asks the manage loop to end.
    closing: watch::Sender<Option<Closing>>,
}

/// How the membership is to end.
#[derive(Debug, Clone, Copy)]
struct Closing {
    /// What the holders get to finish.
    drain: Duration,
    operation: GroupMembershipOperation,
}

/// Events that the caller has not taken yet.
#[derive(Debug, Default)]
struct Events {
    queue: Mutex<EventQueue>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct EventQueue {
    waiting: VecDeque<GroupEvent>,
    ended: bool,
}

impl Client {
    /// Joins a consumer group. Starts the tasks that find the coordinator, join, and keep the membership; must be called
    /// within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`ClientError::Config`] when the configuration cannot work. All else comes as a [`GroupEvent::Error`].
    pub fn consumer_group(&self, config: GroupConfig) -> Result<ConsumerGroup, ClientError> {
        config.check()?;
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            commits: Arc::new(Commits::new(config.commit_timeout)),
            config,
            status: watch::Sender::default(),
            events: Events::default(),
            slots: Mutex::default(),
            stepping: Mutex::default(),
            closing: watch::Sender::new(None),
        });
        manage::spawn(self.cluster().clone(), Arc::clone(&shared), &stop);
        Ok(ConsumerGroup {
            shared,
            _stop: stop.drop_guard(),
        })
    }
}

impl ConsumerGroup {
    /// Waits for the next event; none once the group has ended. Cancel safe.
    ///
    /// A handle that is not fetched from here while its partition is revoked is dropped, and not seen.
    pub async fn next(&mut self) -> Option<GroupEvent> {
        loop {
            {
                let mut queue = self.shared.events.queue.lock();
                if let Some(event) = queue.waiting.pop_front() {
                    return Some(event);
                }
                if queue.ended {
                    return None;
                }
            }
            self.shared.events.wake.notified().await;
        }
    }

    /// A view that can be cloned and handed around.
    pub fn handle(&self) -> GroupHandle {
        GroupHandle {
            shared: Arc::clone(&self.shared),
        }
    }

    /// See [`GroupHandle::commit`].
    ///
    /// # Errors
    ///
    /// See [`GroupHandle::commit`].
    pub async fn commit(&self, offsets: &[(TopicPartition, i64)]) -> Result<(), CommitError> {
        self.shared.commit(offsets).await
    }

    /// See [`GroupHandle::commit_async`].
    pub fn commit_async(&self, offsets: &[(TopicPartition, i64)]) -> PendingCommits {
        self.shared.commit(offsets)
    }

    /// See [`GroupHandle::state`].
    pub fn state(&self) -> GroupState {
        self.shared.state()
    }

    /// Ends the membership in order: revokes all partitions, waits until their holders have finished and dropped them (at
    /// most for the drain budget), and leaves the group, so that the others take over at once. A member with a group
    /// instance id does not leave (KIP-345), so that it finds its partitions again when it is back in time.
    ///
    /// # Errors
    ///
    /// [`ClientError::Timeout`] when that takes longer than `timeout`; partitions that are still held are then lost.
    pub async fn close(self, timeout: Duration) -> Result<(), ClientError> {
        self.close_with(timeout, GroupMembershipOperation::Default)
            .await
    }

    /// As [`close`](Self::close), with a say in whether the member leaves the group.
    ///
    /// # Errors
    ///
    /// As [`close`](Self::close).
    pub async fn close_with(
        self,
        timeout: Duration,
        operation: GroupMembershipOperation,
    ) -> Result<(), ClientError> {
        // Most of the time is the holders'; some of it is for telling the coordinator.
        let drain = self.shared.config.drain_budget.min(timeout.mul_f64(0.8));
        let closing = Closing { drain, operation };
        self.shared.closing.send_replace(Some(closing));
        // Handles that nobody took are nobody's to finish.
        self.shared.events.take_all();
        let mut status = self.shared.status.subscribe();
        let ended = status.wait_for(|s| matches!(s.phase, GroupPhase::Closed | GroupPhase::Failed));
        match tokio::time::timeout(timeout, ended).await {
            Ok(_) => Ok(()),
            Err(_) => Err(ClientError::Timeout {
                what: format!("closing group {}", self.shared.config.group_id),
                after: timeout,
                last: None,
            }),
        }
    }
}

impl GroupHandle {
    /// Commits these offsets, each the offset to read on from, in one request with whatever else waits to be committed,
    /// and waits until Kafka has them.
    ///
    /// # Errors
    ///
    /// [`CommitError`] with each partition that was not committed and why; the others were.
    pub async fn commit(&self, offsets: &[(TopicPartition, i64)]) -> Result<(), CommitError> {
        self.shared.commit(offsets).await
    }

    /// As [`commit`](Self::commit), without waiting: the commits are queued before this returns. What it returns can be
    /// awaited or dropped.
    pub fn commit_async(&self, offsets: &[(TopicPartition, i64)]) -> PendingCommits {
        self.shared.commit(offsets)
    }

    /// The member and its partitions as they are now.
    pub fn state(&self) -> GroupState {
        self.shared.state()
    }

    /// Follows the member's place in the group.
    pub fn watch(&self) -> watch::Receiver<GroupStatus> {
        self.shared.status.subscribe()
    }
}

impl Shared {
    fn commit(&self, offsets: &[(TopicPartition, i64)]) -> PendingCommits {
        let slots = self.slots.lock().clone();
        let commits = offsets.iter().map(|(id, offset)| {
            let commit = match slots.iter().find(|slot| slot.id == *id) {
                Some(slot) => self.commits.commit(slot, *offset),
                None => PendingCommit::failed(ConsumerError::NotAssigned {
                    partition: id.clone(),
                }),
            };
            (id.clone(), commit)
        });
        PendingCommits::new(commits.collect())
    }

    fn state(&self) -> GroupState {
        let _no_step = self.stepping.lock();
        let mut partitions: Vec<_> = self
            .slots
            .lock()
            .iter()
            .map(|slot| {
                let state = slot.lock();
                PartitionState {
                    partition: slot.id.clone(),
                    position: state.position,
                    committed: state.committed,
                    log_start: state.log_start,
                    end: state.high_watermark,
                    lag: state.lag(),
                    paused: state.paused,
                    revoked: state.ownership != Ownership::Held,
                }
            })
            .collect();
        partitions.sort_by(|a, b| a.partition.cmp(&b.partition));
        GroupState {
            group_id: Arc::clone(&self.config.group_id),
            status: self.status.borrow().clone(),
            partitions,
        }
    }

    /// The end: nobody may go on with anything.
    fn end(&self, phase: GroupPhase, reason: LostReason) {
        for slot in self.slots.lock().drain(..) {
            slot.lose(reason);
        }
        self.commits.end(reason);
        self.events.end();
        self.status.send_modify(|status| status.phase = phase);
    }
}

impl Events {
    fn push(&self, event: GroupEvent) {
        self.queue.lock().waiting.push_back(event);
        self.wake.notify_one();
    }

    fn end(&self) {
        self.queue.lock().ended = true;
        self.wake.notify_one();
    }

    fn take_all(&self) -> VecDeque<GroupEvent> {
        std::mem::take(&mut self.queue.lock().waiting)
    }

    /// Drops the handles that nobody took and that are not held any more.
    fn drop_ended(&self) {
        let mut queue = self.queue.lock();
        let (ended, waiting) = std::mem::take(&mut queue.waiting)
            .into_iter()
            .partition::<VecDeque<_>, _>(
                |event| matches!(event, GroupEvent::Assigned(p) if p.is_revoked()),
            );
        queue.waiting = waiting;
        drop(queue);
        drop(ended);
    }
}
