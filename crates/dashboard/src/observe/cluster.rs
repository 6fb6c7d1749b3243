//! What the brokers tell: the cluster, its topics with their ends, its groups with what they have committed.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_client::{
    Admin, ClientError, ClusterDescription, GroupDescription, GroupListing, OffsetAt,
    TopicMetadata, TopicPartition,
};

use super::{MOST_READERS, PATIENCE, topics};
use crate::commits::{Committed, committed, consumer_groups, of_each};
use crate::snapshot::Broker;
use crate::tail::Extent;

/// The most topics that are told.
const MOST_TOPICS: usize = 200;
/// The most partitions of all of them.
const MOST_PARTITIONS: usize = 1_000;
/// What is noted of a group of KIP-848, which DescribeGroups does not know.
const UNTOLD: &str = "members are not told (KIP-848)";

/// What is known of the cluster; while it is away, what was known before.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) is_up: bool,
    pub(super) brokers: Vec<Broker>,
    pub(super) controller: Option<i32>,
    /// In the order in which they are told.
    pub(super) topics: Vec<TopicSeen>,
    /// By name.
    pub(super) groups: Vec<GroupSeen>,
}

/// A topic and its partitions, by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TopicSeen {
    pub(super) name: Arc<str>,
    pub(super) id: u128,
    pub(super) partitions: Vec<PartitionSeen>,
}

/// A partition and where its log begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PartitionSeen {
    pub(super) partition: i32,
    pub(super) leader: Option<i32>,
    pub(super) start: i64,
    /// None as long as nobody has told.
    pub(super) end: Option<i64>,
}

/// A group, and what it has committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GroupSeen {
    pub(super) description: GroupDescription,
    pub(super) committed: Committed,
    /// What is missing here, and why.
    pub(super) note: Option<String>,
}

/// Some of what there is, and how much more there would be.
#[derive(Debug)]
struct Cut<T> {
    items: Vec<T>,
    note: Option<String>,
}

/// What one look found; each part by itself.
#[derive(Debug)]
pub(super) struct Looked {
    cluster: Result<ClusterDescription, String>,
    topics: Result<Cut<TopicSeen>, String>,
    groups: Result<Cut<GroupSeen>, String>,
}

impl Seen {
    /// Takes over what was found, and returns what is wrong, or left out.
    pub(super) fn take(&mut self, looked: Looked) -> Option<String> {
        let mut trouble = Vec::new();
        self.is_up = looked.cluster.is_ok();
        match looked.cluster {
            Ok(cluster) => {
                self.controller = cluster.controller;
                self.brokers = cluster
                    .brokers
                    .iter()
                    .map(|broker| Broker {
                        id: broker.id,
                        address: broker.host_port(),
                    })
                    .collect();
            }
            // The other parts fail for the same reason.
            Err(error) => return Some(error),
        }
        match looked.topics {
            Ok(topics) => {
                self.topics = topics.items;
                trouble.extend(topics.note);
            }
            Err(error) => trouble.push(format!("the topics cannot be learned: {error}")),
        }
        match looked.groups {
            Ok(groups) => {
                self.groups = groups.items;
                trouble.extend(groups.note);
            }
            Err(error) => trouble.push(format!("the groups cannot be learned: {error}")),
        }
        (!trouble.is_empty()).then(|| trouble.join("; "))
    }

    /// How many partitions the topic has; none if it is gone, or left out.
    pub(super) fn partitions_of(&self, topic: &str) -> Option<usize> {
        let topic = self.topics.iter().find(|found| &*found.name == topic)?;
        Some(topic.partitions.len())
    }

    /// The partition, if it is known.
    pub(super) fn partition(&self, place: &TopicPartition) -> Option<&PartitionSeen> {
        let topic = self.topics.iter().find(|topic| topic.name == place.topic)?;
        topic
            .partitions
            .iter()
            .find(|found| found.partition == place.partition)
    }

