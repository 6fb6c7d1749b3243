//! The envelope, both ways, and what it says of records that are not events.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly too")]

use contracts::{
    Attributes, DecodeError, Envelope, Event, EventId, Item, Message, Money, OrderId, OrderPlaced,
    OrderStatus, PaymentProcessed, Quantity, Timestamp, TraceParent,
};
use proptest::prelude::*;

fn event() -> OrderPlaced {
    serde_json::from_str(include_str!("../golden/order_placed.json")).unwrap()
}

fn decode<E: Event>(message: &Message) -> Result<Envelope<E>, DecodeError> {
    Envelope::decode(
        message
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_ref())),
        &message.value,
    )
}

fn with(name: &'static str, value: &'static [u8]) -> Message {
    let mut message = Envelope::new(event(), None).encode().unwrap();
    message.headers.retain(|(known, _)| *known != name);
    message.headers.push((name, value.into()));
    message
}

fn refused(message: &Message) -> String {
    decode::<OrderPlaced>(message).unwrap_err().to_string()
}

#[test]
fn a_redone_step_gives_the_same_bytes() {
    assert_eq!(
        Envelope::new(event(), None).encode().unwrap(),
        Envelope::new(event(), None).encode().unwrap()
    );
}

#[test]
fn the_trace_of_the_cause_goes_on() {
    let cause: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        .parse()
        .unwrap();
    let envelope = Envelope::new(event(), Some(cause));
    let traceparent = envelope.attributes.traceparent.unwrap();
    assert_eq!(traceparent.trace_id(), cause.trace_id());
    // The event is the span: the first half of its id.
    let id = EventId::of(event().order_id, event().step()).to_string();
    let span = format!("{:016x}", traceparent.span_id());
    assert_eq!(span, id.replace('-', "")[..16]);
    assert!(traceparent.is_sampled());
}

#[test]
fn an_error_names_what_is_wrong() {
    for name in ["ce_id", "ce_type", "ce_source", "ce_specversion", "ce_time"] {
        let mut message = with(name, b"");
        message.headers.pop();
        assert_eq!(refused(&message), format!("header {name} is missing"));
        message.headers.extend([
            (name, b"x".as_slice().into()),
            (name, b"x".as_slice().into()),
        ]);
        assert_eq!(
            refused(&message),
            format!("header {name} is there more than once")
        );
    }
    assert_eq!(
        refused(&with("ce_specversion", b"0.3")),
        "header ce_specversion is \"0.3\": must be 1.0"
    );
    assert_eq!(
        refused(&with("ce_id", b"7")),
        "header ce_id is \"7\": must be a UUID"
    );
    assert_eq!(
        refused(&with("ce_source", b"")),
        "header ce_source is \"\": must not be empty"
    );
    assert!(
        refused(&with("ce_time", b"today"))
            .starts_with("header ce_time is \"today\": must be a time")
    );
    assert!(refused(&with("ce_type", b"\xff")).ends_with("must be UTF-8"));
    assert_eq!(
        refused(&with("content-type", b"application/avro")),
        "header content-type is \"application/avro\": must be application/json"
    );
    assert_eq!(
        refused(&with("ce_type", b"orderflow.order_placed.v2")),
        "event is of type \"orderflow.order_placed.v2\", not orderflow.order_placed.v1"
    );
    let message = Envelope::new(event(), None).encode().unwrap();
    assert!(matches!(
        decode::<PaymentProcessed>(&message),
        Err(DecodeError::Type { .. })
    ));
}

#[test]
fn a_value_that_is_not_the_event_is_told_with_its_place() {
    let mut message = Envelope::new(event(), None).encode().unwrap();
    for (value, reason) in [
        ("", "value is empty"),
        (
            "{",
            "value is no orderflow.order_placed.v1: EOF while parsing an object at line 1 column 1",
        ),
        (
            "{}",
            "value is no orderflow.order_placed.v1: missing field `order_id` at line 1 column 2",
        ),
    ] {
        message.value = value.into();
        assert_eq!(refused(&message), reason);
    }
}

#[test]
fn what_an_error_repeats_of_the_value_is_cut_and_its_place_is_not() {
    let mut message = Envelope::new(event(), None).encode().unwrap();
    let mut value: serde_json::Value = serde_json::from_slice(&message.value).unwrap();
    value["status"] = "é".repeat(100_000).into();
    message.value = serde_json::to_vec(&value).unwrap();
    let told = refused(&message);
    assert!(told.chars().count() < 1_200, "{told}");
    assert!(told.contains("unknown variant `éé"), "{told}");
    assert!(told.contains(" at line 1 column "), "{told}");
}

#[test]
fn what_does_not_matter_is_passed_over() {
    let plain = Envelope::new(event(), None);
    assert_eq!(
        decode::<OrderPlaced>(&with("content-type", b"Application/JSON; charset=utf-8")).unwrap(),
        plain
    );
    assert_eq!(
        decode::<OrderPlaced>(&with("traceparent", b"junk"))
            .unwrap()
            .attributes
            .traceparent,
        None
    );
    assert_eq!(
        decode::<OrderPlaced>(&with("x-other", b"\xff")).unwrap(),
        plain
    );
}

fn money() -> impl Strategy<Value = Money> {
    (0..=Money::MAX.cents()).prop_map(|cents| Money::from_cents(cents).unwrap())
}

prop_compose! {
    fn any_item()(product in "[A-Za-z0-9._-]{1,64}", quantity in 1..=Quantity::MAX, price in money()) -> Item {
        Item { product_id: product.parse().unwrap(), quantity: Quantity::new(quantity).unwrap(), price }
    }
}

prop_compose! {
    fn any_order()(
        millis in 0..=Timestamp::MAX.millis(),
        random: [u8; 10],
        customer in "[^\\p{C}\\s]\\PC{0,127}",
        address in "[^\\p{C}\\s][\\PC\n]{0,499}",
        items in prop::collection::vec(any_item(), 0..5),
        total_amount in money(),
    ) -> OrderPlaced {
        let timestamp = Timestamp::from_millis(millis);
        OrderPlaced {
            order_id: OrderId::new(timestamp, random),
            customer_id: customer.parse().unwrap(),
            items,
            shipping_address: address.parse().unwrap(),
            total_amount,
            status: OrderStatus::Pending,
            timestamp,
        }
    }
}

proptest! {
    #[test]
    fn every_event_comes_back(order in any_order()) {
        let envelope = Envelope::new(order, None);
        let message = envelope.encode().unwrap();
        prop_assert_eq!(decode::<OrderPlaced>(&message).unwrap(), envelope);
    }

    #[test]
    fn no_record_panics(
        headers in prop::collection::vec(("ce_(id|type|source|specversion|time)|content-type|traceparent|x", prop::collection::vec(any::<u8>(), 0..60)), 0..9),
        value in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        let _ = Attributes::decode(headers.clone());
        let _ = Envelope::<OrderPlaced>::decode(headers, &value);
    }
}
