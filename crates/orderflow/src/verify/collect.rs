//! Reading the facts: all pages of the four services, and every record of the five topics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use contracts::{
    CustomerId, Envelope, Event, InventoryUpdated, Item, Money, OrderCancelled, OrderId,
    OrderPlaced, OrderStatus, PaymentProcessed, PaymentStatus, ProductId, ShipmentProcessed,
    ShipmentStatus, ShippingAddress, Timestamp, names,
};
use kafka_client::{
    Client, ClientError, ConsumerConfig, ListedOffset, OffsetAt, OffsetReset, PerItem, RecordView,
    StartAt, TopicPartition,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::facts::{
    Content, EventFact, Facts, OrderFact, PaymentFact, ProductFact, ShipmentFact, Told,
};
use super::{Progress, VerifyError, VerifySettings};
use crate::http::{BaseUrl, Connection, HttpError, PATIENCE, Page};

/// Records that are taken over at a time.
const BATCH: usize = 1000;
/// How long the next records of a partition may take that has some.
const READ: Duration = Duration::from_secs(30);

#[derive(Debug, Deserialize)]
struct Order {
    order_id: OrderId,
    customer_id: CustomerId,
    items: Vec<Item>,
    shipping_address: ShippingAddress,
    total_amount: Money,
    status: OrderStatus,
    cancel_requested_at: Option<Timestamp>,
    history: Vec<Step>,
}

#[derive(Debug, Deserialize)]
struct Step {
    status: OrderStatus,
}

#[derive(Debug, Deserialize)]
struct Payment {
    order_id: OrderId,
    amount: Money,
    status: PaymentStatus,
}

#[derive(Debug, Deserialize)]
struct Shipment {
    order_id: OrderId,
    customer_id: CustomerId,
    items: Vec<Item>,
    shipping_address: ShippingAddress,
    status: ShipmentStatus,
}

#[derive(Debug, Deserialize)]
struct Product {
    product_id: ProductId,
    quantity: u64,
    initial: u64,
    restocked: u64,
}

/// Reads the orders, into facts that have nothing else.
pub(super) async fn orders(
    settings: &VerifySettings,
    progress: &Progress,
) -> Result<Facts, VerifyError> {
    let mut facts = Facts::default();
    // The products of a shop are few and its orders many: each product's id is kept once.
    let mut products: BTreeSet<ProductId> = BTreeSet::new();
    let mut twice = Vec::new();
    progress.orders.store(0, Ordering::Relaxed);
    each(&settings.order_url, "/orders", |order: Order| {
        let content = Content::of(&order.customer_id, &order.items, &order.shipping_address);
        let mut items = order.items;
        for item in &mut items {
            match products.get(&item.product_id) {
                Some(known) => item.product_id = known.clone(),
                None => {
                    products.insert(item.product_id.clone());
                }
            }
        }
        let fact = OrderFact {
            status: order.status,
            history: order.history.iter().map(|step| step.status).collect(),
            asked_back: order.cancel_requested_at.is_some(),
            items,
            total: order.total_amount,
            content,
        };
        if facts.orders.insert(order.order_id, fact).is_some() {
            twice.push((names::ORDER_SERVICE, order.order_id));
        }
        progress.orders.fetch_add(1, Ordering::Relaxed);
    })
    .await?;
    facts.listed_twice = twice;
    Ok(facts)
}

/// Adds what the other services and the topics say. In this order, so that whatever an order has led to when it was read is
/// there when the rest is.
pub(super) async fn the_rest(
    settings: &VerifySettings,
    facts: &mut Facts,
    progress: &Progress,
) -> Result<(), VerifyError> {
    let mut twice = Vec::new();
    each(&settings.payment_url, "/payments", |payment: Payment| {
        let fact = PaymentFact {
            status: payment.status,
            amount: payment.amount,
        };
        if facts.payments.insert(payment.order_id, fact).is_some() {
            twice.push((names::PAYMENT_SERVICE, payment.order_id));
        }
    })
    .await?;
    each(&settings.inventory_url, "/inventory", |product: Product| {
        let fact = ProductFact {
            quantity: product.quantity,
            initial: product.initial,
            restocked: product.restocked,
        };
        facts.products.insert(product.product_id, fact);
    })
    .await?;
    each(
        &settings.shipment_url,
        "/shipments",
        |shipment: Shipment| {
            let content = Content::of(
                &shipment.customer_id,
                &shipment.items,
                &shipment.shipping_address,
            );
            let fact = ShipmentFact {
                status: shipment.status,
                content,
            };
            if facts.shipments.insert(shipment.order_id, fact).is_some() {
                twice.push((names::SHIPMENT_SERVICE, shipment.order_id));
            }
        },
    )
    .await?;
    facts.listed_twice.extend(twice);
    topics(&settings.client, facts, progress).await
}

/// Hands over each item of a list, page by page.
async fn each<T: DeserializeOwned>(
    url: &BaseUrl,
    list: &str,
    mut take: impl FnMut(T),
) -> Result<(), HttpError> {
    let mut connection = Connection::to(url);
    let mut path = format!("{list}?limit=500");
    loop {
        let page: Page<T> = connection.page(&path, PATIENCE).await?;
        page.items.into_iter().for_each(&mut take);
        match page.next {
            Some(next) => path = format!("{list}?limit=500&after={next}"),
            None => return Ok(()),
        }
    }
}

/// Reads every topic of the pipeline that is there, from its start to where its end is now.
async fn topics(
    client: &Client,
    facts: &mut Facts,
    progress: &Progress,
) -> Result<(), VerifyError> {
    progress.records.store(0, Ordering::Relaxed);
    let admin = client.admin();
    let there: Vec<String> = admin
        .list_topics()
        .await?
        .into_iter()
        .map(|topic| topic.name.to_string())
        .collect();
    for topic in names::TOPICS {
        if !there.iter().any(|name| name == topic) {
            continue;
        }
        let mut places = Vec::new();
        for (_, described) in admin.describe_topics(&[topic]).await? {
            let partitions = described?.partitions;
            places.extend(
                partitions
                    .iter()
                    .map(|p| TopicPartition::new(topic, p.partition)),
            );
        }
        let starts = offsets(admin.list_offsets(&places, OffsetAt::Earliest).await?)?;
        let ends = offsets(admin.list_offsets(&places, OffsetAt::Latest).await?)?;
        for place in places {
            let start = starts.get(&place).copied().unwrap_or_default();
            let end = ends.get(&place).copied().unwrap_or_default();
            partition(client, &place, (start, end), facts, progress).await?;
        }
    }
    Ok(())
}

fn offsets(
    listed: PerItem<TopicPartition, ListedOffset>,
) -> Result<BTreeMap<TopicPartition, i64>, ClientError> {
    let listed = listed.into_iter();
    listed
        .map(|(place, found)| Ok((place, found?.offset.unwrap_or_default())))
        .collect()
}

async fn partition(
    client: &Client,
    place: &TopicPartition,
    (start, end): (i64, i64),
    facts: &mut Facts,
    progress: &Progress,
) -> Result<(), VerifyError> {
    if start >= end {
        return Ok(());
    }
    let config = ConsumerConfig {
        auto_offset_reset: OffsetReset::Earliest,
        ..ConsumerConfig::default()
    };
    let mut consumers = client.consume(config, [(place.clone(), StartAt::Offset(start))])?;
    let Some(consumer) = consumers.first_mut() else {
        return Ok(());
    };
    // Offsets may be missing, so the position tells when the end is reached, and not the last record.
    while consumer.position().is_none_or(|next| next < end) {
        let polled = tokio::time::timeout(READ, consumer.poll(BATCH)).await;
        let records = polled.map_err(|_| VerifyError::TooSlow(place.clone()))??;
        let Some(records) = records else {
            break;
        };
        for record in records.iter().filter(|record| record.offset < end) {
            progress.records.fetch_add(1, Ordering::Relaxed);
            match read(&place.topic, &record) {
                Some((order, event)) => facts.event(order, event),
                None => facts.unreadable += 1,
            }
        }
    }
    Ok(())
}

/// The event that a record is; none where it is none of its topic's, or not under its order's key.
fn read(topic: &str, record: &RecordView<'_>) -> Option<(OrderId, EventFact)> {
    match topic {
        names::ORDER_PLACED => event(record, |event: &OrderPlaced| {
            let amount = Some(event.total_amount);
            (
                Content::of(&event.customer_id, &event.items, &event.shipping_address),
                amount,
            )
        }),
        names::ORDER_CANCELLED => event(record, |event: &OrderCancelled| {
            (
                Content::of(&event.customer_id, &event.items, &event.shipping_address),
                None,
            )
        }),
        names::PAYMENT_PROCESSED => event(record, |event: &PaymentProcessed| {
            let amount = Some(event.amount);
            (
                Content::of(&event.customer_id, &event.items, &event.shipping_address),
                amount,
            )
        }),
        names::INVENTORY_UPDATED => event(record, |event: &InventoryUpdated| {
            (
                Content::of(&event.customer_id, &event.items, &event.shipping_address),
                None,
            )
        }),
        names::SHIPMENT_PROCESSED => event(record, |event: &ShipmentProcessed| {
            (
                Content::of(&event.customer_id, &event.items, &event.shipping_address),
                None,
            )
        }),
        _ => None,
    }
}

fn event<E: Event>(
    record: &RecordView<'_>,
    says: impl Fn(&E) -> (Content, Option<Money>),
) -> Option<(OrderId, EventFact)> {
    let headers = record.headers;
    let headers = headers.filter_map(|header| Some((header.key, header.value?)));
    let envelope = Envelope::<E>::decode(headers, record.value.unwrap_or_default()).ok()?;
    let order = envelope.data.order_id();
    let (content, amount) = says(&envelope.data);
    let fact = EventFact {
        told: Told::of(envelope.data.step())?,
        id: envelope.attributes.id,
        content,
        amount,
        times: 1,
    };
    let keyed = record.key == Some(order.to_string().as_bytes());
    keyed.then_some((order, fact))
}