    /// The partitions whose last records are read: those of the first topics, as they are told.
    pub(super) fn extents(&self) -> Vec<Extent> {
        let all = self.topics.iter().flat_map(|topic| {
            let extent = |found: &PartitionSeen| topic.extent(found);
            topic.partitions.iter().filter_map(extent)
        });
        all.take(MOST_READERS).collect()
    }
}

impl TopicSeen {
    /// None where its end is not known.
    pub(super) fn extent(&self, of: &PartitionSeen) -> Option<Extent> {
        Some(Extent {
            place: TopicPartition::new(Arc::clone(&self.name), of.partition),
            topic_id: self.id,
            start: of.start,
            end: of.end?,
        })
    }
}

/// Looks; ends within [`PATIENCE`] or a little more.
pub(super) async fn look(admin: &Admin, before: &Seen) -> Looked {
    let (cluster, topics, groups) = tokio::join!(
        bounded(admin.describe_cluster()),
        bounded(look_at_topics(admin, before)),
        bounded(look_at_groups(admin, before)),
    );
    Looked {
        cluster,
        topics,
        groups,
    }
}

async fn bounded<T>(looking: impl Future<Output = Result<T, ClientError>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, looking).await {
        Ok(looked) => looked.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs_f32())),
    }
}

async fn look_at_topics(admin: &Admin, before: &Seen) -> Result<Cut<TopicSeen>, ClientError> {
    let listed = admin.list_topics().await?;
    let mut names: Vec<&str> = listed
        .iter()
        .filter(|topic| !topic.is_internal)
        .map(|topic| &*topic.name)
        .collect();
    names.sort_by_key(|name| topics::place(name));
    let (there, mut room) = (names.len(), MOST_PARTITIONS);
    names.truncate(MOST_TOPICS);
    let mut found: Vec<TopicMetadata> = Vec::with_capacity(names.len());
    for (_, topic) in admin.describe_topics(&names).await? {
        // One that is deleted just now is not there any more.
        if let Ok(topic) = topic
            && topic.partitions.len() <= room
        {
            room -= topic.partitions.len();
            found.push(topic);
        }
    }
    let led: Vec<TopicPartition> = found
        .iter()
        .flat_map(|topic| {
            let led = topic.partitions.iter().filter(|p| p.leader.is_some());
            led.map(|p| TopicPartition::new(Arc::clone(&topic.name), p.partition))
        })
        .collect();
    let (starts, ends) = tokio::try_join!(
        offsets(admin, &led, OffsetAt::Earliest),
        offsets(admin, &led, OffsetAt::Latest)
    )?;
    let items: Vec<TopicSeen> = found
        .iter()
        .map(|topic| with_ends(topic, &starts, &ends, before))
        .collect();
    let told = items.len();
    let note = (told < there).then(|| format!("only {told} of {there} topics are shown"));
    Ok(Cut { items, note })
}

async fn offsets(
    admin: &Admin,
    partitions: &[TopicPartition],
    at: OffsetAt,
) -> Result<BTreeMap<TopicPartition, i64>, ClientError> {
    if partitions.is_empty() {
        return Ok(BTreeMap::new());
    }
    let listed = admin.list_offsets(partitions, at).await?;
    let known = listed
        .into_iter()
        .filter_map(|(place, found)| Some((place, found.ok()?.offset?)));
    Ok(known.collect())
}

/// A partition whose ends nobody tells now, for want of a leader, has those that it had before.
fn with_ends(
    topic: &TopicMetadata,
    starts: &BTreeMap<TopicPartition, i64>,
    ends: &BTreeMap<TopicPartition, i64>,
    before: &Seen,
) -> TopicSeen {
    let partitions = topic.partitions.iter().map(|described| {
        let place = TopicPartition::new(Arc::clone(&topic.name), described.partition);
        let known = before.partition(&place);
        let start = starts.get(&place).copied();
        let end = ends.get(&place).copied();
        let end = end.or(known.and_then(|it| it.end));
        let start = start.or(known.map(|it| it.start)).or(end);
        PartitionSeen {
            partition: described.partition,
            leader: described.leader,
            start: start.unwrap_or_default(),
            end,
        }
    });
    TopicSeen {
        name: Arc::clone(&topic.name),
        id: topic.id.as_u128(),
        partitions: partitions.collect(),
    }
}

