//! Groups as they are told: what the brokers say of them, joined with what their members say of themselves.

use std::collections::BTreeMap;

use kafka_client::TopicPartition;

use super::cluster::{GroupSeen, PartitionSeen, Seen};
use super::instances::MemberSeen;
use crate::snapshot::{self, Group, GroupOffset, Member};

/// The most members that are told of a group.
const MOST_MEMBERS: usize = 200;
/// The most partitions that are told of a group, and of its members together.
const MOST_OFFSETS: usize = 1_000;

/// Every group, by name.
pub(super) fn told(seen: &Seen, members: &[MemberSeen]) -> Vec<Group> {
    let told = seen.groups.iter().map(|group| one(group, seen, members));
    told.collect()
}

fn one(group: &GroupSeen, seen: &Seen, known: &[MemberSeen]) -> Group {
    let description = &group.description;
    let known: Vec<&MemberSeen> = known
        .iter()
        .filter(|member| member.group == description.group)
        .collect();
    let of_id = |id: &str| known.iter().find(|member| member.member_id == id);
    let mut members: Vec<Member> = description
        .members
        .iter()
        .map(|member| {
            let known = of_id(&member.member_id);
            let mut partitions: Vec<snapshot::TopicPartition> =
                member.assignment.iter().map(place).collect();
            partitions.sort();
            Member {
                member_id: member.member_id.clone(),
                instance_id: member.group_instance_id.clone(),
                client_id: member.client_id.clone(),
                host: member.client_host.clone(),
                instance: known.map(|known| known.instance.clone()),
                phase: known.map(|known| known.phase.clone()),
                partitions,
            }
        })
        .collect();
    members.sort_by(|a, b| a.member_id.cmp(&b.member_id));
    members.truncate(MOST_MEMBERS);
    let mut room = MOST_OFFSETS;
    for member in &mut members {
        member.partitions.truncate(room);
        room -= member.partitions.len();
    }
    // A member that is behind the others has not heard of the last rebalance yet.
    let generation = members
        .iter()
        .filter_map(|member| of_id(&member.member_id)?.generation)
        .max();
    let (offsets, lag) = offsets(group, seen, &known);
    Group {
        group: description.group.clone(),
        state: description.state.clone(),
        note: group.note.clone(),
        protocol: description.protocol.clone(),
        generation,
        lag,
        members,
        offsets,
    }
}

/// A row for each partition that the group has read or has yet to read; and the lag of all of them, also of those that are too many to be
/// told.
fn offsets(group: &GroupSeen, seen: &Seen, known: &[&MemberSeen]) -> (Vec<GroupOffset>, i64) {
    let readers: BTreeMap<&TopicPartition, &str> = group
        .description
        .members
        .iter()
        .flat_map(|member| {
            let held = member.assignment.iter();
            held.map(|place| (place, member.member_id.as_str()))
        })
        .collect();
    let places = group
        .description
        .partitions_read(group.committed.keys(), |topic| seen.partitions_of(topic));
    let (mut rows, mut all) = (Vec::new(), 0);
    for place in &places {
        // Never: each was counted by `partitions_of`, in the same look.
        let Some(extent) = seen.partition(place) else {
            continue;
        };
        let committed = group.committed.get(place).copied();
        let lag = lag(committed, extent);
        all += lag;
        if rows.len() == MOST_OFFSETS {
            continue;
        }
        let reader = readers.get(place).copied();
        // Another instance may think that it still holds what it has lost.
        let held = known
            .iter()
            .find(|member| reader == Some(member.member_id.as_str()))
            .and_then(|member| member.held.get(place));
        rows.push(GroupOffset {
            topic: place.topic.to_string(),
            partition: place.partition,
            committed,
            position: held.and_then(|held| held.position),
            end: extent.end.unwrap_or(extent.start),
            lag,
            paused: held.is_some_and(|held| held.paused),
            member: reader.map(str::to_owned),
        });
    }
    (rows, all)
}

/// Without a commit, everything that is there; 0 where nobody tells how much that is.
fn lag(committed: Option<i64>, extent: &PartitionSeen) -> i64 {
    let from = committed.unwrap_or(extent.start).max(extent.start);
    extent.end.map_or(0, |end| (end - from).max(0))
}

