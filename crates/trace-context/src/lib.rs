//! The `traceparent` of W3C Trace Context: which trace something belongs to, and which span of it is the parent.
//!
//! This is a value and its text, and nothing else: it is for whoever has headers to write or to read, whatever carries them.
//!
//! ```
//! use std::num::NonZeroU64;
//! use trace_context::TraceParent;
//!
//! let parent: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse()?;
//! let mine = NonZeroU64::MIN;
//! let child = parent.child(mine);
//! assert_eq!(child.to_string(), "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000001-01");
//! # Ok::<(), trace_context::TraceParentError>(())
//! ```
//!
//! Source: W3C Trace Context, level 1 (Recommendation) and level 2 (Candidate Recommendation), section 3.2.

use std::error::Error;
use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};
use std::str::FromStr;

/// The name of the header that carries a [`TraceParent`].
pub const TRACEPARENT: &str = "traceparent";

/// A `traceparent` of version 00.
///
/// Its text is what [`Display`](fmt::Display) writes, 55 characters, and what [`FromStr`] reads. An id of zero is invalid, so
/// there is none here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceParent {
    trace: NonZeroU128,
    span: NonZeroU64,
    flags: u8,
}

/// The text is no `traceparent`. The specification wants it treated as if it were not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParentError;

impl fmt::Display for TraceParentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "must be a W3C traceparent such as 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        )
    }
}

impl Error for TraceParentError {}

impl TraceParent {
    const SAMPLED: u8 = 1;
    const RANDOM: u8 = 2;

    /// A span of a trace, with no flag set.
    pub const fn new(trace_id: NonZeroU128, span_id: NonZeroU64) -> Self {
        Self {
            trace: trace_id,
            span: span_id,
            flags: 0,
        }
    }

    /// Reads a header's value: as [`FromStr`] does, from bytes.
    ///
    /// # Errors
    ///
    /// Whatever is not UTF-8 is no `traceparent` either.
    pub fn from_bytes(value: &[u8]) -> Result<Self, TraceParentError> {
        std::str::from_utf8(value)
            .map_err(|_| TraceParentError)?
            .parse()
    }

    /// Whether the caller may have recorded the trace: the flag `sampled`.
    #[must_use]
    pub const fn with_sampled(self, sampled: bool) -> Self {
        self.with(Self::SAMPLED, sampled)
    }

    /// Whether at least the last 7 bytes of the trace's id were chosen at random: the flag `random` of level 2. Only who
    /// makes a trace's id may say so; whoever goes on with the trace leaves it as it is.
    #[must_use]
    pub const fn with_random(self, random: bool) -> Self {
        self.with(Self::RANDOM, random)
    }

    const fn with(mut self, flag: u8, set: bool) -> Self {
        self.flags = if set {
            self.flags | flag
        } else {
            self.flags & !flag
        };
        self
    }

    /// The same trace and flags, with this span as the parent: what goes along with what that span causes.
    #[must_use]
    pub const fn child(self, span_id: NonZeroU64) -> Self {
        Self {
            span: span_id,
            ..self
        }
    }

    /// The trace. As text it has 32 hexadecimal digits: `{:032x}`.
    pub const fn trace_id(self) -> NonZeroU128 {
        self.trace
    }

    /// The span that is the parent of what this goes along with. As text it has 16 hexadecimal digits: `{:016x}`.
    pub const fn span_id(self) -> NonZeroU64 {
        self.span
    }

    /// See [`with_sampled`](Self::with_sampled).
    pub const fn is_sampled(self) -> bool {
        self.flags & Self::SAMPLED != 0
    }

    /// See [`with_random`](Self::with_random).
    pub const fn is_random(self) -> bool {
        self.flags & Self::RANDOM != 0
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "00-{:032x}-{:016x}-{:02x}",
            self.trace, self.span, self.flags
        )
    }
}

impl FromStr for TraceParent {
    type Err = TraceParentError;

    /// A later version than 00 is read as far as it is known here, and goes on as version 00; flags that are not known are
    /// dropped.
    fn from_str(text: &str) -> Result<Self, TraceParentError> {
        let mut parts = text.split('-');
        let version = hex(parts.next(), 2)?;
        let trace = hex(parts.next(), 32)?;
        let span = hex(parts.next(), 16)? as u64;
        let flags = hex(parts.next(), 2)? as u8;
        // A later version may say more behind these four (section 3.2.4); version 00 may not. There is no version ff.
        if version == 0xff || (version == 0 && parts.next().is_some()) {
            return Err(TraceParentError);
        }
        Ok(Self {
            trace: NonZeroU128::new(trace).ok_or(TraceParentError)?,
            span: NonZeroU64::new(span).ok_or(TraceParentError)?,
            // Whoever passes a trace on clears the flags that version 00 does not have (section 3.2.2.5).
            flags: flags & (Self::SAMPLED | Self::RANDOM),
        })
    }
}

