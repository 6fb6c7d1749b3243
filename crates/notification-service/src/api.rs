//! GET /mails and GET /mails/{id}; GET /outbox, also at /, which shows them to people.

mod page;

use service_kit::http::{self, Page, PageRequest, Problem, Routes, Segment, ok};
use service_kit::store::{Collection, Filter as StoreFilter, Listing};
use warp::http::HeaderValue;
use warp::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use warp::reply::Response;
use warp::{Filter, Reply};

use crate::mail::{Mail, MailId};

/// The paths that are answered here. The outbox at / counts as other.
pub(crate) const TEMPLATES: [&str; 4] = ["/mails", "/mails/{id}", "/outbox", "/outbox/style.css"];

/// Nothing on the page runs, and nothing is loaded but its own style: what a customer has written could at most look odd.
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) fn routes(mails: Collection<Mail>) -> Routes {
    let (all, shown) = (mails.clone(), mails.clone());
    let list = warp::path!("mails")
        .and(http::get())
        .and(http::page())
        .then(move |page| {
            let mails = all.clone();
            async move {
                list(&mails, page)
                    .await
                    .unwrap_or_else(Reply::into_response)
            }
        });
    let get = warp::path!("mails" / Segment)
        .and(http::get())
        .and(http::no_query())
        .then(move |id: Segment, query| {
            let mails = mails.clone();
            async move {
                get(&mails, &id, query)
                    .await
                    .unwrap_or_else(Reply::into_response)
            }
        });
    let outbox = warp::path::end()
        .or(warp::path!("outbox"))
        .unify()
        .and(http::get())
        .and(http::page())
        .then(move |page| {
            let mails = shown.clone();
            async move {
                outbox(&mails, page)
                    .await
                    .unwrap_or_else(Reply::into_response)
            }
        });
    let style = warp::path!("outbox" / "style.css")
        .and(http::get())
        .map(|| with_type("text/css; charset=utf-8", page::STYLE.to_owned()));
    http::first_of([list.boxed(), get.boxed(), outbox.boxed(), style.boxed()])
}

async fn list(
    mails: &Collection<Mail>,
    page: Result<PageRequest<MailId>, Problem>,
) -> Result<Response, Problem> {
    let found = found(mails, &page?).await?;
    let items = found.items.into_iter().map(|mail| mail.document);
    Ok(ok(&Page::new(items, found.next)))
}

async fn get(
    mails: &Collection<Mail>,
    id: &str,
    query: Result<(), Problem>,
) -> Result<Response, Problem> {
    query?;
    let unknown = || Problem::not_found(format!("there is no mail {id}"));
    let id: MailId = id.parse().map_err(|_| unknown())?;
    let found = mails.get(&id).await?.ok_or_else(unknown)?;
    Ok(ok(&found.document))
}

async fn outbox(
    mails: &Collection<Mail>,
    page: Result<PageRequest<MailId>, Problem>,
) -> Result<Response, Problem> {
    let page = page?;
    let found = found(mails, &page).await?;
    let items: Vec<Mail> = found.items.into_iter().map(|mail| mail.document).collect();
    let page = page::html(&items, found.next, page.direction);
    Ok(with_type("text/html; charset=utf-8", page))
}

async fn found(
    mails: &Collection<Mail>,
    page: &PageRequest<MailId>,
) -> Result<Listing<Mail>, Problem> {
    Ok(mails
        .list_in(
            page.direction,
            &StoreFilter::all(),
            page.after.as_ref(),
            page.limit,
        )
        .await?)
}

fn with_type(content_type: &'static str, body: String) -> Response {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
