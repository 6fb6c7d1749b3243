//! A member of a group of the chain.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use kafka_client::{
    Client, ConsumerError, ConsumerGroup, GroupConfig, GroupEvent, GroupHandle, PartitionConsumer,
    ProducerConfig, TopicProducer, TopicRecord,
};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::journal::{Board, Journal};
use crate::kit::within;

/// What a member does with its records.
#[derive(Clone)]
pub(crate) struct Work {
    /// The member, in this test.
    pub(crate) number: u32,
    pub(crate) journal: Arc<Journal>,
    pub(crate) board: Arc<Board>,
    /// The topic to write to.
    pub(crate) output: String,
    pub(crate) poll: usize,
}

/// A member that writes each record to the next topic, awaits that, and commits.
pub(crate) struct Member {
    /// The name that it keeps over restarts.
    pub(crate) name: String,
    pub(crate) handle: GroupHandle,
    work: Work,
    close: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Member {
    pub(crate) fn join(name: String, client: &Client, config: GroupConfig, work: Work) -> Self {
        let group = client.consumer_group(config).unwrap();
        let output = client
            .producer(ProducerConfig::default())
            .topic(&work.output);
        let handle = group.handle();
        work.board.watch(work.number, handle.clone());
        let (close, closed) = oneshot::channel();
        let task = tokio::spawn(run(group, output, work.clone(), closed));
        Self {
            name,
            handle,
            work,
            close,
            task,
        }
    }

    /// Finishes, commits, leaves.
    pub(crate) async fn close(self) {
        let _ = self.close.send(());
        within("closing a member", self.task).await.unwrap();
    }

    /// Is gone in the middle of what it does.
    pub(crate) async fn crash(self) {
        self.work.journal.crashed(self.work.number);
        self.task.abort();
        let _ = self.task.await;
    }
}

async fn run(
    mut group: ConsumerGroup,
    output: TopicProducer,
    work: Work,
    mut closed: oneshot::Receiver<()>,
) {
    let failed = |what: String| {
        work.board
            .fail(format!("member {} of {}: {what}", work.number, work.output));
    };
    let mut partitions = JoinSet::new();
    loop {
        tokio::select! {
            event = group.next() => match event {
                Some(GroupEvent::Assigned(partition)) => {
                    partitions.spawn(handle(partition, output.clone(), work.clone()));
                }
                Some(GroupEvent::Error(error)) => failed(error.to_string()),
                None => break,
            },
            Some(ended) = partitions.join_next() => {
                if let Err(error) = ended.unwrap() {
                    failed(error);
                }
            }
            _ = &mut closed => break,
        }
    }
    let state = group.state();
    if let Err(error) = group.close(Duration::from_secs(60)).await {
        failed(format!("{error}; it was {state:?}"));
    }
    while let Some(ended) = partitions.join_next().await {
        if let Err(error) = ended.unwrap() {
            failed(error);
        }
    }
}

async fn handle(
    mut partition: PartitionConsumer,
    output: TopicProducer,
    work: Work,
) -> Result<(), String> {
    let number = partition.partition();
    let told = |what: &str, error: &dyn Display| format!("{what} {number}: {error}");
    let ended = |what: &str, error: ConsumerError| {
        if error.is_lost() && work.journal.lost(work.number, number) {
            return Ok(());
        }
        Err(told(what, &error))
    };
    loop {
        let records = match partition.poll(work.poll).await {
            Ok(Some(records)) => records,
            Ok(None) => return Ok(()),
            Err(error) => return ended("polling", error),
        };
        work.journal.handle(work.number, &records, &work.board)?;
        let mut deliveries = Vec::with_capacity(records.len());
        for record in records.iter() {
            let copy = TopicRecord {
                key: record.key,
                value: record.value,
                ..TopicRecord::default()
            };
            let delivery = output.send(&copy).await;
            deliveries.push((
                record.offset,
                delivery.map_err(|e| told("sending from", &e))?,
            ));
        }
        for (offset, delivery) in deliveries {
            let written = delivery.await.map_err(|e| told("sending from", &e))?;
            work.journal.check_written(number, offset, &written)?;
        }
        let next = records.next_offset();
        if let Err(error) = partition.commit(next).await {
            return ended("committing", error);
        }
        work.journal.committed(number, next);
    }
}