fn hex(part: Option<&str>, digits: usize) -> Result<u128, TraceParentError> {
    let part = part
        .filter(|part| part.len() == digits)
        .ok_or(TraceParentError)?;
    let lower = part
        .bytes()
        .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    lower
        .then(|| u128::from_str_radix(part, 16).ok())
        .flatten()
        .ok_or(TraceParentError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_specification_shows() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(text.parse::<TraceParent>().unwrap().to_string(), text);
        assert!(
            format!("cc{}-more", &text[2..])
                .parse::<TraceParent>()
                .is_ok()
        );
        for wrong in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert!(wrong.parse::<TraceParent>().is_err(), "{wrong}");
        }
    }

    /// The cases of the W3C's own test suite for `traceparent`, as far as they concern one value.
    #[test]
    fn reads_and_refuses_what_the_specifications_tests_do() {
        const TRACE: &str = "12345678901234567890123456789012";
        const SPAN: &str = "1234567890123456";
        for (right, passed_on) in [
            (format!("00-{TRACE}-{SPAN}-01"), "01"),
            (format!("00-{TRACE}-{SPAN}-00"), "00"),
            (format!("00-{TRACE}-{SPAN}-ff"), "03"),
            (format!("00-{TRACE}-{SPAN}-02"), "02"),
            (format!("00-{TRACE}-{SPAN}-04"), "00"),
            (format!("00-{TRACE}-{SPAN}-83"), "03"),
            (format!("cc-{TRACE}-{SPAN}-01"), "01"),
            (
                format!("cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like"),
                "01",
            ),
        ] {
            let parsed: TraceParent = right.parse().unwrap();
            let expected = format!("00-{TRACE}-{SPAN}-{passed_on}");
            assert_eq!(parsed.to_string(), expected, "{right}");
        }
        for wrong in [
            format!("cc-{TRACE}-{SPAN}-01.what-the-future-will-not-be-like"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-01.{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-what-the-future-will-be-like"),
            format!(".0-{TRACE}-{SPAN}-01"),
            format!("0.-{TRACE}-{SPAN}-01"),
            format!("000-{TRACE}-{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-.{}-{SPAN}-01", &TRACE[1..]),
            format!("00-{TRACE}3-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", &TRACE[1..]),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}-.{}-01", &SPAN[1..]),
            format!("00-{TRACE}-{SPAN}7-01"),
            format!("00-{TRACE}-{}-01", &SPAN[1..]),
            format!("00-{TRACE}-{SPAN}-.0"),
            format!("00-{TRACE}-{SPAN}-0."),
            format!("00-{TRACE}-{SPAN}-001"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-0A"),
            format!("00-{TRACE}-{SPAN}-+1"),
            format!("00-{TRACE}-{SPAN}"),
        ] {
            assert!(wrong.parse::<TraceParent>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn bytes_are_read_as_their_text_is() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(TraceParent::from_bytes(text.as_bytes()), text.parse());
        for wrong in [&b""[..], b"00-\xff", &[0; 55], &text.as_bytes()[..54]] {
            assert_eq!(TraceParent::from_bytes(wrong), Err(TraceParentError));
        }
        // As many bytes as there should be digits, and other characters.
        let wide = format!("00-{}-00f067aa0ba902b7-01", "\u{e9}".repeat(16));
        assert_eq!(wide.len(), 55);
        assert_eq!(wide.parse::<TraceParent>(), Err(TraceParentError));
    }

    #[test]
    fn flags_are_set_and_cleared_one_by_one() {
        let bare = TraceParent::new(NonZeroU128::MAX, NonZeroU64::MIN);
        assert_eq!(
            bare.to_string(),
            "00-ffffffffffffffffffffffffffffffff-0000000000000001-00"
        );
        for (sampled, random, flags) in [
            (false, false, "00"),
            (true, false, "01"),
            (false, true, "02"),
            (true, true, "03"),
        ] {
            let both = bare.with_sampled(true).with_random(true);
            let made = both.with_sampled(sampled).with_random(random);
            assert_eq!((made.is_sampled(), made.is_random()), (sampled, random));
            assert!(made.to_string().ends_with(flags), "{made}");
            assert_eq!(made.to_string().parse(), Ok(made));
        }
    }

    #[test]
    fn a_child_stays_in_the_trace() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03";
        let parent: TraceParent = text.parse().unwrap();
        let child = parent.child(NonZeroU64::MAX);
        assert_eq!(child.trace_id(), parent.trace_id());
        assert_eq!(child.span_id(), NonZeroU64::MAX);
        assert!(child.is_sampled() && child.is_random());
    }
}
