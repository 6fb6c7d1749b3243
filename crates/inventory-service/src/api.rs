//! GET /inventory, GET /inventory/{product_id} and POST /inventory/{product_id}/restock.

use std::sync::Arc;

use contracts::{Money, ProductId, Quantity};
use serde::{Deserialize, Serialize};
use service_kit::http::{
    self, BODY_LIMIT, FieldError, IdempotencyKey, Page, PageRequest, Problem, Routes, Segment,
    json_body, ok,
};
use warp::reply::Response;
use warp::{Filter, Reply};

use crate::stock::Product;
use crate::warehouse::{Restocked, Warehouse};

/// The paths that are answered here.
pub(crate) const TEMPLATES: [&str; 3] = [
    "/inventory",
    "/inventory/{product_id}",
    "/inventory/{product_id}/restock",
];

/// The body of POST /inventory/{product_id}/restock.
#[derive(Debug, Deserialize)]
struct Delivery {
    quantity: Quantity,
}

/// A product as HTTP tells it.
#[derive(Debug, Serialize)]
struct ProductView {
    product_id: ProductId,
    quantity: u64,
    price: Money,
    initial: u64,
    restocked: u64,
}

impl From<Product> for ProductView {
    fn from(product: Product) -> Self {
        Self {
            product_id: product.product_id,
            quantity: product.quantity,
            price: product.price,
            initial: product.initial,
            restocked: product.restocked,
        }
    }
}

pub(crate) fn routes(warehouse: Arc<Warehouse>) -> Routes {
    let (all, deliveries) = (Arc::clone(&warehouse), Arc::clone(&warehouse));
    let list = warp::path!("inventory")
        .and(http::get())
        .and(http::page())
        .then(move |page| {
            let warehouse = Arc::clone(&all);
            async move {
                list(&warehouse, page)
                    .await
                    .unwrap_or_else(Reply::into_response)
            }
        });
    let get = warp::path!("inventory" / Segment)
        .and(http::get())
        .and(http::no_query())
        .then(move |product_id: Segment, query| {
            let warehouse = Arc::clone(&warehouse);
            async move {
                get(&warehouse, &product_id, query)
                    .await
                    .unwrap_or_else(Reply::into_response)
            }
        });
    let restock = warp::path!("inventory" / Segment / "restock")
        .and(http::post())
        .and(http::no_query())
        .and(http::idempotency_key())
        .and(json_body::<Delivery>(BODY_LIMIT))
        .then(move |product_id: Segment, query, key, delivery| {
            let warehouse = Arc::clone(&deliveries);
            async move {
                restock(&warehouse, &product_id, query, key, delivery)
                    .await
                    .unwrap_or_else(Reply::into_response)
            }
        });
    http::first_of([list.boxed(), get.boxed(), restock.boxed()])
}

async fn list(
    warehouse: &Warehouse,
    page: Result<PageRequest<ProductId>, Problem>,
) -> Result<Response, Problem> {
    let page = page?;
    let (products, next) = warehouse
        .products(page.direction, page.after.as_ref(), page.limit)
        .await?;
    let products = products.into_iter().map(ProductView::from);
    Ok(ok(&Page::new(products, next)))
}

async fn get(
    warehouse: &Warehouse,
    product_id: &str,
    query: Result<(), Problem>,
) -> Result<Response, Problem> {
    query?;
    let unknown = || unknown_product(product_id);
    let id: ProductId = product_id.parse().map_err(|_| unknown())?;
    let product = warehouse.product(&id).await?.ok_or_else(unknown)?;
    Ok(ok(&ProductView::from(product)))
}

async fn restock(
    warehouse: &Warehouse,
    product_id: &str,
    query: Result<(), Problem>,
    key: Result<Option<IdempotencyKey>, Problem>,
    delivery: Result<Delivery, Problem>,
) -> Result<Response, Problem> {
    query?;
    let (key, delivery) = (key?, delivery?);
    let unknown = || unknown_product(product_id);
    let id: ProductId = product_id.parse().map_err(|_| unknown())?;
    let key = key.as_ref().map(IdempotencyKey::as_str);
    let restocked = warehouse.restock(&id, delivery.quantity, key).await?;
    match restocked.ok_or_else(unknown)? {
        Restocked::Counted(product) => Ok(ok(&ProductView::from(product))),
        Restocked::AnotherOfThisKey => Err(Problem::invalid(vec![FieldError::new(
            "Idempotency-Key",
            "belongs to another delivery, which has another quantity",
        )])),
    }
}

fn unknown_product(product_id: &str) -> Problem {
    Problem::not_found(format!("there is no product {product_id}"))
}
