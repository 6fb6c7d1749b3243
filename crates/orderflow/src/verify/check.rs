//! What must be so of a shop's facts. A pure function: what it is handed may be broken on purpose.
//!
//! The services are read one after the other while they may go on working. So an order that order-service did not know when its
//! list was read, and that is newer than all that it knew, is left out: it was placed since. One that was about to be stored just
//! then may have a smaller id and be found wanting: while orders are placed, only what the next look finds as well is broken.

use std::collections::BTreeMap;

use contracts::{EventId, OrderId, OrderStatus, PaymentStatus, ProductId, ShipmentStatus};
use serde::Serialize;

use super::facts::{Facts, OrderFact, Told};
use super::way::{Way, is_a_way, way_of};
use crate::load::is_final;

/// Something that must be so and is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{about}: expected {expected}, found {found}")]
pub struct Violation {
    /// The order or the product, as `order ID` or `product ID`.
    pub about: String,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: String,
}

impl Violation {
    fn of_order(id: &OrderId, expected: impl ToString, found: impl ToString) -> Self {
        Self {
            about: format!("order {id}"),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }
}

/// Everything that is not as it must be, in the order of the orders' and then the products' ids.
pub fn check(facts: &Facts) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (id, order) in &facts.orders {
        if is_final(order.status) {
            check_end(facts, id, order, &mut violations);
        } else {
            violations.push(Violation::of_order(id, "a final status", order.status));
        }
        check_history(id, order, &mut violations);
        check_events(facts, id, order, &mut violations);
    }
    check_strangers(facts, &mut violations);
    check_stock(facts, &mut violations);
    violations
}

/// Whether an order that is not among the orders may have been placed since they were read.
pub(crate) fn is_newer(facts: &Facts, id: &OrderId) -> bool {
    facts
        .orders
        .last_key_value()
        .is_none_or(|(newest, _)| id > newest)
}

/// The payment and the shipment are what the order's end says.
fn check_end(facts: &Facts, id: &OrderId, order: &OrderFact, violations: &mut Vec<Violation>) {
    let status = order.status;
    let way = way_of(order);
    match facts.payments.get(id) {
        None => violations.push(Violation::of_order(
            id,
            format!(
                "a payment that is {}, as the order is {status}",
                way.payment
            ),
            "none",
        )),
        Some(payment) => {
            if payment.status != way.payment {
                let expected = format!("payment {}, as the order is {status}", way.payment);
                violations.push(Violation::of_order(id, expected, payment.status));
            }
            if payment.amount != order.total {
                let expected = format!("a payment of {}", order.total);
                violations.push(Violation::of_order(id, expected, payment.amount));
            }
        }
    }
    let shipment = facts.shipments.get(id);
    let found = shipment.map(|shipment| shipment.status);
    if !way.shipment.contains(&found) {
        let name = |status: &Option<ShipmentStatus>| match status {
            Some(status) => format!("shipment {status}"),
            None => "no shipment".to_owned(),
        };
        let names: Vec<String> = way.shipment.iter().map(name).collect();
        let expected = format!("{}, as the order is {status}", names.join(" or "));
        violations.push(Violation::of_order(id, expected, name(&found)));
    }
    if let Some(shipment) = shipment
        && shipment.content != order.content
    {
        violations.push(Violation::of_order(
            id,
            "a shipment of the order's items, to its customer and address",
            "another one",
        ));
    }
}

fn check_history(id: &OrderId, order: &OrderFact, violations: &mut Vec<Violation>) {
    let told = || {
        let statuses: Vec<&str> = order.history.iter().map(|s| s.as_str()).collect();
        statuses.join(", ")
    };
    if order.history.last() != Some(&order.status) {
        let expected = format!("a history that ends with {}", order.status);
        violations.push(Violation::of_order(id, expected, told()));
    }
    if !is_a_way(&order.history) {
        violations.push(Violation::of_order(
            id,
            "a history of steps that an order takes",
            told(),
        ));
    }
}

