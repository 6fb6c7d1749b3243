//! Consumer groups: list, describe, delete.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;
use kafka_wire::ResponseError;
use kafka_wire::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_wire::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, GroupId, ListGroupsRequest,
};

use super::{Admin, PerItem, check, text, unanswered};
use crate::error::ClientError;
use crate::group::protocol::decode_assignment;
use crate::topic_partition::TopicPartition;

/// The protocol type of consumer groups.
const CONSUMERS: &str = "consumer";

/// The state of a group that is not there.
const DEAD: &str = "Dead";

/// A group in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupListing {
    /// Its id.
    pub group: String,
    /// `consumer` for consumer groups; empty for one that only stores offsets.
    pub protocol_type: String,
    /// Its state (`Stable`, `Empty`, …); empty where the broker does not tell.
    pub state: String,
}

impl GroupListing {
    /// The group as far as the list tells.
    fn alone(&self) -> GroupDescription {
        let state = if self.state.is_empty() {
            DEAD
        } else {
            &self.state
        };
        GroupDescription {
            state: state.to_owned(),
            protocol_type: self.protocol_type.clone(),
            members_told: [DEAD, "Empty"].contains(&state),
            ..GroupDescription::unknown(&self.group)
        }
    }
}

/// A group, its members and what they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDescription {
    /// Its id.
    pub group: String,
    /// `Stable`, `Empty`, `PreparingRebalance`, `CompletingRebalance` or `Dead` (also that of a group that does not exist).
    pub state: String,
    /// `consumer` for consumer groups.
    pub protocol_type: String,
    /// The assignor that the group agreed on.
    pub protocol: String,
    /// Its members.
    pub members: Vec<GroupMember>,
    /// Whether `members` are all that there are. A live group of KIP-848 has members that DescribeGroups (up to version 5, which is what
    /// is asked) does not know; only [`describe_listed`](Admin::describe_listed) notices.
    pub members_told: bool,
}

impl GroupDescription {
    /// A group that is not there.
    pub(super) fn unknown(group: &str) -> Self {
        Self {
            group: group.to_owned(),
            state: DEAD.to_owned(),
            protocol_type: String::new(),
            protocol: String::new(),
            members: Vec::new(),
            members_told: true,
        }
    }

    /// The partitions whose lag is the group's: those that it has committed and those that its members hold. Of a consumer group also the others
    /// of the same topics, for its members subscribe to topics. What lies there is counted as if the group read it: where it would begin
    /// (`auto_offset_reset`), and whether it still subscribes to the topic, no broker tells. A group that only stores offsets (no protocol
    /// type) reads what its owner chooses, so nothing is added to what it has committed.
    ///
    /// `partitions_of` tells how many partitions a topic has, none if it is not there. What is not there is left out.
    pub fn partitions_read<'a>(
        &'a self,
        committed: impl IntoIterator<Item = &'a TopicPartition>,
        partitions_of: impl Fn(&str) -> Option<usize>,
    ) -> BTreeSet<TopicPartition> {
        let named = self.named(committed);
        let topics: BTreeSet<&Arc<str>> = named.iter().map(|it| &it.topic).collect();
        let mut read = BTreeSet::new();
        for topic in topics {
            let there = partitions_of(topic).unwrap_or_default();
            let all = (0..i32::try_from(there).unwrap_or(i32::MAX))
                .map(|partition| TopicPartition::new(Arc::clone(topic), partition));
            let whole = self.protocol_type == CONSUMERS;
            read.extend(all.filter(|partition| whole || named.contains(partition)));
        }
        read
    }

    /// What it has committed, and what its members hold.
    pub(super) fn named<'a>(
        &'a self,
        committed: impl IntoIterator<Item = &'a TopicPartition>,
    ) -> BTreeSet<&'a TopicPartition> {
        let held = self.members.iter().flat_map(|member| &member.assignment);
        committed.into_iter().chain(held).collect()
    }
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// The id that the coordinator gave it.
    pub member_id: String,
    /// Its `group.instance.id`, if it is static (KIP-345).
    pub group_instance_id: Option<String>,
    /// Its client id.
    pub client_id: String,
    /// Where it comes from.
    pub client_host: String,
    /// The partitions that it was assigned; none in a group of another kind than `consumer`.
    pub assignment: Vec<TopicPartition>,
}

