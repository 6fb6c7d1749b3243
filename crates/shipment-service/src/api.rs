//! GET /shipments and GET /shipments/{order_id}.

use contracts::OrderId;
use service_kit::http::{self, Page, PageRequest, Problem, Segment, ok};
use service_kit::store::{Collection, Filter as StoreFilter};
use warp::reply::Response;
use warp::{Filter, Rejection, Reply};

use crate::shipment::Shipment;

/// The paths that are answered here.
pub(crate) const TEMPLATES: [&str; 2] = ["/shipments", "/shipments/{order_id}"];

pub(crate) fn routes(
    shipments: Collection<Shipment>,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync {
    let all = shipments.clone();
    let list = warp::path!("shipments")
        .and(http::get())
        .and(http::page())
        .then(move |page| {
            let shipments = all.clone();
            async move {
                list(&shipments, page)
                    .await
                    .unwrap_or_else(Reply::into_response)
            }
        });
    let get = warp::path!("shipments" / Segment)
        .and(http::get())
        .and(http::no_query())
        .then(move |order_id: Segment, query| {
            let shipments = shipments.clone();
            async move {
                get(&shipments, &order_id, query)
                    .await
                    .unwrap_or_else(Reply::into_response)
            }
        });
    list.or(get).unify()
}

async fn list(
    shipments: &Collection<Shipment>,
    page: Result<PageRequest<OrderId>, Problem>,
) -> Result<Response, Problem> {
    let page = page?;
    let found = shipments
        .list(&StoreFilter::all(), page.after.as_ref(), page.limit)
        .await?;
    let items = found.items.into_iter().map(|shipment| shipment.document);
    Ok(ok(&Page::new(items, found.next)))
}

async fn get(
    shipments: &Collection<Shipment>,
    order_id: &str,
    query: Result<(), Problem>,
) -> Result<Response, Problem> {
    query?;
    let unknown = || Problem::not_found(format!("there is no shipment of order {order_id}"));
    let id: OrderId = order_id.parse().map_err(|_| unknown())?;
    let found = shipments.get(&id).await?.ok_or_else(unknown)?;
    Ok(ok(&found.document))
}
