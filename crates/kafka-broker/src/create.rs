//! Making topics, growing them and deleting them.

use std::collections::BTreeSet;
use std::sync::Arc;

use kafka_wire::ResponseError;

use crate::cluster::Cluster;
use crate::topic_config::{Defaults, Overrides, TopicConfig};
use crate::topics::{Refusal, Topic, check_name};

/// Partition indexes are answered in arrays of a response: one topic shall not fill a frame.
const MAX_PARTITIONS_OF_A_TOPIC: usize = 10_000;

/// A topic to be made.
#[derive(Debug, Clone)]
pub(crate) struct NewTopic {
    pub(crate) name: String,
    /// −1 takes the broker's default.
    pub(crate) partitions: i32,
    /// −1 takes the broker's default.
    pub(crate) replication_factor: i16,
    /// The replicas of each partition, if the client chose them itself.
    pub(crate) assignments: Vec<Vec<i32>>,
    pub(crate) overrides: Overrides,
}

impl NewTopic {
    /// A topic with the broker's defaults.
    pub(crate) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            partitions: -1,
            replication_factor: -1,
            assignments: Vec::new(),
            overrides: Overrides::new(),
        }
    }
}

impl Cluster {
    /// The values that topics take where nothing was set for them.
    pub(crate) fn topic_defaults(&self) -> Defaults {
        Defaults {
            retention_bytes: self.config.retention_bytes,
            max_message_bytes: self.config.max_message_bytes,
        }
    }

    /// Checks a topic that is to be made and returns the numbers of its partitions and replicas.
    pub(crate) fn check_topic(&self, new: &NewTopic) -> Result<(usize, usize), Refusal> {
        check_name(&new.name)?;
        if self.topics.get(&new.name).is_some() {
            return Err(already_exists(&new.name));
        }
        if !new.assignments.is_empty() {
            return self.check_assignments(new);
        }
        let partitions = match new.partitions {
            -1 => self.config.default_partitions,
            partitions => partitions,
        };
        let partitions = usize::try_from(partitions)
            .ok()
            .filter(|count| *count >= 1)
            .ok_or_else(|| {
                Refusal::new(
                    ResponseError::InvalidPartitions,
                    "number of partitions was set to an invalid non-positive value",
                )
            })?;
        self.check_room(partitions, partitions)?;
        Ok((partitions, self.check_replication(new.replication_factor)?))
    }

    fn check_replication(&self, factor: i16) -> Result<usize, Refusal> {
        let invalid = |message| Refusal::new(ResponseError::InvalidReplicationFactor, message);
        let nodes = self.nodes.all().len();
        if factor == -1 {
            let default = usize::try_from(self.config.default_replication_factor).unwrap_or(1);
            return Ok(default.min(nodes));
        }
        let factor = usize::try_from(factor)
            .ok()
            .filter(|factor| *factor >= 1)
            .ok_or_else(|| invalid("replication factor must be larger than 0".to_owned()))?;
        if factor > nodes {
            return Err(invalid(format!(
                "replication factor {factor} is larger than the number of nodes, {nodes}"
            )));
        }
        Ok(factor)
    }

    fn check_room(&self, total: usize, added: usize) -> Result<(), Refusal> {
        if total > MAX_PARTITIONS_OF_A_TOPIC
            || self.topics.partition_count() + added > self.config.max_partitions
        {
            return Err(Refusal::new(
                ResponseError::PolicyViolation,
                "there would be too many partitions",
            ));
        }
        Ok(())
    }

    fn check_assignments(&self, new: &NewTopic) -> Result<(usize, usize), Refusal> {
        if new.partitions != -1 || new.replication_factor != -1 {
            return Err(Refusal::new(
                ResponseError::InvalidRequest,
                "a topic has either assignments, or numbers of partitions and replicas",
            ));
        }
        self.check_room(new.assignments.len(), new.assignments.len())?;
        let replicas = self.check_replicas(&new.assignments)?;
        Ok((new.assignments.len(), replicas))
    }

