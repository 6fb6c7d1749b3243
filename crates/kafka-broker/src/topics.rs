//! The topics of the cluster, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_wire::ResponseError;
use kafka_wire::StrBytes;
use kafka_wire::messages::TopicName;
use parking_lot::RwLock;
use uuid::Uuid;

use crate::log::Partition;
use crate::topic_config::TopicConfig;

/// Kafka's bound on a topic's name: a file name has 255 bytes, of which a partition's number takes some.
const MAX_NAME: usize = 249;

/// A refusal with the words that go to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) error: ResponseError,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(error: ResponseError, message: impl Into<String>) -> Self {
        Self {
            error,
            message: message.into(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: TopicName,
    pub(crate) id: Uuid,
    pub(crate) config: TopicConfig,
    partitions: RwLock<Vec<Arc<Partition>>>,
}

impl Topic {
    pub(crate) fn new(name: &str, config: TopicConfig, partitions: Vec<Arc<Partition>>) -> Self {
        Self {
            name: TopicName(StrBytes::from_string(name.to_owned())),
            id: Uuid::new_v4(),
            config,
            partitions: RwLock::new(partitions),
        }
    }

    pub(crate) fn partition(&self, index: i32) -> Option<Arc<Partition>> {
        let index = usize::try_from(index).ok()?;
        self.partitions.read().get(index).cloned()
    }

    /// All partitions, in the order of their indexes.
    pub(crate) fn partitions(&self) -> Vec<Arc<Partition>> {
        self.partitions.read().clone()
    }

    pub(crate) fn partition_count(&self) -> usize {
        self.partitions.read().len()
    }

    /// Adds partitions if there are still `expected` of them.
    pub(crate) fn add_partitions(&self, expected: usize, added: Vec<Arc<Partition>>) -> bool {
        let mut partitions = self.partitions.write();
        if partitions.len() != expected {
            return false;
        }
        partitions.extend(added);
        true
    }
}

#[derive(Debug, Default)]
pub(crate) struct Topics {
    by_name: RwLock<BTreeMap<String, Arc<Topic>>>,
}

impl Topics {
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.by_name.read().get(name).cloned()
    }

    pub(crate) fn get_by_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        self.by_name
            .read()
            .values()
            .find(|topic| topic.id == id)
            .cloned()
    }

    pub(crate) fn partition(&self, topic: &str, index: i32) -> Option<Arc<Partition>> {
        self.get(topic)?.partition(index)
    }

    /// All topics, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Topic>> {
        self.by_name.read().values().cloned().collect()
    }

    pub(crate) fn partition_count(&self) -> usize {
        self.by_name
            .read()
            .values()
            .map(|topic| topic.partition_count())
            .sum()
    }

    /// Adds a topic; `false` when its name is taken.
    pub(crate) fn insert(&self, topic: Arc<Topic>) -> bool {
        let mut topics = self.by_name.write();
        if topics.contains_key(&**topic.name) {
            return false;
        }
        topics.insert(topic.name.to_string(), topic);
        true
    }

    /// Takes a topic out and ends its partitions.
    pub(crate) fn remove(&self, name: &str) -> Option<Arc<Topic>> {
        let removed = self.by_name.write().remove(name)?;
        for partition in removed.partitions() {
            partition.delete();
        }
        Some(removed)
    }
}

/// Kafka's rules for a topic's name.
pub(crate) fn check_name(name: &str) -> Result<(), Refusal> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let reason = if name.is_empty() {
        "the empty string is not a topic's name"
    } else if name == "." || name == ".." {
        "a topic's name cannot be '.' or '..'"
    } else if name.len() > MAX_NAME {
        "a topic's name has at most 249 characters"
    } else if !name.chars().all(legal) {
        "a topic's name has only ASCII letters and digits, '.', '_' and '-'"
    } else {
        return Ok(());
    };
    Err(Refusal::new(ResponseError::InvalidTopicException, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_kafkas_rules() {
        for name in ["orders", "a.b_c-D9", &"x".repeat(249)] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", ".", "..", "a b", "ä", "a/b", &"x".repeat(250)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
