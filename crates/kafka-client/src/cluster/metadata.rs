//! A snapshot of the cluster: brokers, topics, partitions, leaders.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use kafka_wire::ResponseError;
use kafka_wire::messages::MetadataResponse;
use kafka_wire::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
use uuid::Uuid;

/// What is known of the cluster at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata {
    /// The cluster's id, once known.
    pub cluster_id: Option<String>,
    /// The broker that takes admin requests, if there is one.
    pub controller: Option<i32>,
    /// The brokers by id.
    pub brokers: BTreeMap<i32, BrokerAddress>,
    /// The topics that the client uses, or all while a group looks for topics by a pattern, by name; also those that could not be found, with the error.
    pub topics: HashMap<Arc<str>, Arc<TopicMetadata>>,
}

/// Where a broker listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerAddress {
    /// The broker's id.
    pub id: i32,
    /// Its advertised host.
    pub host: String,
    /// Its advertised port.
    pub port: u16,
    /// Its rack, if it told one.
    pub rack: Option<String>,
}

impl BrokerAddress {
    /// `host:port`, an IPv6 address in brackets.
    pub fn host_port(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// A topic.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicMetadata {
    /// Its name.
    pub name: Arc<str>,
    /// Its id (KIP-516); nil where the broker is too old for ids.
    pub id: Uuid,
    /// Whether it is one of Kafka's own.
    pub is_internal: bool,
    /// Its partitions; partition p is at index p.
    pub partitions: Vec<PartitionMetadata>,
    /// Why there are none.
    pub error: Option<ResponseError>,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionMetadata {
    /// Its number, from 0.
    pub partition: i32,
    /// The broker that leads it; none while one is being elected.
    pub leader: Option<i32>,
    /// The leader's epoch (KIP-320), −1 where unknown.
    pub leader_epoch: i32,
    /// The brokers that hold it.
    pub replicas: Vec<i32>,
    /// Those of them that are in sync.
    pub in_sync_replicas: Vec<i32>,
}

impl Metadata {
    /// This answer alone.
    pub(crate) fn of(response: MetadataResponse) -> Self {
        Self::merged(&Self::default(), response)
    }

    /// The answer had all topics that there are: others are gone, and of those that somebody uses this is noted.
    pub(super) fn forget_all_but(&mut self, listed: &BTreeSet<Arc<str>>, used: &[Arc<str>]) {
        self.topics.retain(|name, _| listed.contains(name));
        for name in used.iter().filter(|name| !listed.contains(*name)) {
            let gone = TopicMetadata {
                name: Arc::clone(name),
                id: Uuid::nil(),
                is_internal: false,
                partitions: Vec::new(),
                error: Some(ResponseError::UnknownTopicOrPartition),
            };
            self.topics.insert(Arc::clone(name), Arc::new(gone));
        }
    }

    /// A broker is at this address, which is all that whoever tells says of it.
    pub(super) fn learn(&mut self, node: i32, host: &str, port: u16) {
        let rack = self.brokers.remove(&node).and_then(|known| known.rack);
        let host = host.to_owned();
        let address = BrokerAddress {
            id: node,
            host,
            port,
            rack,
        };
        self.brokers.insert(node, address);
    }

    /// This answer, with what is known better kept.
    pub(super) fn merged(previous: &Self, response: MetadataResponse) -> Self {
        let brokers = response
            .brokers
            .into_iter()
            .map(|b| {
                let address = BrokerAddress {
                    id: b.node_id.0,
                    host: b.host.to_string(),
                    port: u16::try_from(b.port).unwrap_or_default(),
                    rack: b.rack.map(|r| r.to_string()),
                };
                (address.id, address)
            })
            .collect();
        let mut topics = previous.topics.clone();
        for topic in response.topics {
            let Some(name) = &topic.name else { continue };
            let name: Arc<str> = Arc::from(name.as_str());
            let merged = merge_topic(Arc::clone(&name), topics.get(&name).map(|t| &**t), &topic);
            topics.insert(name, Arc::new(merged));
        }
        Self {
            cluster_id: response.cluster_id.map(|id| id.to_string()),
            controller: (response.controller_id.0 >= 0).then_some(response.controller_id.0),
            brokers,
            topics,
        }
    }
}

fn merge_topic(
    name: Arc<str>,
    previous: Option<&TopicMetadata>,
    topic: &MetadataResponseTopic,
) -> TopicMetadata {
    let mut partitions: Vec<_> = topic.partitions.iter().map(partition_metadata).collect();
    partitions.sort_by_key(|p| p.partition);
    // Partition p is found at index p, so what lies behind a gap cannot be used.
    let contiguous = partitions
        .iter()
        .zip(0..)
        .take_while(|(p, index)| p.partition == *index)
        .count();
    partitions.truncate(contiguous);
    let error = ResponseError::try_from_code(topic.error_code);
    // The same topic (a deleted and re-made one starts its epochs anew) as a broker sees it that lags behind: its old
    // leader would only send us back and forth (KIP-320).
    if let Some(previous) = previous.filter(|p| p.id == topic.topic_id) {
        for (new, old) in partitions.iter_mut().zip(&previous.partitions) {
            if new.leader_epoch >= 0 && new.leader_epoch < old.leader_epoch {
                new.clone_from(old);
            }
        }
    }
    // A topic without partitions and without an error is still in the making.
    let error = error.or_else(|| {
        partitions
            .is_empty()
            .then_some(ResponseError::LeaderNotAvailable)
    });
    TopicMetadata {
        name,
        id: topic.topic_id,
        is_internal: topic.is_internal,
        partitions,
        error,
    }
}

fn partition_metadata(p: &MetadataResponsePartition) -> PartitionMetadata {
    PartitionMetadata {
        partition: p.partition_index,
        leader: (p.leader_id.0 >= 0).then_some(p.leader_id.0),
        leader_epoch: p.leader_epoch,
        replicas: p.replica_nodes.iter().map(|n| n.0).collect(),
        in_sync_replicas: p.isr_nodes.iter().map(|n| n.0).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_wire::StrBytes;
    use kafka_wire::messages::{BrokerId, TopicName};

    fn answer(id: u128, leaders: &[(i32, i32, i32)]) -> MetadataResponse {
        let partitions = leaders
            .iter()
            .map(|(partition, leader, epoch)| {
                MetadataResponsePartition::default()
                    .with_partition_index(*partition)
                    .with_leader_id(BrokerId(*leader))
                    .with_leader_epoch(*epoch)
            })
            .collect();
        MetadataResponse::default().with_topics(vec![
            MetadataResponseTopic::default()
                .with_name(Some(TopicName(StrBytes::from_static_str("t"))))
                .with_topic_id(Uuid::from_u128(id))
                .with_partitions(partitions),
        ])
    }

    fn leaders(metadata: &Metadata) -> Vec<(Option<i32>, i32)> {
        metadata.topics["t"]
            .partitions
            .iter()
            .map(|p| (p.leader, p.leader_epoch))
            .collect()
    }

    #[test]
    fn an_older_epoch_does_not_replace_a_newer_one() {
        let now = Metadata::merged(&Metadata::default(), answer(1, &[(1, 1, 5), (0, 1, 7)]));
        assert_eq!(leaders(&now), [(Some(1), 7), (Some(1), 5)]);
        let later = Metadata::merged(&now, answer(1, &[(0, 2, 6), (1, 2, 6)]));
        assert_eq!(leaders(&later), [(Some(1), 7), (Some(2), 6)]);
    }

    #[test]
    fn a_topic_made_anew_starts_its_epochs_anew() {
        let old = Metadata::merged(&Metadata::default(), answer(1, &[(0, 1, 7)]));
        let new = Metadata::merged(&old, answer(2, &[(0, 3, 0)]));
        assert_eq!(leaders(&new), [(Some(3), 0)]);
    }

    #[test]
    fn a_partition_without_a_leader_and_one_behind_a_gap() {
        let metadata = Metadata::merged(&Metadata::default(), answer(1, &[(0, -1, 0), (2, 1, 0)]));
        assert_eq!(leaders(&metadata), [(None, 0)]);
    }
}
