//! The JSON of each event, written down: a change here changes what other programs read.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly too")]

use contracts::{
    Envelope, Event, InventoryStatus, InventoryUpdated, Item, OrderCancelled, OrderId, OrderPlaced,
    OrderStatus, PaymentProcessed, PaymentStatus, Quantity, ShipmentId, ShipmentProcessed,
    ShipmentStatus, Timestamp, TrackingNumber, total_of,
};

fn order() -> OrderId {
    "01a207bd-a9c0-7000-8000-000000000001".parse().unwrap()
}

fn time(text: &str) -> Timestamp {
    format!("2026-11-23T09:30:{text}Z").parse().unwrap()
}

fn item(product: &str, quantity: u32, price: &str) -> Item {
    Item {
        product_id: product.parse().unwrap(),
        quantity: Quantity::new(quantity).unwrap(),
        price: price.parse().unwrap(),
    }
}

fn items() -> Vec<Item> {
    vec![item("P001", 2, "29.99"), item("P002", 1, "49.99")]
}

fn placed() -> OrderPlaced {
    OrderPlaced {
        order_id: order(),
        customer_id: "CUST-42".parse().unwrap(),
        items: items(),
        shipping_address: "1 Main Street, 12345 Springfield".parse().unwrap(),
        total_amount: total_of(&items()).unwrap(),
        status: OrderStatus::Pending,
        timestamp: time("00.000"),
    }
}

fn cancelled() -> OrderCancelled {
    OrderCancelled {
        order_id: order(),
        customer_id: placed().customer_id,
        items: items(),
        shipping_address: placed().shipping_address,
        status: OrderStatus::Cancelled,
        timestamp: time("00.002"),
    }
}

fn payment(status: PaymentStatus, reason: Option<&str>) -> PaymentProcessed {
    PaymentProcessed {
        order_id: order(),
        customer_id: placed().customer_id,
        amount: placed().total_amount,
        status,
        reason: reason.map(str::to_owned),
        items: items(),
        shipping_address: placed().shipping_address,
        timestamp: time("00.004"),
    }
}

fn inventory(status: InventoryStatus, reason: Option<&str>) -> InventoryUpdated {
    InventoryUpdated {
        order_id: order(),
        customer_id: placed().customer_id,
        status,
        reason: reason.map(str::to_owned),
        items: items(),
        shipping_address: placed().shipping_address,
        timestamp: time("00.007"),
    }
}

fn shipment(status: ShipmentStatus) -> ShipmentProcessed {
    ShipmentProcessed {
        order_id: order(),
        customer_id: placed().customer_id,
        shipment_id: ShipmentId::of(order()),
        items: items(),
        shipping_address: placed().shipping_address,
        status,
        tracking_number: TrackingNumber::of(order()),
        estimated_delivery: time("00.010").plus_days(3),
        timestamp: time("00.010"),
    }
}

fn holds<E: Event + PartialEq + std::fmt::Debug>(event: &E, golden: &str) {
    assert_eq!(
        serde_json::to_string_pretty(event).unwrap(),
        golden.trim_end()
    );
    assert_eq!(&serde_json::from_str::<E>(golden).unwrap(), event);
}

#[test]
fn every_event_reads_and_writes_its_golden_json() {
    holds(&placed(), include_str!("../golden/order_placed.json"));
    holds(&cancelled(), include_str!("../golden/order_cancelled.json"));
    holds(
        &payment(PaymentStatus::Completed, None),
        include_str!("../golden/payment_processed.json"),
    );
    holds(
        &payment(
            PaymentStatus::Declined,
            Some("the total is above the limit of 100.00"),
        ),
        include_str!("../golden/payment_declined.json"),
    );
    holds(
        &inventory(InventoryStatus::Updated, None),
        include_str!("../golden/inventory_updated.json"),
    );
    holds(
        &inventory(InventoryStatus::Rejected, Some("P002: 1 wanted, 0 left")),
        include_str!("../golden/inventory_rejected.json"),
    );
    holds(
        &inventory(InventoryStatus::Released, Some("cancelled by the customer")),
        include_str!("../golden/inventory_released.json"),
    );
    holds(
        &shipment(ShipmentStatus::Shipped),
        include_str!("../golden/shipment_processed.json"),
    );
    holds(
        &shipment(ShipmentStatus::Cancelled),
        include_str!("../golden/shipment_cancelled.json"),
    );
}

#[test]
fn the_headers_are_those_of_cloudevents() {
    let message = Envelope::new(placed(), None).encode().unwrap();
    let headers: Vec<String> = message
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)))
        .collect();
    assert_eq!(
        headers.join("\n"),
        include_str!("../golden/order_placed.headers").trim_end()
    );
    assert_eq!(message.topic, "order_placed");
    assert_eq!(message.key, b"01a207bd-a9c0-7000-8000-000000000001");
}

#[test]
fn fields_that_are_added_later_are_passed_over() {
    let golden = include_str!("../golden/order_placed.json").replacen('{', "{\"gift\": true,", 1);
    assert_eq!(
        serde_json::from_str::<OrderPlaced>(&golden).unwrap(),
        placed()
    );
}
