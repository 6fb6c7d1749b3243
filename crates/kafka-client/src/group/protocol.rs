//! The bytes inside the group protocol that brokers carry and do not read: what a member subscribes to, and what it is
//! assigned (Kafka's `ConsumerProtocolSubscription` and `ConsumerProtocolAssignment`), as Java's client writes them.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_wire::messages::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, TopicName,
    consumer_protocol_assignment, consumer_protocol_subscription,
};
use kafka_wire::shape::{self, Shaped};
use kafka_wire::{Decodable, Encodable, StrBytes};

use super::assignor::{Assignor, Member};
use crate::consumer::TopicPartition;

mod user_data;

/// The version written: owned partitions (KIP-429), their generation (KIP-792) and the rack (KIP-881). Readers of an
/// older version ignore what they do not know.
const VERSION: i16 = 3;

/// Bytes that are no subscription or assignment.
#[derive(Debug, Clone, thiserror::Error)]
#[error("malformed {what}: {reason}")]
pub(crate) struct ProtocolError {
    what: &'static str,
    reason: String,
}

/// What a member says of itself when it joins.
#[derive(Debug, Clone, Default)]
pub(crate) struct Past {
    /// The partitions that it holds while it joins, which only members of a cooperative protocol do.
    pub(crate) owned: Vec<TopicPartition>,
    /// What it was assigned last and in which generation, if it ever was. It may have lost it since.
    pub(crate) last: Option<(Vec<TopicPartition>, i32)>,
}

/// A member's subscription for an assignor. Topics and partitions are sorted, so that an unchanged subscription has
/// unchanged bytes: the coordinator compares them when a member joins again, and starts a rebalance if they differ.
pub(crate) fn encode_subscription(
    assignor: Assignor,
    topics: &[Arc<str>],
    past: &Past,
    rack: Option<&str>,
) -> Result<Bytes, ProtocolError> {
    let mut topics: Vec<_> = topics.iter().map(|t| string(t)).collect();
    topics.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    let generation = past.last.as_ref().map_or(-1, |(_, generation)| *generation);
    let owned: &[_] = if assignor.is_cooperative() {
        &past.owned
    } else {
        &[]
    };
    let owned = by_topic(owned)
        .into_iter()
        .map(|(topic, partitions)| {
            consumer_protocol_subscription::TopicPartition::default()
                .with_topic(TopicName(topic))
                .with_partitions(partitions)
        })
        .collect();
    let user_data = match (assignor, &past.last) {
        (Assignor::Sticky, Some((last, generation))) => {
            Some(user_data::encode_sticky(last, *generation)?)
        }
        (Assignor::CooperativeSticky, _) => Some(user_data::encode_cooperative(generation)),
        _ => None,
    };
    let subscription = ConsumerProtocolSubscription::default()
        .with_topics(topics)
        .with_user_data(user_data)
        .with_owned_partitions(owned)
        .with_generation_id(generation)
        .with_rack_id(rack.map(string));
    encode("subscription", &subscription)
}

/// What the leader knows of a member by its subscription for this assignor, of whatever version (0: topics and user data
/// only, 1: and owned partitions, 2: and their generation, 3: and the rack).
pub(crate) fn decode_member(
    assignor: Assignor,
    id: Arc<str>,
    instance: Option<Arc<str>>,
    bytes: Bytes,
) -> Result<Member, ProtocolError> {
    let subscription: ConsumerProtocolSubscription = decode("subscription", bytes, 3)?;
    let user_data = subscription.user_data.as_deref().unwrap_or_default();
    let (owned, generation) = match assignor {
        // An eager member owns nothing when it joins; what it had is in its user data.
        Assignor::Sticky => user_data::decode_sticky(user_data),
        _ => {
            let owned = &subscription.owned_partitions;
            let owned = owned
                .iter()
                .flat_map(|t| partitions_of(&t.topic, &t.partitions));
            let generation = match subscription.generation_id {
                -1 if assignor == Assignor::CooperativeSticky => {
                    user_data::decode_cooperative(user_data)
                }
                generation => generation,
            };
            (owned.collect(), generation)
        }
    };
    Ok(Member {
        id,
        instance,
        topics: subscription
            .topics
            .iter()
            .map(|t| Arc::from(t.as_str()))
            .collect(),
        owned,
        generation,
        rack: subscription.rack_id.map(|rack| Arc::from(rack.as_str())),
    })
}

