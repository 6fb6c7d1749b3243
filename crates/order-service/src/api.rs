//! POST /orders, GET /orders, GET /orders/{id} and POST /orders/{id}/cancel.

use std::sync::Arc;

use contracts::{
    CustomerId, Item, Money, OrderId, OrderStatus, ShippingAddress, Timestamp, total_of,
};
use serde::{Deserialize, Serialize};
use service_kit::clock::SharedClock;
use service_kit::http::{
    self, BODY_LIMIT, FieldError, IdempotencyKey, Page, PageRequest, Problem, Routes, Segment,
    accepted, created, json_body, ok,
};
use service_kit::ids::IdGenerator;
use service_kit::outbox::{Outbox, REDRIVE};
use warp::reply::Response;
use warp::{Filter, Reply};

use crate::order::{Cancellation, Facts, Order, Transition};
use crate::orders::{Orders, Placed};

/// The paths that are answered here.
pub(crate) const TEMPLATES: [&str; 4] = ["/orders", "/orders/{id}", "/orders/{id}/cancel", REDRIVE];

/// The most lines of an order: the order's event then stays far below Kafka's megabyte.
const MOST_ITEMS: usize = 1000;

/// What takes orders.
#[derive(Debug)]
pub(crate) struct Shop {
    pub(crate) orders: Orders,
    pub(crate) outbox: Outbox<Order>,
    pub(crate) ids: IdGenerator,
    pub(crate) clock: SharedClock,
}

/// The body of POST /orders.
#[derive(Debug, Deserialize)]
struct NewOrder {
    customer_id: CustomerId,
    items: Vec<Item>,
    shipping_address: ShippingAddress,
    total_amount: Money,
}

/// An order as HTTP tells it.
#[derive(Debug, Serialize)]
struct OrderView {
    order_id: OrderId,
    customer_id: CustomerId,
    items: Vec<Item>,
    shipping_address: ShippingAddress,
    total_amount: Money,
    status: OrderStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel_requested_at: Option<Timestamp>,
    history: Vec<Transition>,
}

impl From<Order> for OrderView {
    fn from(order: Order) -> Self {
        Self {
            order_id: order.order_id,
            customer_id: order.customer_id,
            items: order.items,
            shipping_address: order.shipping_address,
            total_amount: order.total_amount,
            status: order.status,
            reason: order.reason,
            created_at: order.created_at,
            cancel_requested_at: order.cancel_requested_at,
            history: order.history,
        }
    }
}

pub(crate) fn routes(shop: Arc<Shop>) -> Routes {
    let with_shop = warp::any().map(move || Arc::clone(&shop));
    let place = warp::path!("orders")
        .and(http::post())
        .and(with_shop.clone())
        .and(http::no_query())
        .and(http::idempotency_key())
        .and(json_body::<NewOrder>(BODY_LIMIT))
        .then(|shop: Arc<Shop>, query, key, body| async move {
            place(&shop, query, key, body)
                .await
                .unwrap_or_else(Reply::into_response)
        });
    let list = warp::path!("orders")
        .and(http::get())
        .and(with_shop.clone())
        .and(http::page())
        .then(|shop: Arc<Shop>, page| async move {
            list(&shop, page).await.unwrap_or_else(Reply::into_response)
        });
    let get = warp::path!("orders" / Segment)
        .and(http::get())
        .and(with_shop.clone())
        .and(http::no_query())
        .then(|order_id: Segment, shop: Arc<Shop>, query| async move {
            get(&shop, &order_id, query)
                .await
                .unwrap_or_else(Reply::into_response)
        });
    let cancel = warp::path!("orders" / Segment / "cancel")
        .and(http::post())
        .and(with_shop)
        .and(http::no_query())
        .then(|order_id: Segment, shop: Arc<Shop>, query| async move {
            cancel(&shop, &order_id, query)
                .await
                .unwrap_or_else(Reply::into_response)
        });
    http::first_of([place.boxed(), list.boxed(), get.boxed(), cancel.boxed()])
}