    /// Checks that assignments name nodes that there are, each once a partition, and as many for each.
    pub(crate) fn check_replicas(&self, assignments: &[Vec<i32>]) -> Result<usize, Refusal> {
        let invalid = |message: &str| {
            Err(Refusal::new(
                ResponseError::InvalidReplicaAssignment,
                message,
            ))
        };
        let replicas = assignments.first().map_or(0, Vec::len);
        for assignment in assignments {
            let distinct: BTreeSet<_> = assignment.iter().collect();
            if assignment.is_empty() || distinct.len() != assignment.len() {
                return invalid("a partition needs replicas, each on another node");
            }
            if assignment.len() != replicas {
                return invalid("all partitions must have as many replicas");
            }
            if assignment.iter().any(|id| self.nodes.get(*id).is_none()) {
                return invalid("an assignment names a node that there is not");
            }
        }
        Ok(replicas)
    }

    /// Makes a topic.
    pub(crate) fn create_topic(&self, new: &NewTopic) -> Result<Arc<Topic>, Refusal> {
        let _changes = self.changes();
        let (partitions, replicas) = self.check_topic(new)?;
        let placement = if new.assignments.is_empty() {
            self.place(partitions, replicas)
        } else {
            new.assignments.clone()
        };
        let partitions = placement
            .into_iter()
            .map(|replicas| self.new_partition(replicas))
            .collect();
        let config = TopicConfig::new(self.topic_defaults(), new.overrides.clone());
        let topic = Arc::new(Topic::new(&new.name, config, partitions));
        if !self.topics.insert(Arc::clone(&topic)) {
            return Err(already_exists(&new.name));
        }
        tracing::info!(
            topic = new.name,
            partitions = topic.partition_count(),
            "created a topic"
        );
        Ok(topic)
    }

    /// Deletes a topic and what was committed for it; `false` when there is none of this name.
    pub(crate) fn delete_topic(&self, name: &str) -> bool {
        let _changes = self.changes();
        if self.topics.remove(name).is_none() {
            return false;
        }
        self.groups.forget_topic(name);
        tracing::info!(topic = name, "deleted a topic");
        true
    }

    /// Grows a topic to `count` partitions.
    pub(crate) fn grow_topic(
        &self,
        name: &str,
        count: i32,
        assignments: Option<Vec<Vec<i32>>>,
        validate_only: bool,
    ) -> Result<(), Refusal> {
        let _changes = self.changes();
        let topic = self.topics.get(name).ok_or_else(|| {
            Refusal::new(
                ResponseError::UnknownTopicOrPartition,
                "there is no such topic",
            )
        })?;
        let present = topic.partition_count();
        let added = usize::try_from(count)
            .ok()
            .and_then(|count| count.checked_sub(present))
            .filter(|added| *added > 0)
            .ok_or_else(|| {
                Refusal::new(
                    ResponseError::InvalidPartitions,
                    format!(
                        "topic {name} has {present} partitions: {count} would not be an increase"
                    ),
                )
            })?;
        self.check_room(present + added, added)?;
        let placement = match assignments {
            Some(assignments) => {
                if assignments.len() != added {
                    return Err(Refusal::new(
                        ResponseError::InvalidReplicaAssignment,
                        format!(
                            "{added} partitions are added, but {} assigned",
                            assignments.len()
                        ),
                    ));
                }
                self.check_replicas(&assignments)?;
                assignments
            }
            None => {
                let replicas = topic
                    .partition(0)
                    .map_or(1, |partition| partition.view().replicas.len());
                self.place(added, replicas)
            }
        };
        if validate_only {
            return Ok(());
        }
        let partitions = placement
            .into_iter()
            .map(|replicas| self.new_partition(replicas))
            .collect();
        if topic.add_partitions(present, partitions) {
            tracing::info!(topic = name, partitions = present + added, "grew a topic");
        }
        Ok(())
    }
}

fn already_exists(name: &str) -> Refusal {
    Refusal::new(
        ResponseError::TopicAlreadyExists,
        format!("topic '{name}' already exists"),
    )
}