impl Admin {
    /// All groups of all brokers, by id.
    ///
    /// # Errors
    ///
    /// When a broker does not answer: the list would not be whole.
    pub async fn list_groups(&self) -> Result<Vec<GroupListing>, ClientError> {
        self.attempts("listing groups", self.patience(), || async {
            let brokers = self.brokers().await?;
            let asked = brokers.into_iter().map(|node| async move {
                self.ask_broker(node, ListGroupsRequest::default()).await
            });
            let mut groups = Vec::new();
            for response in join_all(asked).await {
                let response = response?;
                check("ListGroups", "groups", response.error_code, None)?;
                groups.extend(response.groups.into_iter().map(|g| GroupListing {
                    group: g.group_id.0.to_string(),
                    protocol_type: g.protocol_type.to_string(),
                    state: g.group_state.to_string(),
                }));
            }
            groups.sort_by(|a, b| a.group.cmp(&b.group));
            groups.dedup_by(|a, b| a.group == b.group);
            Ok(groups)
        })
        .await
    }

    /// Describes groups with their members and what these are assigned.
    ///
    /// # Errors
    ///
    /// Each group has its own result. One that does not exist is `Dead` and has no members; newer brokers say `GroupIdNotFound`.
    pub async fn describe_groups(&self, groups: &[&str]) -> PerItem<String, GroupDescription> {
        let asked = groups
            .iter()
            .map(|group| async move { ((*group).to_owned(), self.describe_group(group).await) });
        join_all(asked).await
    }

    /// Describes a group of the [list](Self::list_groups). DescribeGroups takes a live group of KIP-848 for `Dead`; the state is then that of
    /// the list, and `members_told` is false unless the list calls it `Empty` or `Dead`, or has no states.
    ///
    /// # Errors
    ///
    /// When its coordinator does not tell.
    pub async fn describe_listed(
        &self,
        listing: &GroupListing,
    ) -> Result<GroupDescription, ClientError> {
        let known = self.describe_known(&listing.group).await?;
        Ok(known.unwrap_or_else(|| listing.alone()))
    }

    /// Describes a group, as [`describe_listed`](Self::describe_listed) does if it is in the list.
    pub(super) async fn describe(&self, group: &str) -> Result<GroupDescription, ClientError> {
        if let Some(known) = self.describe_known(group).await? {
            return Ok(known);
        }
        let listed = self.list_groups().await?;
        let listed = listed.iter().find(|listing| listing.group == group);
        Ok(listed.map_or_else(|| GroupDescription::unknown(group), GroupListing::alone))
    }