/// A member's assignment.
pub(crate) fn encode_assignment(partitions: &[TopicPartition]) -> Result<Bytes, ProtocolError> {
    let assigned = by_topic(partitions)
        .into_iter()
        .map(|(topic, partitions)| {
            consumer_protocol_assignment::TopicPartition::default()
                .with_topic(TopicName(topic))
                .with_partitions(partitions)
        })
        .collect();
    let assignment = ConsumerProtocolAssignment::default().with_assigned_partitions(assigned);
    encode("assignment", &assignment)
}

/// The partitions of an assignment; no bytes at all are no partitions.
pub(crate) fn decode_assignment(bytes: Bytes) -> Result<Vec<TopicPartition>, ProtocolError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let assignment: ConsumerProtocolAssignment = decode("assignment", bytes, 3)?;
    Ok(assignment
        .assigned_partitions
        .iter()
        .flat_map(|t| partitions_of(&t.topic, &t.partitions))
        .collect())
}

fn encode(what: &'static str, message: &impl Encodable) -> Result<Bytes, ProtocolError> {
    let mut out = BytesMut::new();
    out.put_i16(VERSION);
    message
        .encode(&mut out, VERSION)
        .map_err(|e| ProtocolError {
            what,
            reason: e.to_string(),
        })?;
    Ok(out.freeze())
}

/// Reads a message of a version up to `newest`, or what is known of a later one, as Java's client does.
///
/// Any client that may join the group writes such bytes, and no broker looks at them. They are therefore walked by their shape
/// before the decoder makes room for as much as they claim.
fn decode<M: Decodable + Shaped>(
    what: &'static str,
    mut bytes: Bytes,
    newest: i16,
) -> Result<M, ProtocolError> {
    let malformed = |reason: String| ProtocolError { what, reason };
    if bytes.len() < 2 {
        return Err(malformed("it has no version".to_owned()));
    }
    let version = bytes.get_i16();
    if version < 0 {
        return Err(malformed(format!("its version is {version}")));
    }
    let version = version.min(newest);
    shape::check_beginning(M::SHAPE, version, false, &bytes)
        .map_err(|e| malformed(e.to_owned()))?;
    M::decode(&mut bytes, version).map_err(|e| malformed(e.to_string()))
}

fn by_topic(partitions: &[TopicPartition]) -> Vec<(StrBytes, Vec<i32>)> {
    let mut sorted: Vec<_> = partitions.iter().collect();
    sorted.sort();
    let mut topics: Vec<(StrBytes, Vec<i32>)> = Vec::new();
    for p in sorted {
        match topics.last_mut() {
            Some((topic, partitions)) if topic.as_str() == &*p.topic => {
                partitions.push(p.partition)
            }
            _ => topics.push((string(&p.topic), vec![p.partition])),
        }
    }
    topics
}

fn partitions_of(topic: &TopicName, partitions: &[i32]) -> Vec<TopicPartition> {
    let topic: Arc<str> = Arc::from(topic.as_str());
    partitions
        .iter()
        .map(|partition| TopicPartition::new(Arc::clone(&topic), *partition))
        .collect()
}