fn place(of: &TopicPartition) -> snapshot::TopicPartition {
    snapshot::TopicPartition {
        topic: of.topic.to_string(),
        partition: of.partition,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kafka_client::{GroupDescription, GroupMember};

    use super::*;
    use crate::observe::cluster::TopicSeen;
    use crate::observe::instances::Held;

    fn seen() -> Seen {
        let member = |id: &str, partition| GroupMember {
            member_id: id.to_owned(),
            group_instance_id: None,
            client_id: "client".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            assignment: vec![TopicPartition::new("t", partition)],
        };
        let partition = |partition, end| PartitionSeen {
            partition,
            leader: Some(1),
            start: 2,
            end: Some(end),
        };
        Seen {
            topics: vec![TopicSeen {
                name: Arc::from("t"),
                id: 0,
                partitions: vec![partition(0, 10), partition(1, 7), partition(2, 5)],
            }],
            groups: vec![GroupSeen {
                description: GroupDescription {
                    group: "g".to_owned(),
                    state: "Stable".to_owned(),
                    protocol_type: "consumer".to_owned(),
                    protocol: "range".to_owned(),
                    members: vec![member("b", 1), member("a", 0)],
                    members_told: true,
                },
                note: None,
                committed: BTreeMap::from([
                    (TopicPartition::new("t", 0), 6),
                    (TopicPartition::new("t", 2), 0),
                    (TopicPartition::new("gone", 0), 3),
                ]),
            }],
            ..Seen::default()
        }
    }

    #[test]
    fn members_are_joined_with_the_instances_that_they_are() {
        let held = Held {
            position: Some(8),
            paused: true,
        };
        let member = |instance: &str, member_id: &str, held| MemberSeen {
            instance: instance.to_owned(),
            group: "g".to_owned(),
            member_id: member_id.to_owned(),
            phase: "stable".to_owned(),
            generation: Some(4),
            held: BTreeMap::from([(TopicPartition::new("t", 0), held)]),
        };
        // The first has not heard yet that another one reads the partition now.
        let stale = Held {
            position: Some(3),
            paused: false,
        };
        let members = [member("g-0", "gone", stale), member("g-1", "a", held)];
        let groups = told(&seen(), &members);
        let group = &groups[0];
        assert_eq!(group.generation, Some(4));
        let instances: Vec<_> = group
            .members
            .iter()
            .map(|member| (member.member_id.as_str(), member.instance.as_deref()))
            .collect();
        assert_eq!(instances, [("a", Some("g-1")), ("b", None)]);
        let row = &group.offsets[0];
        assert_eq!((row.position, row.paused), (Some(8), true));
        assert_eq!(row.member.as_deref(), Some("a"));
    }

    #[test]
    fn of_a_large_group_only_so_much_is_told() {
        let mut seen = seen();
        let partitions = 0..MOST_OFFSETS as i32 - 1;
        let large = partitions.map(|partition| TopicPartition::new("t", partition));
        let members = &mut seen.groups[0].description.members;
        members[1].assignment = large.collect();
        members[0].assignment.push(TopicPartition::new("t", 2));
        let one = members[0].clone();
        members.extend((0..MOST_MEMBERS).map(|n| GroupMember {
            member_id: format!("c-{n}"),
            ..one.clone()
        }));
        let groups = told(&seen, &[]);
        let members = &groups[0].members;
        let held: Vec<usize> = members.iter().map(|it| it.partitions.len()).collect();
        assert_eq!(members.len(), MOST_MEMBERS);
        assert_eq!(held[..3], [MOST_OFFSETS - 1, 1, 0]);
    }

    #[test]
    fn the_lag_is_that_of_all_partitions_also_of_those_that_are_not_told() {
        let mut seen = seen();
        let partitions = (0..MOST_OFFSETS as i32 + 10).map(|partition| PartitionSeen {
            partition,
            leader: Some(1),
            start: 0,
            end: (partition > 0).then_some(1),
        });
        seen.topics[0].partitions = partitions.collect();
        seen.groups[0].description.members.clear();
        let all = seen.topics[0].partitions.iter();
        let all = all.map(|found| (TopicPartition::new("t", found.partition), 0));
        seen.groups[0].committed = all.collect();
        let groups = told(&seen, &[]);
        assert_eq!(groups[0].offsets.len(), MOST_OFFSETS);
        // The end of one is not known.
        assert_eq!(groups[0].lag, MOST_OFFSETS as i64 + 9);
    }

    #[test]
    fn the_lag_counts_from_the_commit_or_from_the_start_of_the_log() {
        let groups = told(&seen(), &[]);
        let rows: Vec<_> = groups[0]
            .offsets
            .iter()
            .map(|row| (row.partition, row.committed, row.lag))
            .collect();
        assert_eq!(rows, [(0, Some(6), 4), (1, None, 5), (2, Some(0), 3)]);
        assert_eq!(groups[0].lag, 12);
        assert_eq!(groups[0].generation, None);
    }

    #[test]
    fn what_a_group_of_consumers_has_not_committed_waits_for_it_also_while_nobody_reads() {
        let mut seen = seen();
        seen.groups[0].description.members.clear();
        let rows = |seen: &Seen| -> Vec<(i32, i64)> {
            let groups = told(seen, &[]);
            let rows = groups[0].offsets.iter();
            rows.map(|row| (row.partition, row.lag)).collect()
        };
        assert_eq!(rows(&seen), [(0, 4), (1, 5), (2, 3)]);
        seen.groups[0].description.protocol_type.clear();
        assert_eq!(rows(&seen), [(0, 4), (2, 3)]);
    }
}
