//! A topic's partitions, as the producer sees them.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use rand::RngExt as _;

use super::mailbox::Mailbox;
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
    /// The partitions that have a leader, as of the latest metadata.
    led: RwLock<Vec<usize>>,
}

impl Topic {
    pub(crate) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            first: OnceLock::new(),
            more: RwLock::default(),
            count: AtomicU32::new(0),
            sticky: AtomicUsize::new(0),
            led: RwLock::default(),
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

    /// Gives each partition the mailbox of its leader's sender, from the first partition on. Called by one at a time.
    pub(crate) fn set_leaders(&self, leaders: impl Iterator<Item = Option<Arc<Mailbox>>>) {
        let leaders: Vec<_> = leaders.collect();
        let led = leaders.iter().enumerate();
        let led = led.filter_map(|(index, leader)| leader.is_some().then_some(index));
        // First, so that whoever finds a partition without its leader finds another one.
        *self.led.write() = led.collect();
        for (index, leader) in leaders.into_iter().enumerate() {
            self.with(index, |p| p.set_leader(leader));
        }
    }

    /// Chooses where they go next: of two partitions with a leader the one with less to do (KIP-794), not the present one if
    /// there is another. The present one, too, where none has a leader.
    pub(crate) fn switch(&self) -> usize {
        let present = self.sticky();
        let led = self.led.read();
        let at = led.binary_search(&present);
        // Those beside the present one: as if it were taken out of the list.
        let others = led.len() - usize::from(at.is_ok());
        let other = |place: usize| led[place + usize::from(at.is_ok_and(|at| place >= at))];
        let next = match others {
            0 => present.min((self.count() as usize).saturating_sub(1)),
            1 => other(0),
            _ => {
                let mut rng = rand::rng();
                let first = rng.random_range(0..others);
                let second = (first + rng.random_range(1..others)) % others;
                let backlog = |index: usize| self.with(index, |p| p.backlog());
                let (first, second) = (other(first), other(second));
                if backlog(second) < backlog(first) {
                    second
                } else {
                    first
                }
            }
        };
        self.sticky.store(next, Ordering::Relaxed);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(leaders: &[bool]) -> Topic {
        let topic = Topic::new(Arc::from("orders"));
        topic.resize(leaders.len());
        lead(&topic, leaders);
        topic
    }

    fn lead(topic: &Topic, leaders: &[bool]) {
        let mailbox = Arc::new(Mailbox::new(1));
        let leaders = leaders.iter().map(|led| led.then(|| Arc::clone(&mailbox)));
        topic.set_leaders(leaders);
    }

    /// Where so many switches lead to, in order and each once.
    fn choices(topic: &Topic) -> Vec<usize> {
        let mut chosen: Vec<_> = (0..200).map(|_| topic.switch()).collect();
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    }

    #[test]
    fn only_partitions_with_a_leader_are_chosen_and_all_of_them() {
        let topic = topic(&[false, true, true, false, true, false]);
        assert_eq!(choices(&topic), [1, 2, 4]);
        lead(&topic, &[true, false, false, false, false, true]);
        assert_eq!(choices(&topic), [0, 5]);
        lead(&topic, &[true; 6]);
        assert_eq!(choices(&topic), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn the_only_partition_with_a_leader_is_found_among_many() {
        let mut leaders = [false; 500];
        leaders[321] = true;
        let topic = topic(&leaders);
        assert_eq!(choices(&topic), [321]);
    }

    #[test]
    fn the_choice_stays_where_no_partition_has_a_leader() {
        let topic = topic(&[true; 3]);
        let present = topic.switch();
        lead(&topic, &[false; 3]);
        assert_eq!(choices(&topic), [present]);
    }

    #[test]
    fn another_is_chosen_where_there_is_one() {
        let topic = topic(&[true, false, true, true]);
        for _ in 0..200 {
            let present = topic.sticky();
            assert_ne!(topic.switch(), present);
        }
    }
}
