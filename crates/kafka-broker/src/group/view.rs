//! A group as it is described to tools.

use bytes::Bytes;
use kafka_wire::StrBytes;

use super::state::{Group, Phase};

/// A group as DescribeGroups shows it.
#[derive(Debug, Clone)]
pub(crate) struct GroupView {
    pub(crate) phase: Phase,
    pub(crate) generation: i32,
    pub(crate) protocol_type: StrBytes,
    pub(crate) protocol: StrBytes,
    pub(crate) leader: Option<StrBytes>,
    pub(crate) members: Vec<MemberView>,
}

/// A member of it. Metadata and assignment are empty while the group is not stable.
#[derive(Debug, Clone)]
pub(crate) struct MemberView {
    pub(crate) id: StrBytes,
    pub(crate) instance_id: Option<StrBytes>,
    pub(crate) client_id: StrBytes,
    pub(crate) client_host: StrBytes,
    pub(crate) metadata: Bytes,
    pub(crate) assignment: Bytes,
}

impl Group {
    pub(crate) fn view(&self) -> GroupView {
        let stable = self.phase == Phase::Stable;
        let protocol = self.protocol.clone().filter(|_| stable);
        let members = self
            .members
            .values()
            .map(|member| MemberView {
                id: member.id.clone(),
                instance_id: member.instance_id.clone(),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                metadata: member.metadata(protocol.as_ref()),
                assignment: if stable {
                    member.assignment.clone()
                } else {
                    Bytes::new()
                },
            })
            .collect();
        GroupView {
            phase: self.phase,
            generation: self.generation,
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol: protocol.unwrap_or_default(),
            leader: self.leader.clone(),
            members,
        }
    }

    /// The metadata of all members for their present protocol: what they subscribe to, in Kafka's consumer protocol.
    pub(crate) fn subscriptions(&self) -> Vec<Bytes> {
        self.members
            .values()
            .map(|member| {
                member
                    .protocols
                    .first()
                    .map(|(_, metadata)| metadata.clone())
                    .unwrap_or_default()
            })
            .collect()
    }
}
