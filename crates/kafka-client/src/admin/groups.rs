//! Consumer groups: list, describe, delete.

use std::sync::Arc;

use bytes::Buf;
use futures_util::future::join_all;
use kafka_wire::messages::describe_groups_response::DescribedGroupMember;
use kafka_wire::messages::{
    ConsumerProtocolAssignment, DeleteGroupsRequest, DescribeGroupsRequest, GroupId,
    ListGroupsRequest,
};
use kafka_wire::{Decodable, ResponseError};

use super::{Admin, PerItem, check, text, unanswered};
use crate::error::ClientError;
use crate::topic_partition::TopicPartition;

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
    /// The partitions that it was assigned.
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
        let asked = groups.iter().map(|group| async move {
            let what = format!("describing group {group}");
            let description = self
                .attempts(&what, self.patience(), || self.describe_group_once(group))
                .await;
            ((*group).to_owned(), description)
        });
        join_all(asked).await
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
            members: found.members.iter().map(member).collect(),
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

    /// The group's members, or none if there is no such group.
    pub(super) async fn members_of(&self, group: &str) -> Result<Vec<GroupMember>, ClientError> {
        let what = format!("describing group {group}");
        let described = self
            .attempts(&what, self.patience(), || self.describe_group_once(group))
            .await;
        match described {
            Ok(description) => Ok(description.members),
            Err(ClientError::Broker {
                code: ResponseError::GroupIdNotFound,
                ..
            }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

fn member(member: &DescribedGroupMember) -> GroupMember {
    GroupMember {
        member_id: member.member_id.to_string(),
        group_instance_id: member.group_instance_id.as_ref().map(ToString::to_string),
        client_id: member.client_id.to_string(),
        client_host: member.client_host.to_string(),
        assignment: assignment(&member.member_assignment).unwrap_or_default(),
    }
}

/// What `ConsumerProtocolAssignment` says. Groups of other kinds (Kafka Connect) write other things there: no partitions then.
fn assignment(bytes: &bytes::Bytes) -> Option<Vec<TopicPartition>> {
    let mut bytes = bytes.clone();
    let version = bytes.try_get_i16().ok()?;
    // Versions so far add nothing at the front, so a later one is read as the latest known (KIP-429).
    let version = version.clamp(0, 3);
    let decoded = ConsumerProtocolAssignment::decode(&mut bytes, version).ok()?;
    let mut partitions: Vec<_> = decoded
        .assigned_partitions
        .iter()
        .flat_map(|topic| {
            let name: Arc<str> = Arc::from(topic.topic.0.as_str());
            topic
                .partitions
                .iter()
                .map(move |p| TopicPartition::new(Arc::clone(&name), *p))
        })
        .collect();
    partitions.sort();
    Some(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BufMut;
    use kafka_wire::Encodable;
    use kafka_wire::messages::TopicName;
    use kafka_wire::messages::consumer_protocol_assignment::TopicPartition as Assigned;

    #[test]
    fn an_assignment_is_read_in_every_version_and_rubbish_is_none() {
        let assigned = ConsumerProtocolAssignment::default().with_assigned_partitions(vec![
            Assigned::default()
                .with_topic(TopicName(text("t")))
                .with_partitions(vec![2, 0]),
        ]);
        for version in 0..=3 {
            let mut bytes = bytes::BytesMut::new();
            bytes.put_i16(version);
            assigned.encode(&mut bytes, version).unwrap();
            assert_eq!(
                assignment(&bytes.freeze()).unwrap(),
                [TopicPartition::new("t", 0), TopicPartition::new("t", 2)]
            );
        }
        assert_eq!(assignment(&bytes::Bytes::new()), None);
        assert_eq!(assignment(&bytes::Bytes::from_static(&[0, 1, 0xff])), None);
    }
}
