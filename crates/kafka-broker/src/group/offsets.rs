//! The offsets that a group committed.

use std::collections::BTreeMap;

use kafka_wire::StrBytes;

/// A committed offset: the next one to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    /// The leader epoch of the last record that was read (KIP-320), or −1.
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: StrBytes,
}

/// By topic and partition.
#[derive(Debug, Clone, Default)]
pub(crate) struct Offsets {
    committed: BTreeMap<String, BTreeMap<i32, Committed>>,
}

impl Offsets {
    pub(crate) fn commit(&mut self, topic: &str, partition: i32, committed: Committed) {
        if let Some(partitions) = self.committed.get_mut(topic) {
            partitions.insert(partition, committed);
        } else {
            self.committed
                .insert(topic.to_owned(), [(partition, committed)].into());
        }
    }

    pub(crate) fn get(&self, topic: &str, partition: i32) -> Option<&Committed> {
        self.committed.get(topic)?.get(&partition)
    }

    pub(crate) fn topics(&self) -> impl Iterator<Item = (&str, &BTreeMap<i32, Committed>)> {
        self.committed
            .iter()
            .map(|(topic, partitions)| (topic.as_str(), partitions))
    }

    /// Forgets one partition's offset; `false` when there was none.
    pub(crate) fn remove(&mut self, topic: &str, partition: i32) -> bool {
        let Some(partitions) = self.committed.get_mut(topic) else {
            return false;
        };
        let removed = partitions.remove(&partition).is_some();
        if partitions.is_empty() {
            self.committed.remove(topic);
        }
        removed
    }

    /// Forgets a topic that was deleted.
    pub(crate) fn remove_topic(&mut self, topic: &str) {
        self.committed.remove(topic);
    }
}
