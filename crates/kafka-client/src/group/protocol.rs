//! The bytes inside the group protocol that brokers carry and do not read: what a member subscribes to, and what it is
//! assigned (Kafka's `ConsumerProtocolSubscription` and `ConsumerProtocolAssignment`), as Java's client writes them.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_wire::messages::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, TopicName,
    consumer_protocol_assignment, consumer_protocol_subscription,
};
use kafka_wire::{Decodable, Encodable, StrBytes};

use super::assignor::Member;
use crate::consumer::TopicPartition;

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

/// A member's subscription. Topics and partitions are sorted, so that an unchanged subscription has unchanged bytes: the
/// coordinator compares them when a static member comes back (KIP-345).
pub(crate) fn encode_subscription(
    topics: &[Arc<str>],
    owned: &[TopicPartition],
    generation: i32,
    rack: Option<&str>,
) -> Result<Bytes, ProtocolError> {
    let mut topics: Vec<_> = topics.iter().map(|t| string(t)).collect();
    topics.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    let owned = by_topic(owned)
        .into_iter()
        .map(|(topic, partitions)| {
            consumer_protocol_subscription::TopicPartition::default()
                .with_topic(TopicName(topic))
                .with_partitions(partitions)
        })
        .collect();
    let subscription = ConsumerProtocolSubscription::default()
        .with_topics(topics)
        .with_owned_partitions(owned)
        .with_generation_id(generation)
        .with_rack_id(rack.map(string));
    encode("subscription", &subscription)
}

/// What the leader knows of a member by its subscription.
pub(crate) fn decode_member(
    id: Arc<str>,
    instance: Option<Arc<str>>,
    bytes: Bytes,
) -> Result<Member, ProtocolError> {
    let subscription: ConsumerProtocolSubscription = decode("subscription", bytes, 3)?;
    Ok(Member {
        id,
        instance,
        topics: subscription
            .topics
            .iter()
            .map(|t| Arc::from(t.as_str()))
            .collect(),
        owned: subscription
            .owned_partitions
            .iter()
            .flat_map(|t| partitions_of(&t.topic, &t.partitions))
            .collect(),
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
fn decode<M: Decodable>(
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
    M::decode(&mut bytes, version.min(newest)).map_err(|e| malformed(e.to_string()))
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

    #[test]
    fn a_subscription_has_the_bytes_of_javas_client() {
        let bytes = encode_subscription(
            &["b".into(), "a".into()],
            &[tp("a", 1), tp("a", 0)],
            7,
            None,
        );
        let expected: &[u8] = &[
            0, 3, // version
            0, 0, 0, 2, 0, 1, b'a', 0, 1, b'b', // topics
            0xff, 0xff, 0xff, 0xff, // no user data
            0, 0, 0, 1, 0, 1, b'a', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, // owned partitions
            0, 0, 0, 7, // generation
            0xff, 0xff, // no rack
        ];
        assert_eq!(bytes.unwrap(), expected);
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
    fn what_is_encoded_is_decoded() {
        let owned = [tp("a", 1), tp("b", 0), tp("b", 2)];
        let bytes = encode_subscription(&["b".into(), "a".into()], &owned, 3, Some("r1")).unwrap();
        let member = decode_member("m".into(), None, bytes).unwrap();
        assert_eq!(member.topics, ["a".into(), "b".into()]);
        assert_eq!(member.owned, owned);
        let assignment = encode_assignment(&owned).unwrap();
        assert_eq!(decode_assignment(assignment).unwrap(), owned);
        assert_eq!(decode_assignment(Bytes::new()).unwrap(), []);
    }

    #[test]
    fn damaged_bytes_are_refused() {
        for bytes in [&[0u8][..], &[0xff, 0xff, 0, 0], &[0, 0, 0, 0, 0, 9]] {
            assert!(decode_assignment(Bytes::copy_from_slice(bytes)).is_err());
            assert!(decode_member("m".into(), None, Bytes::copy_from_slice(bytes)).is_err());
        }
    }
}
