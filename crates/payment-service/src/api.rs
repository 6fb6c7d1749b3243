//! GET /payments and GET /payments/{order_id}.

use contracts::OrderId;
use service_kit::http::{self, Page, PageRequest, Problem, Routes, Segment, ok};
use service_kit::store::{Collection, Filter as StoreFilter};
use warp::reply::Response;
use warp::{Filter, Reply};

use crate::payment::Payment;

/// The paths that are answered here.
pub(crate) const TEMPLATES: [&str; 2] = ["/payments", "/payments/{order_id}"];

pub(crate) fn routes(payments: Collection<Payment>) -> Routes {
    let all = payments.clone();
    let list = warp::path!("payments")
        .and(http::get())
        .and(http::page())
        .then(move |page| {
            let payments = all.clone();
            async move {
                list(&payments, page)
                    .await
                    .unwrap_or_else(Reply::into_response)
            }
        });
    let get = warp::path!("payments" / Segment)
        .and(http::get())
        .and(http::no_query())
        .then(move |order_id: Segment, query| {
            let payments = payments.clone();
            async move {
                get(&payments, &order_id, query)
                    .await
                    .unwrap_or_else(Reply::into_response)
            }
        });
    http::first_of([list.boxed(), get.boxed()])
}

async fn list(
    payments: &Collection<Payment>,
    page: Result<PageRequest<OrderId>, Problem>,
) -> Result<Response, Problem> {
    let page = page?;
    let found = payments
        .list_in(
            page.direction,
            &StoreFilter::all(),
            page.after.as_ref(),
            page.limit,
        )
        .await?;
    let items = found.items.into_iter().map(|payment| payment.document);
    Ok(ok(&Page::new(items, found.next)))
}

async fn get(
    payments: &Collection<Payment>,
    order_id: &str,
    query: Result<(), Problem>,
) -> Result<Response, Problem> {
    query?;
    let unknown = || Problem::not_found(format!("there is no payment of order {order_id}"));
    let id: OrderId = order_id.parse().map_err(|_| unknown())?;
    let found = payments.get(&id).await?.ok_or_else(unknown)?;
    Ok(ok(&found.document))
}
