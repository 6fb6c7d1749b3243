//! A topic's partitions, as the producer sees them.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use rand::RngExt as _;

use super::partition::Partition;
use crate::partitioner::partition_for_key;

#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: Arc<str>,
    /// The partitions that the topic had when it was first seen: found without a lock.
    first: OnceLock<Box<[Arc<Partition>]>>,
    /// Those that were added since.
    more: RwLock<Vec<Arc<Partition>>>,
    /// How many there are now; 0 while it is not known.
    count: AtomicU32,
    /// Where records without a key go at present.
    sticky: AtomicUsize,
}

impl Topic {
    pub(crate) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            first: OnceLock::new(),
            more: RwLock::default(),
            count: AtomicU32::new(0),
            sticky: AtomicUsize::new(0),
        }
    }

    /// Makes room for the partitions that there are now. Called by one at a time.
    pub(crate) fn resize(&self, count: usize) {
        if count == 0 {
            return;
        }
        let make = |index: usize| Arc::new(Partition::new(Arc::clone(&self.name), index as i32));
        let first = self.first.get_or_init(|| (0..count).map(make).collect());
        {
            let mut more = self.more.write();
            while first.len() + more.len() < count {
                let index = first.len() + more.len();
                more.push(make(index));
            }
        }
        self.count
            .store(u32::try_from(count).unwrap_or(u32::MAX), Ordering::Release);
    }

    pub(crate) fn count(&self) -> u32 {
        self.count.load(Ordering::Acquire)
    }

    /// Runs `f` on a partition, if the topic has it.
    #[inline]
    pub(crate) fn with<R>(&self, index: usize, f: impl FnOnce(&Arc<Partition>) -> R) -> Option<R> {
        if index >= self.count() as usize {
            return None;
        }
        let first = self.first.get()?;
        match first.get(index) {
            Some(partition) => Some(f(partition)),
            None => {
                let partition = self.more.read().get(index - first.len()).map(Arc::clone)?;
                Some(f(&partition))
            }
        }
    }

    /// All partitions that there ever were.
    pub(crate) fn all(&self) -> Vec<Arc<Partition>> {
        let first = self.first.get().map(|f| f.to_vec()).unwrap_or_default();
        first
            .into_iter()
            .chain(self.more.read().iter().cloned())
            .collect()
    }

    /// The partition of a key.
    pub(crate) fn of_key(&self, key: &[u8]) -> usize {
        partition_for_key(key, self.count().max(1)) as usize
    }

    /// Where records without a key go at present.
    pub(crate) fn sticky(&self) -> usize {
        self.sticky.load(Ordering::Relaxed)
    }

    /// Chooses where they go next: of two partitions with a leader the one with less to do (KIP-794), not the present one if
    /// there is another.
    pub(crate) fn switch(&self) -> usize {
        let present = self.sticky();
        let count = self.count() as usize;
        let mut rng = rand::rng();
        let mut best: Option<(usize, usize)> = None;
        for _ in 0..4 {
            let candidate = match count {
                0 | 1 => 0,
                _ => (present + rng.random_range(1..count)) % count,
            };
            let backlog = self.with(candidate, |p| p.has_leader().then(|| p.backlog()));
            if let Some(Some(backlog)) = backlog {
                match best {
                    Some((least, _)) => {
                        if backlog < least {
                            best = Some((backlog, candidate));
                        }
                        break;
                    }
                    None => best = Some((backlog, candidate)),
                }
            }
        }
        let next = best.map_or(present.min(count.saturating_sub(1)), |(_, index)| index);
        self.sticky.store(next, Ordering::Relaxed);
        next
    }
}
