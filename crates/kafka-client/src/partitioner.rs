//! Which partition a record with a key goes to: the same as Kafka's Java client chooses.

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