async fn look_at_groups(admin: &Admin, before: &Seen) -> Result<Cut<GroupSeen>, ClientError> {
    let (listed, there) = consumer_groups(admin).await?;
    let items = of_each(listed, |listing| async move {
        let (described, committed) = tokio::join!(
            admin.describe_listed(&listing),
            committed(admin, &listing.group)
        );
        let mut known = before.groups.iter();
        let before = known.find(|known| known.description.group == listing.group);
        group_seen(listing, described, committed, before)
    });
    let items = items.await;
    let told = items.len();
    let note = (told < there).then(|| format!("only {told} of {there} groups are shown"));
    Ok(Cut { items, note })
}

/// A group as far as its coordinator tells; what it does not tell is as it was `before`.
fn group_seen(
    listing: GroupListing,
    described: Result<GroupDescription, ClientError>,
    committed: Result<Committed, ClientError>,
    before: Option<&GroupSeen>,
) -> GroupSeen {
    let error = described.as_ref().err().or(committed.as_ref().err());
    let unasked = error.map(|error| format!("it could not be asked: {error}"));
    let description = described.unwrap_or_else(|_| match before {
        Some(before) => before.description.clone(),
        None => GroupDescription {
            group: listing.group,
            state: listing.state,
            protocol_type: listing.protocol_type,
            protocol: String::new(),
            members: Vec::new(),
            members_told: false,
        },
    });
    let untold = (!description.members_told).then(|| UNTOLD.to_owned());
    GroupSeen {
        note: unasked.or(untold),
        description,
        committed: committed
            .unwrap_or_else(|_| before.map(|it| it.committed.clone()).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use kafka_client::ResponseError;

    use super::*;

    fn listing(state: &str) -> GroupListing {
        GroupListing {
            group: "g".to_owned(),
            protocol_type: "consumer".to_owned(),
            state: state.to_owned(),
        }
    }

    fn description(state: &str, members_told: bool) -> GroupDescription {
        GroupDescription {
            group: "g".to_owned(),
            state: state.to_owned(),
            protocol_type: "consumer".to_owned(),
            protocol: "range".to_owned(),
            members: Vec::new(),
            members_told,
        }
    }

    fn failed() -> ClientError {
        ClientError::Broker {
            api: "OffsetFetch",
            subject: "g".to_owned(),
            code: ResponseError::CoordinatorNotAvailable,
            message: None,
        }
    }

    #[test]
    fn a_group_that_cannot_be_asked_is_as_it_was_seen_last() {
        let committed = Committed::from([(TopicPartition::new("t", 0), 3)]);
        let seen = group_seen(
            listing("Stable"),
            Ok(description("Stable", true)),
            Ok(committed.clone()),
            None,
        );
        assert_eq!(seen.note, None);
        let described = Ok(description("Empty", true));
        let half = group_seen(listing("Empty"), described, Err(failed()), Some(&seen));
        assert_eq!(half.description.state, "Empty");
        assert_eq!(half.committed, committed);
        let none = group_seen(listing("Empty"), Err(failed()), Err(failed()), Some(&seen));
        assert_eq!(none.description, seen.description);
        for seen in [half, none] {
            let note = seen.note.unwrap();
            assert!(note.starts_with("it could not be asked: "), "{note}");
        }
    }

    #[test]
    fn a_group_whose_members_are_hidden_says_so() {
        let described = Ok(description("Stable", false));
        let seen = group_seen(listing("Stable"), described, Ok(Committed::new()), None);
        assert_eq!(seen.description.state, "Stable");
        assert_eq!(seen.note.as_deref(), Some(UNTOLD));
    }
}