    /// None for one that DescribeGroups does not know: it says `Dead`, or, in newer versions, that there is no such group.
    async fn describe_known(&self, group: &str) -> Result<Option<GroupDescription>, ClientError> {
        match self.describe_group(group).await {
            Ok(description) if description.state != DEAD => Ok(Some(description)),
            Ok(_)
            | Err(ClientError::Broker {
                code: ResponseError::GroupIdNotFound,
                ..
            }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn describe_group(&self, group: &str) -> Result<GroupDescription, ClientError> {
        let what = format!("describing group {group}");
        self.attempts(&what, self.patience(), || self.describe_group_once(group))
            .await
    }

    async fn describe_group_once(&self, group: &str) -> Result<GroupDescription, ClientError> {
        let request = DescribeGroupsRequest::default().with_groups(vec![GroupId(text(group))]);
        let response = self.ask_coordinator(group, request).await?;
        let found = response
            .groups
            .into_iter()
            .find(|g| *g.group_id.0 == *group)
            .ok_or_else(|| unanswered("DescribeGroups", group))?;
        check(
            "DescribeGroups",
            group,
            found.error_code,
            found.error_message.as_ref(),
        )?;
        Ok(GroupDescription {
            group: group.to_owned(),
            state: found.group_state.to_string(),
            protocol_type: found.protocol_type.to_string(),
            protocol: found.protocol_data.to_string(),
            members: members(&found),
            members_told: true,
        })
    }

    /// Deletes groups and their committed offsets. They must have no members.
    ///
    /// # Errors
    ///
    /// Each group has its own result: `NonEmptyGroup`, `GroupIdNotFound`.
    pub async fn delete_groups(&self, groups: &[&str]) -> PerItem<String, ()> {
        let asked = groups.iter().map(|group| async move {
            let what = format!("deleting group {group}");
            let deleted = self
                .attempts(&what, self.patience(), || async {
                    let request = DeleteGroupsRequest::default()
                        .with_groups_names(vec![GroupId(text(group))]);
                    let response = self.ask_coordinator(group, request).await?;
                    let found = response
                        .results
                        .iter()
                        .find(|g| *g.group_id.0 == **group)
                        .ok_or_else(|| unanswered("DeleteGroups", *group))?;
                    check("DeleteGroups", *group, found.error_code, None)
                })
                .await;
            ((*group).to_owned(), deleted)
        });
        join_all(asked).await
    }
}

fn members(group: &DescribedGroup) -> Vec<GroupMember> {
    let of_consumers = &*group.protocol_type == CONSUMERS;
    let members = group.members.iter();
    members.map(|m| member(of_consumers, m)).collect()
}

/// Only the members of a consumer group have assignments that can be read: those of other kinds (Kafka Connect) write bytes of
/// their own, which may look like one.
fn member(of_consumers: bool, member: &DescribedGroupMember) -> GroupMember {
    GroupMember {
        member_id: member.member_id.to_string(),
        group_instance_id: member.group_instance_id.as_ref().map(ToString::to_string),
        client_id: member.client_id.to_string(),
        client_host: member.client_host.to_string(),
        assignment: if of_consumers {
            assignment(&member.member_assignment)
        } else {
            Vec::new()
        },
    }
}

/// The partitions of an assignment, sorted; none where the bytes are not one.
fn assignment(bytes: &bytes::Bytes) -> Vec<TopicPartition> {
    let decoded = decode_assignment(bytes.clone());
    let mut partitions = decoded.unwrap_or_else(|error| {
        tracing::debug!(%error, "cannot read what a member is assigned");
        Vec::new()
    });
    partitions.sort();
    partitions
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version 1, t-2 and t-0, no user data.
    const ASSIGNED: &[u8] = &[
        0, 1, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,
    ];

    fn assigned(protocol_type: &str, bytes: &'static [u8]) -> Vec<TopicPartition> {
        let bytes = bytes::Bytes::from_static(bytes);
        let described = DescribedGroup::default()
            .with_protocol_type(text(protocol_type))
            .with_members(vec![
                DescribedGroupMember::default().with_member_assignment(bytes),
            ]);
        let mut members = members(&described);
        assert_eq!(members.len(), 1);
        members.remove(0).assignment
    }

    #[test]
    fn an_assignment_is_read_and_rubbish_is_none() {
        let tp = |partition| TopicPartition::new("t", partition);
        assert_eq!(assigned("consumer", ASSIGNED), [tp(0), tp(2)]);
        assert_eq!(assigned("consumer", &[]), []);
        assert_eq!(assigned("consumer", &[0, 1, 0xff]), []);
    }

    #[test]
    fn a_live_group_that_is_not_described_has_members_that_are_not_told() {
        for (state, expected, told) in [
            ("Stable", "Stable", false),
            ("Reconciling", "Reconciling", false),
            ("Empty", "Empty", true),
            ("Dead", "Dead", true),
            ("", "Dead", true),
        ] {
            let listing = GroupListing {
                group: "g".to_owned(),
                protocol_type: CONSUMERS.to_owned(),
                state: state.to_owned(),
            };
            let alone = listing.alone();
            assert_eq!((&*alone.state, alone.members_told), (expected, told));
        }
    }

    #[test]
    fn what_a_group_of_consumers_has_not_committed_of_its_topics_waits_for_it() {
        let partition = |topic: &str, partition| TopicPartition::new(topic, partition);
        let committed = [partition("a", 1), partition("gone", 0), partition("a", 9)];
        let mut group = GroupDescription::unknown("g");
        group.members.push(GroupMember {
            member_id: "m".to_owned(),
            group_instance_id: None,
            client_id: "c".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            assignment: vec![partition("b", 0)],
        });
        let there = |topic: &str| (topic != "gone").then_some(2);
        let read = |group: &GroupDescription| -> Vec<String> {
            let read = group.partitions_read(&committed, there).into_iter();
            read.map(|partition| partition.to_string()).collect()
        };
        assert_eq!(read(&group), ["a-1", "b-0"]);
        group.protocol_type = CONSUMERS.to_owned();
        assert_eq!(read(&group), ["a-0", "a-1", "b-0", "b-1"]);
        // One of KIP-848, of which only the list tells.
        let listed = GroupListing {
            group: "g".to_owned(),
            protocol_type: CONSUMERS.to_owned(),
            state: "Stable".to_owned(),
        };
        assert_eq!(read(&listed.alone()), ["a-0", "a-1"]);
    }

    #[test]
    fn elements_that_are_not_there_take_no_memory() {
        // So many topics, and a topic of so many partitions.
        let topics = &[0, 1, 0x7f, 0xff, 0xff, 0xff, 0, 1, b't'];
        let partitions = &[0, 1, 0, 0, 0, 1, 0, 1, b't', 0x7f, 0xff, 0xff, 0xff];
        assert_eq!(assigned("consumer", topics), []);
        assert_eq!(assigned("consumer", partitions), []);
    }

    #[test]
    fn what_members_of_other_kinds_write_is_not_read() {
        assert_eq!(assigned("connect", ASSIGNED), []);
        assert_eq!(assigned("", ASSIGNED), []);
    }
}
