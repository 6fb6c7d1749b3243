//! GET /shipments and GET /shipments/{order_id}.

use contracts::OrderId;
use service_kit::http::{Page, Problem, Query, ok, query};
use service_kit::store::{Collection, Filter as StoreFilter};
use warp::reply::Response;
use warp::{Filter, Rejection, Reply};

use crate::shipment::Shipment;

pub(crate) fn routes(
    shipments: Collection<Shipment>,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync {
    let all = shipments.clone();
    let list = warp::path!("shipments")
        .and(warp::get())
        .and(query())
        .then(move |query| {
            let shipments = all.clone();
            async move {
                list(&shipments, &query)
                    .await
                    .unwrap_or_else(Reply::into_response)
            }
        });
    let get = warp::path!("shipments" / String)
        .and(warp::get())
        .then(move |order_id: String| {
            let shipments = shipments.clone();
            async move {
                get(&shipments, &order_id)
                    .await
                    .unwrap_or_else(Reply::into_response)
            }
        });
    list.or(get).unify()
}

async fn list(shipments: &Collection<Shipment>, query: &Query) -> Result<Response, Problem> {
    let page = query.page::<OrderId>()?;
    let found = shipments
        .list(&StoreFilter::all(), page.after.as_ref(), page.limit)
        .await?;
    let items = found.items.into_iter().map(|shipment| shipment.document);
    Ok(ok(&Page::new(items, found.next)))
}

async fn get(shipments: &Collection<Shipment>, order_id: &str) -> Result<Response, Problem> {
    let unknown = || Problem::not_found(format!("there is no shipment of order {order_id}"));
    let id: OrderId = order_id.parse().map_err(|_| unknown())?;
    let found = shipments.get(&id).await?.ok_or_else(unknown)?;
    Ok(ok(&found.document))
}
