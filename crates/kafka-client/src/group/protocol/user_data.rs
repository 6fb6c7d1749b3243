//! The user data of the sticky assignors: bytes inside a subscription that only the assignor of the same name reads. They
//! are laid out as Java's `StickyAssignor` and `CooperativeStickyAssignor` do it, by Kafka's primitive types.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{ProtocolError, by_topic};
use crate::consumer::TopicPartition;

/// What a member of `sticky` was assigned last: version 1, with the generation (KIP-341).
pub(super) fn encode_sticky(
    partitions: &[TopicPartition],
    generation: i32,
) -> Result<Bytes, ProtocolError> {
    let too_long = |reason: &str| ProtocolError {
        what: "user data",
        reason: reason.to_owned(),
    };
    let count = |n: usize| i32::try_from(n).map_err(|_| too_long("too many partitions"));
    let topics = by_topic(partitions);
    let mut out = BytesMut::new();
    out.put_i32(count(topics.len())?);
    for (topic, partitions) in topics {
        let length =
            i16::try_from(topic.len()).map_err(|_| too_long("a topic's name is too long"))?;
        out.put_i16(length);
        out.put_slice(topic.as_bytes());
        out.put_i32(count(partitions.len())?);
        for partition in partitions {
            out.put_i32(partition);
        }
    }
    out.put_i32(generation);
    Ok(out.freeze())
}

/// What a member of `sticky` says that it was assigned last, and the generation, −1 in version 0. As in Java, bytes that
/// cannot be read are a member without a past.
pub(super) fn decode_sticky(bytes: &[u8]) -> (Vec<TopicPartition>, i32) {
    read_sticky(bytes).unwrap_or((Vec::new(), -1))
}

fn read_sticky(mut bytes: &[u8]) -> Option<(Vec<TopicPartition>, i32)> {
    let mut partitions = Vec::new();
    for _ in 0..bytes.try_get_i32().ok()? {
        let length = usize::try_from(bytes.try_get_i16().ok()?).ok()?;
        let (topic, rest) = bytes.split_at_checked(length)?;
        let topic: std::sync::Arc<str> = std::str::from_utf8(topic).ok()?.into();
        bytes = rest;
        for _ in 0..bytes.try_get_i32().ok()? {
            let partition = bytes.try_get_i32().ok()?;
            partitions.push(TopicPartition::new(
                std::sync::Arc::clone(&topic),
                partition,
            ));
        }
    }
    Some((partitions, bytes.try_get_i32().unwrap_or(-1)))
}

/// The generation in which a member of `cooperative-sticky` got what it owns: for leaders from before KIP-792, who find it
/// here alone.
pub(super) fn encode_cooperative(generation: i32) -> Bytes {
    Bytes::copy_from_slice(&generation.to_be_bytes())
}

/// The generation of a member from before KIP-792, −1 if it does not say.
pub(super) fn decode_cooperative(mut bytes: &[u8]) -> i32 {
    bytes.try_get_i32().unwrap_or(-1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tp(topic: &str, partition: i32) -> TopicPartition {
        TopicPartition::new(topic, partition)
    }

    /// Written by `StickyAssignor` of Kafka 4.3.1 after an assignment of a-1, b-0, a-0 in generation 7.
    const JAVA: &[u8] = &[
        0, 0, 0, 2, // topics
        0, 1, b'a', 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, // a: 1, 0
        0, 1, b'b', 0, 0, 0, 1, 0, 0, 0, 0, // b: 0
        0, 0, 0, 7, // generation
    ];

    #[test]
    fn what_java_writes_is_read() {
        let partitions = vec![tp("a", 1), tp("a", 0), tp("b", 0)];
        assert_eq!(decode_sticky(JAVA), (partitions.clone(), 7));
        // Version 0 ends before the generation.
        assert_eq!(decode_sticky(&JAVA[..JAVA.len() - 4]), (partitions, -1));
        assert_eq!(decode_cooperative(&[0, 0, 0, 7]), 7);
        assert_eq!(decode_cooperative(&[]), -1);
    }

    #[test]
    fn what_is_written_is_as_java_writes_it() {
        let written = encode_sticky(&[tp("a", 1), tp("b", 0), tp("a", 0)], 7).unwrap();
        let mut sorted = JAVA.to_vec();
        sorted[14] = 0;
        sorted[18] = 1;
        assert_eq!(written, sorted);
        assert_eq!(encode_cooperative(-1), &[255; 4][..]);
    }

    #[test]
    fn damaged_bytes_are_no_past() {
        for end in 0..JAVA.len() - 4 {
            assert_eq!(decode_sticky(&JAVA[..end]), (Vec::new(), -1));
        }
        // Lengths of more than there is.
        assert_eq!(decode_sticky(&[0x7f; 40]), (Vec::new(), -1));
        assert_eq!(decode_sticky(&[0xff; 40]).0, Vec::new());
    }
}
