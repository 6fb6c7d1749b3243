//! W3C trace context, as far as an event carries it.

use std::fmt;
use std::str::FromStr;

use crate::ids::derive;
use crate::{EventId, OrderId};

/// A `traceparent` (W3C Trace Context, version 00): which trace, and which span of it is the parent.
///
/// Ours follow from the order and the event, so a redone step repeats them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceParent {
    trace: u128,
    span: u64,
    flags: u8,
}

/// The text is not a `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a W3C traceparent such as 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
)]
pub struct TraceParentError;

impl TraceParent {
    const SAMPLED: u8 = 1;

    /// The trace of an order that came without one; sampled.
    pub fn of(order: OrderId) -> Self {
        let trace = derive(order, "trace").as_u128();
        Self {
            trace,
            span: not_zero(trace as u64),
            flags: Self::SAMPLED,
        }
    }

    /// The same trace, with the span of this event as the parent.
    pub fn child(self, event: EventId) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = *event.as_bytes();
        Self {
            span: not_zero(u64::from_be_bytes([a, b, c, d, e, f, g, h])),
            ..self
        }
    }

    /// The trace's id, 32 hexadecimal digits.
    pub fn trace_id(self) -> String {
        format!("{:032x}", self.trace)
    }
}

/// A span id of zero is invalid in W3C trace context.
fn not_zero(span: u64) -> u64 {
    span.max(1)
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

    fn from_str(text: &str) -> Result<Self, TraceParentError> {
        let mut parts = text.split('-');
        let version = hex(parts.next(), 2)?;
        let trace = hex(parts.next(), 32)?;
        let span = hex(parts.next(), 16)? as u64;
        let flags = hex(parts.next(), 2)? as u8;
        // A later version may say more behind these four (section 3.2.4); version 00 may not.
        let right =
            version != 0xff && (version != 0 || parts.next().is_none()) && trace != 0 && span != 0;
        // Version 00 has no flag but this one; whoever passes the trace on clears the others (section 3.2.2.5).
        let flags = flags & Self::SAMPLED;
        right
            .then_some(Self { trace, span, flags })
            .ok_or(TraceParentError)
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
    use super::TraceParent;
    use crate::{EventId, OrderId, Step, Timestamp};

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
            (format!("00-{TRACE}-{SPAN}-ff"), "01"),
            (format!("00-{TRACE}-{SPAN}-02"), "00"),
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
    fn a_child_stays_in_the_trace() {
        let order = OrderId::new(Timestamp::from_millis(1), [1; 10]);
        let root = TraceParent::of(order);
        let child = root.child(EventId::of(
            order,
            Step {
                topic: "t",
                status: "S",
            },
        ));
        assert_eq!(root.trace_id(), child.trace_id());
        assert_ne!(root, child);
        assert_eq!(root, TraceParent::of(order));
    }
}
