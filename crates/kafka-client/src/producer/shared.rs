//! What a producer's handles, its senders and its manager share.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ProducerConfig;
use super::error::ProduceError;
use super::mailbox::Mailbox;
use super::memory::Memory;
use super::partition::{Limits, Partition};
use super::sequencer::Identity;
use super::topic::Topic;
use super::topics::Topics;
use crate::cluster::Cluster;
use crate::error::ClientError;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) cluster: Cluster,
    pub(crate) config: ProducerConfig,
    pub(crate) limits: Limits,
    pub(crate) memory: Memory,
    pub(crate) topics: Topics,
    mailboxes: Mutex<HashMap<i32, Arc<Mailbox>>>,
    /// Has the manager start a sender for a broker that was not seen before.
    new_senders: mpsc::UnboundedSender<Arc<Mailbox>>,
    assigning: Mutex<()>,
    identity: Mutex<Option<Identity>>,
    pub(crate) identity_wanted: Notify,
    closing: AtomicBool,
    /// Ends the tasks.
    pub(crate) stop: CancellationToken,
    /// They have ended, and everything that was undelivered was given its error.
    pub(crate) stopped: CancellationToken,
}

impl Shared {
    pub(crate) fn new(
        cluster: Cluster,
        config: ProducerConfig,
        new_senders: mpsc::UnboundedSender<Arc<Mailbox>>,
    ) -> Self {
        let limits = Limits {
            batch_size: config.batch_size,
            linger: config.linger,
            max_in_flight: config.max_in_flight,
            delivery_timeout: config.delivery_timeout,
        };
        Self {
            cluster,
            limits,
            memory: Memory::new(config.buffer_memory, config.batch_size),
            config,
            topics: Topics::default(),
            mailboxes: Mutex::default(),
            new_senders,
            assigning: Mutex::default(),
            identity: Mutex::default(),
            identity_wanted: Notify::new(),
            closing: AtomicBool::new(false),
            stop: CancellationToken::new(),
            stopped: CancellationToken::new(),
        }
    }

    pub(crate) fn partitions(&self) -> Vec<Arc<Partition>> {
        self.topics.all().iter().flat_map(|t| t.all()).collect()
    }

    /// Learns a topic's partitions, at least up to `partition` if the topic has it.
    pub(crate) async fn learn(
        &self,
        topic: &Topic,
        partition: Option<i32>,
        deadline: Instant,
    ) -> Result<(), ProduceError> {
        if self.is_closing() {
            return Err(ProduceError::Closed {
                maybe_written: false,
            });
        }
        tokio::select! {
            learned = self.ask(topic, partition, deadline) => learned,
            () = self.stop.cancelled() => Err(ProduceError::Closed {
                maybe_written: false,
            }),
        }
    }

    async fn ask(
        &self,
        topic: &Topic,
        partition: Option<i32>,
        deadline: Instant,
    ) -> Result<(), ProduceError> {
        let failed = |source: ClientError| ProduceError::Metadata {
            topic: Arc::clone(&topic.name),
            source: Box::new(source),
        };
        self.want_identity();
        let count = self
            .cluster
            .topic(&topic.name, deadline)
            .await
            .map_err(failed)?
            .partitions
            .len();
        let has =
            |count: usize| partition.is_none_or(|p| usize::try_from(p).is_ok_and(|p| p < count));
        if !has(count) {
            // It may have been added since the metadata was fetched.
            let latest = self.cluster.refresh(deadline).await.map_err(failed)?;
            let count = latest
                .topics
                .get(&topic.name)
                .map_or(0, |t| t.partitions.len());
            if !has(count) {
                return Err(ProduceError::UnknownPartition {
                    topic: Arc::clone(&topic.name),
                    partition: partition.unwrap_or_default(),
                });
            }
        }
        self.assign();
        Ok(())
    }

    /// Gives every partition to the sender of its leader, as the latest metadata say.
    pub(crate) fn assign(&self) {
        let _one_at_a_time = self.assigning.lock();
        let metadata = self.cluster.metadata();
        for topic in self.topics.all() {
            let Some(found) = metadata.topics.get(&topic.name) else {
                continue;
            };
            if found.partitions.is_empty() {
                // Gone or in the making: what is under way is tried where it was until its time is up.
                continue;
            }
            topic.resize(found.partitions.len());
            let leaders = found.partitions.iter().map(|partition| partition.leader);
            topic.set_leaders(leaders.map(|leader| leader.map(|node| self.mailbox(node))));
        }
        if self.is_closing() {
            self.close_partitions();
        }
    }

    /// Whether records wait for a partition to have a leader.
    pub(crate) fn want_leaders(&self) -> bool {
        self.partitions().iter().any(|p| p.wants_leader())
    }

    fn mailbox(&self, node: i32) -> Arc<Mailbox> {
        let mut mailboxes = self.mailboxes.lock();
        let mailbox = mailboxes.entry(node).or_insert_with(|| {
            let mailbox = Arc::new(Mailbox::new(node));
            // Where the manager has ended, so has the producer.
            let _ = self.new_senders.send(Arc::clone(&mailbox));
            mailbox
        });
        Arc::clone(mailbox)
    }

    /// Has every sender look again.
    pub(crate) fn wake_senders(&self) {
        for mailbox in self.mailboxes.lock().values() {
            mailbox.wake();
        }
    }

    /// The producer's id and latest epoch of its own, if the brokers have given one.
    pub(crate) fn identity(&self) -> Option<Identity> {
        *self.identity.lock()
    }

    pub(crate) fn want_identity(&self) {
        if self.identity.lock().is_none() {
            self.identity_wanted.notify_one();
        }
    }

    pub(crate) fn set_identity(&self, identity: Identity) {
        *self.identity.lock() = Some(identity);
        self.wake_senders();
    }

    /// A partition has used up the epochs of this id.
    pub(crate) fn renew_identity(&self, used_up: Identity) {
        let mut identity = self.identity.lock();
        if *identity == Some(used_up) {
            *identity = None;
        }
        drop(identity);
        self.want_identity();
    }

    /// Nothing could be sent for want of a producer id.
    pub(crate) fn fail_unsent(&self, error: &ClientError) {
        for partition in self.partitions() {
            partition.fail_all(
                |_| ProduceError::ProducerId(Box::new(error.clone())),
                false,
                &self.memory,
            );
        }
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Takes no more records.
    pub(crate) fn begin_closing(&self) {
        self.closing.store(true, Ordering::Release);
        self.memory.close();
        self.close_partitions();
    }

    fn close_partitions(&self) {
        for partition in self.partitions() {
            partition.close();
        }
    }

    /// Gives everything that is undelivered its error.
    pub(crate) fn fail_everything(&self) {
        self.begin_closing();
        for partition in self.partitions() {
            partition.fail_all(
                |maybe_written| ProduceError::Closed { maybe_written },
                true,
                &self.memory,
            );
        }
    }
}