/// Each event is there with one id and says what the order says; and the order's way has all of its events, and no others.
fn check_events(facts: &Facts, id: &OrderId, order: &OrderFact, violations: &mut Vec<Violation>) {
    let none = Vec::new();
    let events = facts.events.get(id).unwrap_or(&none);
    let mut ids: BTreeMap<Told, Vec<EventId>> = BTreeMap::new();
    for event in events {
        let of_step = ids.entry(event.told).or_default();
        if !of_step.contains(&event.id) {
            of_step.push(event.id);
        }
        if event.content != order.content {
            let expected = format!(
                "{} with the order's customer, items and address",
                event.told
            );
            violations.push(Violation::of_order(id, expected, "an event with others"));
        }
        if let Some(amount) = event.amount.filter(|amount| *amount != order.total) {
            let expected = format!("{} with {}", event.told, order.total);
            violations.push(Violation::of_order(id, expected, amount));
        }
    }
    for (told, found) in &ids {
        let right = EventId::of(*id, told.step());
        if *found != [right] {
            let expected = format!("{told} with the event id {right} only");
            let found: Vec<String> = found.iter().map(EventId::to_string).collect();
            violations.push(Violation::of_order(id, expected, found.join(", ")));
        }
    }
    if !is_final(order.status) {
        return;
    }
    let Way {
        events,
        also_events,
        ..
    } = way_of(order);
    for told in events.iter().filter(|told| !ids.contains_key(told)) {
        let expected = format!("{told}, as the order is {}", order.status);
        violations.push(Violation::of_order(id, expected, "no such event"));
    }
    for told in ids.keys() {
        if !events.contains(told) && !also_events.contains(told) {
            let expected = format!("no {told}, as the order is {}", order.status);
            violations.push(Violation::of_order(id, expected, "the event"));
        }
    }
}

/// No payment and no shipment is of an order that there is not, and none is there twice.
fn check_strangers(facts: &Facts, violations: &mut Vec<Violation>) {
    let payments = facts.payments.keys().map(|id| ("payment", id));
    let shipments = facts.shipments.keys().map(|id| ("shipment", id));
    for (what, id) in payments.chain(shipments) {
        let known = facts.orders.contains_key(id);
        if !known && (facts.orders.is_empty() || !is_newer(facts, id)) {
            let expected = format!("no {what} of an order that order-service does not know");
            violations.push(Violation::of_order(id, expected, format!("a {what}")));
        }
    }
    for (service, id) in &facts.listed_twice {
        let expected = format!("once in the list of {service}");
        violations.push(Violation::of_order(id, expected, "twice"));
    }
}

/// What was there and what came is what is left and what went. Of orders that are not final some may have their pieces already.
fn check_stock(facts: &Facts, violations: &mut Vec<Violation>) {
    let (mut gone, mut perhaps): (BTreeMap<&ProductId, u64>, BTreeMap<&ProductId, u64>) =
        Default::default();
    for order in facts.orders.values() {
        let count = match order.status {
            OrderStatus::Shipped => &mut gone,
            OrderStatus::Reserved if !order.asked_back => &mut gone,
            OrderStatus::Reserved | OrderStatus::Pending | OrderStatus::Paid => &mut perhaps,
            OrderStatus::Declined
            | OrderStatus::Rejected
            | OrderStatus::Refunded
            | OrderStatus::Cancelled => continue,
        };
        for item in &order.items {
            *count.entry(&item.product_id).or_default() += u64::from(item.quantity.get());
        }
    }
    // Orders that were placed since may have taken anything.
    let since = facts.payments.keys().chain(facts.events.keys());
    let quiet = since
        .filter(|id| !facts.orders.contains_key(id))
        .all(|id| !facts.orders.is_empty() && !is_newer(facts, id));
    for (product, fact) in &facts.products {
        let there_were = fact.initial.saturating_add(fact.restocked);
        let gone = gone.get(product).copied().unwrap_or_default();
        let perhaps = perhaps.get(product).copied().unwrap_or_default();
        let accounted = fact.quantity.saturating_add(gone);
        let enough = there_were <= accounted.saturating_add(perhaps) || !quiet;
        if there_were < accounted || !enough {
            violations.push(Violation {
                about: format!("product {product}"),
                expected: format!(
                    "{} initial + {} restocked = quantity + {gone} shipped or reserved{}",
                    fact.initial,
                    fact.restocked,
                    match perhaps {
                        0 => String::new(),
                        perhaps => format!(" + at most {perhaps} of orders on their way"),
                    }
                ),
                found: format!("a quantity of {}", fact.quantity),
            });
        }
    }
}

/// Orders that have a payment which was captured and not given back; for the summary.
pub(crate) fn paid(facts: &Facts) -> u64 {
    let paid = |status| status == PaymentStatus::Completed;
    facts.payments.values().filter(|p| paid(p.status)).count() as u64
}
