//! Which partition a record goes to: with a key, the same as Kafka's Java client chooses, unless the user has another way.

use std::fmt;

/// Chooses the partition of each record that does not name one, in place of the usual choice: by the key as Java's client does
/// it, without a key the one that a batch is being filled for (KIP-480, KIP-794).
///
/// Called once a record in the sending task, so it must be fast and must not block. A panic, or a partition that the topic does
/// not have, fails the record with [`ProduceError::Partitioner`](crate::ProduceError::Partitioner).
///
/// ```
/// use kafka_client::{Partitioner, Placement};
///
/// /// Keeps the last partition for records of one kind.
/// #[derive(Debug)]
/// struct Urgent;
///
/// impl Partitioner for Urgent {
///     fn partition(&self, record: &Placement<'_>) -> Option<i32> {
///         record.key.is_some_and(|key| key.starts_with(b"urgent")).then(|| record.partitions as i32 - 1)
///     }
/// }
/// ```
pub trait Partitioner: fmt::Debug + Send + Sync {
    /// The partition, or `None` for the usual choice.
    fn partition(&self, record: &Placement<'_>) -> Option<i32>;
}

/// What a [`Partitioner`] is told of a record.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Placement<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The key, which may be null.
    pub key: Option<&'a [u8]>,
    /// The value, which may be null.
    pub value: Option<&'a [u8]>,
    /// The record's headers; not those that an interceptor adds.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
    /// How many partitions the topic has now, at least 1.
    pub partitions: u32,
    pub(crate) has_leader: &'a dyn Fn(i32) -> bool,
}

impl Placement<'_> {
    /// Whether a partition has a leader at present. A record for one without waits until it has.
    pub fn has_leader(&self, partition: i32) -> bool {
        (self.has_leader)(partition)
    }
}

impl fmt::Debug for Placement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Placement")
            .field("topic", &self.topic)
            .field("key", &self.key)
            .field("partitions", &self.partitions)
            .finish_non_exhaustive()
    }
}

/// The partition of a key among `partitions`, as Kafka's Java client computes it: murmur2 without the sign, modulo.
///
/// Producers in either language thus put one key's records into one partition. `partitions` must not be 0.
///
/// ```
/// assert_eq!(kafka_client::partition_for_key(b"order-1", 3), 1);
/// ```
pub fn partition_for_key(key: &[u8], partitions: u32) -> i32 {
    let positive = murmur2(key) as u32 & 0x7fff_ffff;
    (positive % partitions.max(1)) as i32
}

/// MurmurHash2, 32 bits, with the seed of Kafka's `Utils.murmur2` and its result as Java's signed int.
pub fn murmur2(data: &[u8]) -> i32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;

    let mut hash = SEED ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = word
            .iter()
            .rev()
            .fold(0u32, |k, byte| (k << 8) | u32::from(*byte));
        k = k.wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let tail = rest
            .iter()
            .rev()
            .fold(0u32, |k, byte| (k << 8) | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^= hash >> 15;
    hash as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hashes_are_those_of_the_java_client() {
        // From the tests of Kafka's own Utils.murmur2.
        for (text, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(text.as_bytes()), hash, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_partition_is_always_one_of_them(key: Vec<u8>, partitions in 1u32..10_000) {
            let partition = partition_for_key(&key, partitions);
            prop_assert!((0..partitions as i32).contains(&partition));
        }
    }
}
