//! Zigzag variable-length integers, as in Protocol Buffers: what the inside of a record is made of.

/// The most bytes that a varlong takes.
pub(crate) const MAX_VARLONG: usize = 10;

/// The bytes that `value` takes.
#[inline]
pub(crate) fn varlong_len(value: i64) -> usize {
    // Seven bits a byte; zero takes one byte as well.
    (70 - (zigzag(value) | 1).leading_zeros() as usize) / 7
}

/// Writes `value` at the start of `out` and returns the bytes taken. `out` must have [`MAX_VARLONG`] bytes of room.
#[inline]
pub(crate) fn put_varlong(out: &mut [u8], value: i64) -> usize {
    let mut rest = zigzag(value);
    let mut at = 0;
    while rest >= 0x80 {
        out[at] = (rest as u8) | 0x80;
        rest >>= 7;
        at += 1;
    }
    out[at] = rest as u8;
    at + 1
}

/// Takes a varlong off the front of `input`; `None` where it ends too early or does not fit 64 bits.
#[inline]
pub(crate) fn take_varlong(input: &mut &[u8]) -> Option<i64> {
    // Lengths, deltas and counts of small records are one byte nearly always.
    if let [byte, rest @ ..] = *input
        && *byte < 0x80
    {
        *input = rest;
        return Some(unzigzag(u64::from(*byte)));
    }
    let mut value = 0u64;
    for (at, byte) in input.iter().take(MAX_VARLONG).enumerate() {
        let bits = u64::from(byte & 0x7f);
        if at == MAX_VARLONG - 1 && bits > 1 {
            return None; // more than 64 bits
        }
        value |= bits << (7 * at);
        if byte & 0x80 == 0 {
            *input = &input[at + 1..];
            return Some(unzigzag(value));
        }
    }
    None
}

/// Takes a varint off the front of `input`; `None` where it ends too early or does not fit 32 bits.
#[inline]
pub(crate) fn take_varint(input: &mut &[u8]) -> Option<i32> {
    take_varlong(input).and_then(|v| i32::try_from(v).ok())
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_put_is_taken(value: i64) {
            let mut buffer = [0; MAX_VARLONG];
            let len = put_varlong(&mut buffer, value);
            prop_assert_eq!(len, varlong_len(value));
            let mut input = &buffer[..len];
            prop_assert_eq!(take_varlong(&mut input), Some(value));
            prop_assert!(input.is_empty());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let mut input = &bytes[..];
            let _ = take_varlong(&mut input);
            prop_assert!(input.len() <= bytes.len());
        }
    }

    #[test]
    fn the_ends_of_the_range() {
        for value in [
            0,
            -1,
            1,
            63,
            -64,
            64,
            i64::from(i32::MAX),
            i64::from(i32::MIN),
            i64::MAX,
            i64::MIN,
        ] {
            let mut buffer = [0; MAX_VARLONG];
            let len = put_varlong(&mut buffer, value);
            assert_eq!(
                (len, take_varlong(&mut &buffer[..len])),
                (varlong_len(value), Some(value))
            );
        }
        assert_eq!(take_varlong(&mut &[0xff; 11][..]), None);
        let mut buffer = [0; MAX_VARLONG];
        let len = put_varlong(&mut buffer, i64::from(i32::MAX) + 1);
        assert_eq!(take_varint(&mut &buffer[..len]), None);
    }
}
