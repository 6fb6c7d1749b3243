//! The trace that an event belongs to: it follows from the order and the event, so a redone step repeats it.

use std::num::{NonZeroU64, NonZeroU128};

use trace_context::TraceParent;

use crate::ids::derive;
use crate::{EventId, OrderId};

/// The trace of an order that came without one; sampled.
pub(crate) fn of(order: OrderId) -> TraceParent {
    let trace = derive(order, "trace").as_u128();
    // A derived id has bits that are always set, so that it is never zero.
    let trace_id = NonZeroU128::new(trace).unwrap_or(NonZeroU128::MIN);
    TraceParent::new(trace_id, not_zero(trace as u64)).with_sampled(true)
}

/// The same trace, with the span of this event as the parent.
pub(crate) fn child(cause: TraceParent, event: EventId) -> TraceParent {
    let [a, b, c, d, e, f, g, h, ..] = *event.as_bytes();
    cause.child(not_zero(u64::from_be_bytes([a, b, c, d, e, f, g, h])))
}

/// A span id of zero is invalid in W3C trace context.
fn not_zero(span: u64) -> NonZeroU64 {
    NonZeroU64::new(span).unwrap_or(NonZeroU64::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Step, Timestamp};

    #[test]
    fn a_child_stays_in_the_trace() {
        let order = OrderId::new(Timestamp::from_millis(1), [1; 10]);
        let root = of(order);
        let step = Step {
            topic: "t",
            status: "S",
        };
        let child = child(root, EventId::of(order, step));
        assert_eq!(root.trace_id(), child.trace_id());
        assert_ne!(root, child);
        assert_eq!(root, of(order));
        assert!(root.is_sampled());
    }
}