/// Stores the order, with the note that it is to be published, and answers: from here on it cannot be lost.
async fn place(
    shop: &Shop,
    query: Result<(), Problem>,
    key: Result<Option<IdempotencyKey>, Problem>,
    body: Result<NewOrder, Problem>,
) -> Result<Response, Problem> {
    query?;
    let key = key?;
    let body = body?;
    check(&body)?;
    let now = shop.clock.now();
    let order = Order {
        order_id: shop.ids.order_id(now),
        customer_id: body.customer_id,
        items: body.items,
        shipping_address: body.shipping_address,
        total_amount: body.total_amount,
        status: OrderStatus::Pending,
        reason: None,
        created_at: now,
        cancel_requested_at: None,
        idempotency_key: key.map(String::from),
        facts: Facts::default(),
        history: Order::beginning(now),
        unpublished: true,
        placed_published: false,
    };
    let order = match shop.orders.place(order).await? {
        Placed::New(order) => {
            shop.outbox.publish_soon(order.clone());
            order
        }
        // The first answer may have been lost on its way: this one says the same.
        Placed::Before(order) => order,
        Placed::AnotherOfThisKey => {
            return Err(Problem::invalid(vec![FieldError::new(
                "Idempotency-Key",
                "belongs to another order, which asks for something else",
            )]));
        }
    };
    let location = format!("/orders/{}", order.order_id);
    Ok(created(&location, &OrderView::from(order)))
}

/// What the types of the fields do not say by themselves.
fn check(order: &NewOrder) -> Result<(), Problem> {
    let mut errors = Vec::new();
    let mut wrong = |field: &str, detail: String| errors.push(FieldError::new(field, detail));
    if order.items.is_empty() {
        wrong("items", "must not be empty".to_owned());
    }
    if order.items.len() > MOST_ITEMS {
        wrong("items", format!("must have at most {MOST_ITEMS} lines"));
    }
    match total_of(&order.items) {
        None => wrong(
            "items",
            format!("must cost at most {} together", Money::MAX),
        ),
        // Without items there is no right sum either, and it is they that are missing.
        Some(sum) if sum != order.total_amount && !order.items.is_empty() => wrong(
            "total_amount",
            format!("must be the sum of the items, {sum}"),
        ),
        Some(_) => {}
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(Problem::invalid(errors))
}

async fn list(
    shop: &Shop,
    page: Result<PageRequest<OrderId>, Problem>,
) -> Result<Response, Problem> {
    let page = page?;
    let found = shop
        .orders
        .list(page.direction, page.after, page.limit)
        .await?;
    let items = found
        .items
        .into_iter()
        .map(|order| OrderView::from(order.document));
    Ok(ok(&Page::new(items, found.next)))
}

/// Stores that the order is asked for back, with the note that this is to be published. Whether it comes in time is for the
/// shipment to say: the order then comes to CANCELLED, or to SHIPPED.
async fn cancel(
    shop: &Shop,
    order_id: &str,
    query: Result<(), Problem>,
) -> Result<Response, Problem> {
    query?;
    let unknown = || unknown_order(order_id);
    let id: OrderId = order_id.parse().map_err(|_| unknown())?;
    let (order, outcome) = shop
        .orders
        .cancel(id, shop.clock.now())
        .await?
        .ok_or_else(unknown)?;
    match outcome {
        Cancellation::Requested => {
            if order.unpublished {
                shop.outbox.publish_soon(order.clone());
            }
            Ok(accepted(
                &format!("/orders/{}", order.order_id),
                &OrderView::from(order),
            ))
        }
        Cancellation::Done => Ok(ok(&OrderView::from(order))),
        Cancellation::TooLate => Err(Problem::conflict(format!(
            "the order is {} and cannot be cancelled any more",
            order.status
        ))),
    }
}

fn unknown_order(order_id: &str) -> Problem {
    Problem::not_found(format!("there is no order {order_id}"))
}

async fn get(shop: &Shop, order_id: &str, query: Result<(), Problem>) -> Result<Response, Problem> {
    query?;
    let unknown = || unknown_order(order_id);
    let id: OrderId = order_id.parse().map_err(|_| unknown())?;
    let order = shop.orders.get(id).await?.ok_or_else(unknown)?;
    Ok(ok(&OrderView::from(order)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{NewOrder, check};

    /// An order of so many lines of 1.00 each, and this total.
    fn wrong(lines: usize, price: f64, total: f64) -> Vec<String> {
        let line = json!({"product_id": "P001", "quantity": 1_000_000, "price": price});
        let order: NewOrder = serde_json::from_value(json!({
            "customer_id": "C1",
            "items": vec![line; lines],
            "shipping_address": "1 Main Street",
            "total_amount": total,
        }))
        .unwrap();
        let outcome = check(&order);
        let errors = outcome.err().map(|problem| problem.errors().to_vec());
        let errors = errors.unwrap_or_default().into_iter();
        errors.map(|error| error.field).collect()
    }

    #[test]
    fn each_field_that_is_wrong_by_itself_is_named() {
        assert_eq!(wrong(1, 1.0, 1_000_000.0), Vec::<String>::new());
        assert_eq!(wrong(1, 1.0, 7.0), ["total_amount"]);
        assert_eq!(wrong(0, 1.0, 7.0), ["items"]);
        assert_eq!(wrong(1001, 1.0, 7.0), ["items", "total_amount"]);
    }
}
