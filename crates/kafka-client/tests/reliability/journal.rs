//! What the members of one group have handled, checked as it happens.

use std::collections::BTreeSet;
use std::time::Duration;

use kafka_client::{GroupHandle, GroupPhase, RecordMetadata, Records};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::kit::{PATIENCE, within};

/// How far all groups are, and the first thing that went wrong.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    /// Records that were handled, by hop; one that was handled twice counts once.
    pub(crate) done: Vec<u64>,
    pub(crate) failed: Option<String>,
}

/// [`Progress`], told to those who wait for it.
pub(crate) struct Board {
    progress: watch::Sender<Progress>,
    /// The members of all groups, which a wait that takes too long tells of.
    members: Mutex<Vec<(u32, GroupHandle)>>,
}

impl Board {
    pub(crate) fn new(hops: usize) -> Self {
        Self {
            progress: watch::Sender::new(Progress {
                done: vec![0; hops],
                failed: None,
            }),
            members: Mutex::default(),
        }
    }

    pub(crate) fn watch(&self, member: u32, handle: GroupHandle) {
        self.members.lock().push((member, handle));
    }

    pub(crate) fn fail(&self, what: String) {
        self.progress.send_modify(|progress| {
            progress.failed.get_or_insert(what);
        });
    }

    /// Waits until the hops are so far that `reached` is true; panics with what went wrong as soon as something does, and when no record is
    /// handled for too long.
    pub(crate) async fn wait(&self, what: &str, reached: impl Fn(&[u64]) -> bool) {
        let mut watch = self.progress.subscribe();
        loop {
            {
                let progress = watch.borrow_and_update();
                if let Some(failed) = &progress.failed {
                    panic!("while waiting for {what}: {failed}");
                }
                if reached(&progress.done) {
                    return;
                }
            }
            let changed = tokio::time::timeout(PATIENCE, watch.changed()).await;
            if changed.is_err() {
                for (member, handle) in &*self.members.lock() {
                    println!("member {member}: {:#?}", handle.state());
                }
                panic!(
                    "waiting for {what}, nothing has happened for {PATIENCE:?}: {:?}",
                    *self.progress.borrow()
                )
            }
        }
    }

    /// Waits until every member there ever was is in a generation and stays in it; returns the generations, in the order of joining.
    pub(crate) async fn generations(&self) -> Vec<i32> {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        within("stable groups", async {
            loop {
                ticks.tick().await;
                let members = self.members.lock();
                let statuses = members.iter().map(|(_, handle)| handle.state().status);
                let stable =
                    statuses.map(|s| s.generation.filter(|_| s.phase == GroupPhase::Stable));
                if let Some(generations) = stable.collect() {
                    return generations;
                }
            }
        })
        .await
    }

    pub(crate) fn total(&self) -> u64 {
        self.progress.borrow().done.iter().sum()
    }
}

/// What one group has handled of its topic.
#[derive(Debug)]
pub(crate) struct Journal {
    hop: usize,
    /// Whether records may be written twice: because members of this group or of one before it may end uncleanly.
    may_double: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    partitions: Vec<Partition>,
    /// Members that ended, and the partitions for which they have not committed what they had handled.
    unclean: BTreeSet<(u32, i32)>,
}

#[derive(Debug, Clone, Default)]
struct Partition {
    /// The key and the member that handled it last, by offset.
    handled: Vec<(u32, u32)>,
    /// The highest offset whose commit was acknowledged.
    committed: i64,
}

impl Journal {
    pub(crate) fn new(hop: usize, partitions: i32, may_double: bool) -> Self {
        Self {
            hop,
            may_double,
            state: Mutex::new(State {
                partitions: vec![Partition::default(); partitions as usize],
                unclean: BTreeSet::new(),
            }),
        }
    }

    /// Notes that `member` handles these records now. It is an error when one is left out, and when one comes again that
    /// was committed or whose handler did not end uncleanly.
    pub(crate) fn handle(
        &self,
        member: u32,
        records: &Records,
        board: &Board,
    ) -> Result<(), String> {
        let mut state = self.state.lock();
        let State {
            partitions,
            unclean,
        } = &mut *state;
        let partition = &mut partitions[records.partition() as usize];
        let mut new = 0;
        for record in records.iter() {
            let key = key_of(record.key, record.value)?;
            let wrong = |what: &str, by: Option<u32>| {
                let (hop, partition) = (self.hop, records.partition());
                let offset = record.offset;
                format!("hop {hop}: member {member} {what} {partition}@{offset}, handled by {by:?}")
            };
            match partition.handled.get(record.offset as usize).copied() {
                None if record.offset == partition.handled.len() as i64 => {
                    partition.handled.push((key, member));
                    new += 1;
                }
                None => return Err(wrong("leaves out what is before", None)),
                Some((_, by)) if record.offset < partition.committed => {
                    return Err(wrong("handles what was committed", Some(by)));
                }
                Some((_, by)) if !unclean.contains(&(by, records.partition())) => {
                    return Err(wrong("handles again", Some(by)));
                }
                Some((before, by)) if before != key => {
                    return Err(wrong("sees another record at", Some(by)));
                }
                Some(_) => partition.handled[record.offset as usize].1 = member,
            }
        }
        drop(state);
        board.progress.send_modify(|p| p.done[self.hop] += new);
        Ok(())
    }

    /// Notes an acknowledged commit.
    pub(crate) fn committed(&self, partition: i32, offset: i64) {
        let mut state = self.state.lock();
        let partition = &mut state.partitions[partition as usize];
        partition.committed = partition.committed.max(offset);
    }

    /// From now on, what `member` has handled may be handled again.
    pub(crate) fn crashed(&self, member: u32) {
        let mut state = self.state.lock();
        let partitions = 0..state.partitions.len() as i32;
        state.unclean.extend(partitions.map(|p| (member, p)));
    }

    /// From now on, what `member` has handled of `partition` may be handled again. Returns whether that may happen here.
    pub(crate) fn lost(&self, member: u32, partition: i32) -> bool {
        self.state.lock().unclean.insert((member, partition));
        self.may_double
    }

    /// Checks where the output of the record at `partition` and `offset` was written. All topics have equally many
    /// partitions and the key chooses, so it is the same partition, and the same offset as long as nothing was done twice.
    pub(crate) fn check_written(
        &self,
        partition: i32,
        offset: i64,
        written: &RecordMetadata,
    ) -> Result<(), String> {
        // An acknowledgement that came by way of a repeated attempt may not know the offset.
        let fits = written.offset == -1
            || written.offset == offset
            || (self.may_double && written.offset > offset);
        if written.partition == partition && fits {
            return Ok(());
        }
        Err(format!(
            "hop {}: what was read at {partition}@{offset} was written at {written:?}",
            self.hop
        ))
    }

    /// The keys of each partition in the order of their offsets.
    pub(crate) fn keys(&self) -> Vec<Vec<u32>> {
        let state = self.state.lock();
        let keys = |p: &Partition| p.handled.iter().map(|(key, _)| *key).collect();
        state.partitions.iter().map(keys).collect()
    }
}

/// The key of a record, which its value repeats.
pub(crate) fn key_of(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<u32, String> {
    let text = key.and_then(|key| std::str::from_utf8(key).ok());
    let number = text.and_then(|text| text.parse().ok());
    match number {
        Some(number) if value == Some(body(number).as_bytes()) => Ok(number),
        _ => Err(format!("not a record of this test: {key:?} {value:?}")),
    }
}

/// The value that goes with a key.
pub(crate) fn body(key: u32) -> String {
    format!("the body of {key}")
}
