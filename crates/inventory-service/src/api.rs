//! GET /inventory and GET /inventory/{product_id}.

use std::sync::Arc;

use contracts::ProductId;
use service_kit::http::{self, Page, PageRequest, Problem, ok};
use warp::reply::Response;
use warp::{Filter, Rejection, Reply};

use crate::warehouse::Warehouse;

pub(crate) fn routes(
    warehouse: Arc<Warehouse>,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync {
    let all = Arc::clone(&warehouse);
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
    let get = warp::path!("inventory" / String)
        .and(http::get())
        .and(http::no_query())
        .then(move |product_id: String, query| {
            let warehouse = Arc::clone(&warehouse);
            async move {
                get(&warehouse, &product_id, query)
                    .await
                    .unwrap_or_else(Reply::into_response)
            }
        });
    list.or(get).unify()
}

async fn list(
    warehouse: &Warehouse,
    page: Result<PageRequest<ProductId>, Problem>,
) -> Result<Response, Problem> {
    let page = page?;
    let (products, next) = warehouse.products(page.after.as_ref(), page.limit).await?;
    Ok(ok(&Page::new(products, next)))
}

async fn get(
    warehouse: &Warehouse,
    product_id: &str,
    query: Result<(), Problem>,
) -> Result<Response, Problem> {
    query?;
    let unknown = || Problem::not_found(format!("there is no product {product_id}"));
    let id: ProductId = product_id.parse().map_err(|_| unknown())?;
    let product = warehouse.product(&id).await?.ok_or_else(unknown)?;
    Ok(ok(&product))
}
