//! What a customer or the warehouse would do, passed on to the services; and the orders that the dashboard places by itself.

use std::time::Duration;

use bytes::Bytes;
use contracts::{OrderId, ProductId, names};
use kafka_client::ProducerRecord;
use serde::Deserialize;
use service_kit::http::{
    BODY_LIMIT, FieldError, IdempotencyKey, Problem, Routes, Segment, first_of, idempotency_key,
    json_body, json_bytes,
};
use warp::Filter;
use warp::reply::Response;

use super::{Deeds, Nothing, allowed, done, told};
use crate::api::passed_on;
use crate::load::FASTEST;
use crate::services::not_answered;

/// How long a service is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long Kafka is waited for.
const PUBLISH: Duration = Duration::from_secs(5);
/// What is published that is no event.
const POISON: &[u8] = b"this is no event";

#[derive(Debug, Deserialize)]
struct NewLoad {
    rate: u32,
}

#[derive(Debug, Deserialize)]
struct Poison {
    topic: String,
}

pub(super) fn routes(deeds: Deeds) -> Routes {
    let place = warp::path!("api" / "orders")
        .and(allowed(deeds.clone()))
        .and(idempotency_key())
        .and(json_bytes(BODY_LIMIT))
        .then(|deeds, key, body| async move { told(place(deeds, key, body).await) });
    let cancel = warp::path!("api" / "orders" / Segment / "cancel")
        .and(allowed(deeds.clone()))
        .and(json_body::<Nothing>(BODY_LIMIT))
        .then(|id: Segment, deeds, body| async move { told(cancel(&id, deeds, body).await) });
    let restock = warp::path!("api" / "inventory" / Segment / "restock")
        .and(allowed(deeds.clone()))
        .and(idempotency_key())
        .and(json_bytes(BODY_LIMIT))
        .then(|product: Segment, deeds, key, body| async move {
            told(restock(&product, deeds, key, body).await)
        });
    let load = warp::path!("api" / "load")
        .and(allowed(deeds.clone()))
        .and(json_body::<NewLoad>(BODY_LIMIT))
        .map(|deeds, body| told(load(deeds, body)));
    let poison = warp::path!("api" / "poison")
        .and(allowed(deeds))
        .and(json_body::<Poison>(BODY_LIMIT))
        .then(|deeds, body| async move { told(poison(deeds, body).await) });
    first_of([
        place.boxed(),
        cancel.boxed(),
        restock.boxed(),
        load.boxed(),
        poison.boxed(),
    ])
}

type Key = Result<Option<IdempotencyKey>, Problem>;

async fn place(
    deeds: Result<Deeds, Problem>,
    key: Key,
    body: Result<Vec<u8>, Problem>,
) -> Result<Response, Problem> {
    let (deeds, key, body) = (deeds?, key?, body?);
    pass_on(&deeds, names::ORDER_SERVICE, "/orders", key, Some(body)).await
}

async fn cancel(
    id: &str,
    deeds: Result<Deeds, Problem>,
    body: Result<Nothing, Problem>,
) -> Result<Response, Problem> {
    let deeds = deeds?;
    body?;
    let unknown = |_| Problem::not_found(format!("there is no order {id}"));
    let id: OrderId = id.parse().map_err(unknown)?;
    let path = format!("/orders/{id}/cancel");
    pass_on(&deeds, names::ORDER_SERVICE, &path, None, None).await
}

async fn restock(
    product: &str,
    deeds: Result<Deeds, Problem>,
    key: Key,
    body: Result<Vec<u8>, Problem>,
) -> Result<Response, Problem> {
    let (deeds, key, body) = (deeds?, key?, body?);
    let unknown = |_| Problem::not_found(format!("there is no product {product}"));
    let product: ProductId = product.parse().map_err(unknown)?;
    let path = format!("/inventory/{product}/restock");
    pass_on(&deeds, names::INVENTORY_SERVICE, &path, key, Some(body)).await
}

/// The service's answer, whatever it is.
async fn pass_on(
    deeds: &Deeds,
    service: &str,
    path: &str,
    key: Option<IdempotencyKey>,
    body: Option<Vec<u8>>,
) -> Result<Response, Problem> {
    let base = deeds.services.url_of(service)?;
    let key = key.as_ref().map(IdempotencyKey::as_str);
    let body = body.map(Bytes::from);
    let answer = deeds.services.post(&base, path, key, body, PATIENCE).await;
    Ok(passed_on(answer.map_err(|error| not_answered(&error))?))
}

fn load(
    deeds: Result<Deeds, Problem>,
    body: Result<NewLoad, Problem>,
) -> Result<Response, Problem> {
    let (deeds, NewLoad { rate }) = (deeds?, body?);
    if rate > FASTEST {
        let detail = format!("must be from 0 to {FASTEST}");
        return Err(Problem::invalid(vec![FieldError::new("rate", detail)]));
    }
    deeds.load.set(rate);
    Ok(done(match rate {
        0 => "places no more orders".to_owned(),
        1 => "places 1 order a second from now on".to_owned(),
        rate => format!("places {rate} orders a second from now on"),
    }))
}

async fn poison(
    deeds: Result<Deeds, Problem>,
    body: Result<Poison, Problem>,
) -> Result<Response, Problem> {
    let (deeds, Poison { topic }) = (deeds?, body?);
    if !names::TOPICS.contains(&topic.as_str()) {
        let detail = format!("must be one of {}", names::TOPICS.join(", "));
        return Err(Problem::invalid(vec![FieldError::new("topic", detail)]));
    }
    let record = ProducerRecord::new(&topic).value(POISON);
    let publishing = async { deeds.producer.send(&record).await?.await };
    let written = tokio::time::timeout(PUBLISH, Box::pin(publishing)).await;
    let written = written
        .map_err(|_| Problem::unavailable("Kafka does not answer; it may still be published"))?
        .map_err(|error| Problem::unavailable(format!("it was not published: {error}")))?;
    Ok(done(format!(
        "published a record that is no event: {topic}, partition {}, offset {}",
        written.partition, written.offset
    )))
}
