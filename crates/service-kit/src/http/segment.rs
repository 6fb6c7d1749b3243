//! One segment of a path.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

/// A segment of a path with its percent-encoding undone (RFC 3986 section 2.1), for `warp::path!`, which hands segments on as
/// they came. A plus is a plus here. One that is no text when it is decoded fits no path: 404.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment(String);

/// The segment cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a percent sign must be followed by two hexadecimal digits, and the whole be UTF-8")]
pub struct SegmentError;

impl FromStr for Segment {
    type Err = SegmentError;

    fn from_str(text: &str) -> Result<Self, SegmentError> {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(if byte == b'%' {
                let (high, low) = (hex(rest.next())?, hex(rest.next())?);
                high * 16 + low
            } else {
                byte
            });
        }
        String::from_utf8(bytes).map(Self).map_err(|_| SegmentError)
    }
}

fn hex(digit: Option<u8>) -> Result<u8, SegmentError> {
    let value = digit.and_then(|digit| char::from(digit).to_digit(16));
    value
        .and_then(|value| u8::try_from(value).ok())
        .ok_or(SegmentError)
}

impl Deref for Segment {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<Segment> for String {
    fn from(segment: Segment) -> Self {
        segment.0
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Segment;

    #[test]
    fn percent_encoding_is_undone_once() {
        let decoded = |text: &str| text.parse::<Segment>().map(String::from).ok();
        for (text, found) in [
            ("P001", "P001"),
            ("P%20001", "P 001"),
            ("a+b", "a+b"),
            ("%2f%2F", "//"),
            ("%2520", "%20"),
            ("gr%C3%B6%C3%9Fe", "größe"),
        ] {
            assert_eq!(decoded(text).as_deref(), Some(found), "{text}");
        }
        for wrong in ["%", "%2", "%G0", "%+1", "%FF"] {
            assert_eq!(decoded(wrong), None, "{wrong}");
        }
    }
}
