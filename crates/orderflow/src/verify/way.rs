//! The ways that an order can go, and what each leaves behind: docs/life-of-an-order.md as a table.

use contracts::{OrderStatus, PaymentStatus, ShipmentStatus};

use super::facts::{OrderFact, Told};

/// What an order that has ended has left behind.
#[derive(Debug)]
pub(super) struct Way {
    /// What its payment is.
    pub(super) payment: PaymentStatus,
    /// What its shipment is; none where there is none.
    pub(super) shipment: Vec<Option<ShipmentStatus>>,
    /// The events that there must be.
    pub(super) events: Vec<Told>,
    /// Others that there may be.
    pub(super) also_events: Vec<Told>,
}

/// Each way from its beginning to its end. An order that is on its way is at a beginning of one.
const WAYS: [&[OrderStatus]; 6] = {
    use OrderStatus::{Cancelled, Declined, Paid, Pending, Refunded, Rejected, Reserved, Shipped};
    [
        &[Pending, Paid, Reserved, Shipped],
        &[Pending, Declined],
        &[Pending, Paid, Rejected, Refunded],
        &[Pending, Cancelled],
        &[Pending, Paid, Cancelled],
        &[Pending, Paid, Reserved, Cancelled],
    ]
};

/// Whether an order can have come to these, one after the other.
///
/// An event may be late on its own topic, and its step is then put in between: a history that is not at its end may have gaps.
/// One that has ended with a gap gets it filled a moment later, which is what waiting is for.
pub(super) fn is_a_way(history: &[OrderStatus]) -> bool {
    let ended = history
        .last()
        .is_some_and(|last| crate::load::is_final(*last));
    history.first() == Some(&OrderStatus::Pending)
        && WAYS.iter().any(|way| match ended {
            true => *way == history,
            false => {
                let mut rest = way.iter();
                history.iter().all(|status| rest.any(|step| step == status))
            }
        })
}

/// What an order leaves behind that has ended as this one.
pub(super) fn way_of(order: &OrderFact) -> Way {
    let paid = order.history.contains(&OrderStatus::Paid);
    let reserved = order.history.contains(&OrderStatus::Reserved);
    let mut way = match order.status {
        OrderStatus::Declined => Way {
            payment: PaymentStatus::Declined,
            shipment: vec![None],
            events: vec![Told::Declined],
            also_events: Vec::new(),
        },
        OrderStatus::Refunded => Way {
            payment: PaymentStatus::Refunded,
            shipment: vec![None],
            events: vec![Told::Paid, Told::Rejected, Told::Refunded],
            also_events: Vec::new(),
        },
        OrderStatus::Cancelled => cancelled(paid, reserved),
        // Others have not ended, and nobody asks.
        _ => Way {
            payment: PaymentStatus::Completed,
            shipment: vec![Some(ShipmentStatus::Shipped)],
            events: vec![Told::Paid, Told::Taken, Told::Packed, Told::Shipped],
            also_events: Vec::new(),
        },
    };
    way.events.push(Told::Placed);
    if order.asked_back {
        way.events.push(Told::AskedBack);
        // Asked back when it was about to end for another reason: it is stopped all the same, and stays what it is.
        match order.status {
            OrderStatus::Declined => way.also_events.extend([Told::Stopped, Told::Released]),
            OrderStatus::Refunded => way.also_events.push(Told::Stopped),
            _ => {}
        }
        if matches!(order.status, OrderStatus::Declined | OrderStatus::Refunded) {
            way.shipment.push(Some(ShipmentStatus::Cancelled));
        }
    }
    way
}

fn cancelled(paid: bool, reserved: bool) -> Way {
    let mut events = vec![Told::AskedBack, Told::Stopped, Told::Released];
    let payment = match paid {
        true => PaymentStatus::Refunded,
        false => PaymentStatus::Cancelled,
    };
    match paid {
        true => events.extend([Told::Paid, Told::Refunded]),
        false => events.push(Told::CalledOff),
    }
    if reserved {
        events.push(Told::Taken);
    }
    Way {
        payment,
        shipment: vec![Some(ShipmentStatus::Cancelled)],
        events,
        also_events: Vec::new(),
    }
}
