//! What the brokers tell: the cluster, its topics with their ends, its groups with what they have committed.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use kafka_client::{
    Admin, ClientError, ClusterDescription, GroupDescription, OffsetAt, TopicMetadata,
    TopicPartition,
};

use super::{MOST_READERS, PATIENCE, topics};
use crate::snapshot::Broker;
use crate::tail::Extent;

/// The most topics that are told.
const MOST_TOPICS: usize = 200;
/// The most partitions of all of them.
const MOST_PARTITIONS: usize = 1_000;
/// The most groups that are told.
const MOST_GROUPS: usize = 100;
/// Groups that are asked for at the same time.
const GROUPS_AT_ONCE: usize = 16;

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
    pub(super) end: i64,
}

/// A group, and what it has committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GroupSeen {
    pub(super) description: GroupDescription,
    pub(super) committed: BTreeMap<TopicPartition, i64>,
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
            topic.partitions.iter().map(extent)
        });
        all.take(MOST_READERS).collect()
    }
}

impl TopicSeen {
    pub(super) fn extent(&self, of: &PartitionSeen) -> Extent {
        Extent {
            place: TopicPartition::new(Arc::clone(&self.name), of.partition),
            topic_id: self.id,
            start: of.start,
            end: of.end,
        }
    }

    /// How many records were ever written, as far as the offsets tell.
    pub(super) fn written(&self) -> i64 {
        self.partitions.iter().map(|found| found.end).sum()
    }
}

/// Looks; ends within [`PATIENCE`] or a little more.
pub(super) async fn look(admin: &Admin, before: &Seen) -> Looked {
    let (cluster, topics, groups) = tokio::join!(
        bounded(admin.describe_cluster()),
        bounded(look_at_topics(admin, before)),
        bounded(look_at_groups(admin)),
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
        PartitionSeen {
            partition: described.partition,
            leader: described.leader,
            start: start.or(known.map(|it| it.start)).unwrap_or_default(),
            end: end.or(known.map(|it| it.end)).unwrap_or_default(),
        }
    });
    TopicSeen {
        name: Arc::clone(&topic.name),
        id: topic.id.as_u128(),
        partitions: partitions.collect(),
    }
}

async fn look_at_groups(admin: &Admin) -> Result<Cut<GroupSeen>, ClientError> {
    let listed = admin.list_groups().await?;
    let there = listed.len();
    let names = listed
        .into_iter()
        .filter(|group| ["consumer", ""].contains(&group.protocol_type.as_str()))
        .map(|group| group.group)
        .take(MOST_GROUPS);
    let asked = stream::iter(names.map(|group| look_at_group(admin.clone(), group)));
    let items: Vec<Option<GroupSeen>> = asked.buffered(GROUPS_AT_ONCE).collect().await;
    let told = items.len();
    let note = (there > MOST_GROUPS).then(|| format!("only {told} of {there} groups are shown"));
    Ok(Cut {
        items: items.into_iter().flatten().collect(),
        note,
    })
}

/// None for a group that is gone, or whose coordinator does not tell.
async fn look_at_group(admin: Admin, group: String) -> Option<GroupSeen> {
    let names = [group.as_str()];
    let (described, committed) =
        tokio::join!(admin.describe_groups(&names), admin.group_offsets(&group));
    let (_, description) = described.into_iter().next()?;
    let committed = committed.ok()?;
    Some(GroupSeen {
        description: description.ok()?,
        committed: committed
            .into_iter()
            .map(|(place, committed)| (place, committed.offset))
            .collect(),
    })
}