fn string(s: &str) -> StrBytes {
    StrBytes::from_string(s.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tp(topic: &str, partition: i32) -> TopicPartition {
        TopicPartition::new(topic, partition)
    }

    /// A subscription to a and b of a member that owns a-0, a-1 and b-0 since generation 7, as Java's client 4.3.1 writes
    /// it for `cooperative-sticky`: version 3, of which the others are the beginning.
    const JAVA: &[u8] = &[
        0, 3, // version
        0, 0, 0, 2, 0, 1, b'a', 0, 1, b'b', // topics
        0, 0, 0, 4, 0, 0, 0, 7, // user data: the generation
        0, 0, 0, 2, 0, 1, b'a', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, // owned partitions
        0, 1, b'b', 0, 0, 0, 1, 0, 0, 0, 0, //
        0, 0, 0, 7, // generation
        0, 2, b'r', b'1', // rack
    ];

    fn past() -> Past {
        let owned = vec![tp("a", 1), tp("b", 0), tp("a", 0)];
        Past {
            last: Some((owned.clone(), 7)),
            owned,
        }
    }

    #[test]
    fn a_subscription_has_the_bytes_of_javas_client() {
        let topics = ["b".into(), "a".into()];
        let encode = |assignor| encode_subscription(assignor, &topics, &past(), Some("r1"));
        let cooperative = encode(Assignor::CooperativeSticky).unwrap();
        assert_eq!(cooperative, JAVA);
        // The others own nothing when they join, and have no user data.
        let range = encode(Assignor::Range).unwrap();
        let nothing = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        assert_eq!(range, [&JAVA[..12], &nothing, &JAVA[50..]].concat());
    }

    #[test]
    fn a_subscription_is_read_as_java_writes_it_in_every_version() {
        let owned = [tp("a", 0), tp("a", 1), tp("b", 0)];
        for (version, end) in [(0, 20), (1, 50), (2, 54), (3, 58), (9, 58)] {
            let mut bytes = JAVA[..end].to_vec();
            bytes[1] = version;
            let bytes = Bytes::from(bytes);
            let member =
                decode_member(Assignor::CooperativeSticky, "m".into(), None, bytes).unwrap();
            assert_eq!(member.topics, ["a".into(), "b".into()]);
            assert_eq!(member.owned, if version == 0 { &[][..] } else { &owned });
            assert_eq!(member.generation, 7);
            let rack = (version >= 3).then_some("r1");
            assert_eq!(member.rack.as_deref(), rack);
        }
    }

    #[test]
    fn a_member_of_sticky_tells_what_it_was_assigned_last() {
        let topics = ["a".into()];
        let encode =
            |past: &Past| encode_subscription(Assignor::Sticky, &topics, past, None).unwrap();
        let decode = |bytes| decode_member(Assignor::Sticky, "m".into(), None, bytes).unwrap();
        let member = decode(encode(&past()));
        assert_eq!(member.owned, [tp("a", 0), tp("a", 1), tp("b", 0)]);
        assert_eq!(member.generation, 7);
        let member = decode(encode(&Past::default()));
        assert_eq!((member.owned, member.generation), (Vec::new(), -1));
    }

    #[test]
    fn an_assignment_is_read_as_java_writes_it_in_every_version() {
        let body: &[u8] = &[
            0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 5, // t-4, t-5
            0xff, 0xff, 0xff, 0xff, // no user data
        ];
        for version in [0u8, 1, 2, 3, 9] {
            let bytes = [&[0, version], body].concat();
            assert_eq!(
                decode_assignment(Bytes::from(bytes)).unwrap(),
                [tp("t", 4), tp("t", 5)]
            );
        }
        assert_eq!(
            encode_assignment(&[tp("t", 5), tp("t", 4)]).unwrap()[2..],
            *body
        );
    }

    #[test]
    fn an_assignment_that_is_encoded_is_decoded() {
        let owned = [tp("a", 1), tp("b", 0), tp("b", 2)];
        let assignment = encode_assignment(&owned).unwrap();
        assert_eq!(decode_assignment(assignment).unwrap(), owned);
        assert_eq!(decode_assignment(Bytes::new()).unwrap(), []);
    }

    /// The same bytes with another number of elements at one place.
    fn claiming(bytes: &[u8], at: usize, count: [u8; 4]) -> Bytes {
        Bytes::from([&bytes[..at], &count, &bytes[at + 4..]].concat())
    }

    #[test]
    fn elements_that_are_not_there_are_refused_before_room_is_made_for_them() {
        // Version, then an array of the topic t with partition 4, and no user data.
        const ASSIGNMENT: &[u8] = &[
            0, 1, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff,
        ];
        for count in [[0x7f, 0xff, 0xff, 0xff], [0, 0x1f, 0xff, 0xff]] {
            // Topics, owned topics, and the owned partitions of each.
            for at in [2, 20, 27, 42] {
                let bytes = claiming(JAVA, at, count);
                let read = decode_member(Assignor::CooperativeSticky, "m".into(), None, bytes);
                let error = read.map(|member| member.id).unwrap_err().to_string();
                assert!(
                    error.contains("an array is longer") || error.contains("ends inside"),
                    "{error}"
                );
            }
            for at in [2, 9] {
                let error = decode_assignment(claiming(ASSIGNMENT, at, count))
                    .unwrap_err()
                    .to_string();
                assert!(
                    error.contains("an array is longer") || error.contains("ends inside"),
                    "{error}"
                );
            }
        }
        assert_eq!(
            decode_assignment(Bytes::from_static(ASSIGNMENT)).unwrap(),
            [tp("t", 4)]
        );
    }

    #[test]
    fn damaged_bytes_are_refused() {
        for bytes in [&[0u8][..], &[0xff, 0xff, 0, 0], &[0, 0, 0, 0, 0, 9]] {
            assert!(decode_assignment(Bytes::copy_from_slice(bytes)).is_err());
            let bytes = Bytes::copy_from_slice(bytes);
            assert!(decode_member(Assignor::Range, "m".into(), None, bytes).is_err());
        }
    }
}
