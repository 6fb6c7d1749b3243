//! HTTP on warp: JSON in, JSON out, and every error an `application/problem+json` (RFC 9457).
//!
//! In warp a rejection means that another filter may match, so what a handler has to say, errors
//! included, is a reply: handlers return `Result<impl Reply, Problem>`. Rejections are only for
//! paths and methods that nothing answers, and [`routes`] turns those into problems too.

mod admission;
mod body;
pub mod client;
mod health;
mod idempotency;
mod measure;
mod method;
mod page;
mod problem;
mod query;
mod segment;
mod serve;

pub use admission::{AllowedHosts, AllowedHostsError};
pub use body::{BODY_LIMIT, json_body, json_bytes};
pub use health::{CheckError, Health};
pub use idempotency::{IdempotencyKey, idempotency_key};
pub use measure::measured;
pub use method::{get, post};
pub use page::{Page, PageRequest, ascending_page, page};
pub use problem::{FieldError, Problem};
pub use query::{Query, no_query, query};
pub use segment::{Segment, SegmentError};
pub use serve::{Served, serve};

use std::convert::Infallible;
use std::future::ready;

use serde::Serialize;
use warp::http::header::{CONTENT_TYPE, LOCATION};
use warp::http::{HeaderValue, StatusCode};
use warp::path::FullPath;
use warp::reject::{Reject, custom, not_found};
use warp::reply::Response;
use warp::{Filter, Rejection, Reply};

use admission::Refused;

/// Everything that a service answers.
pub type Routes = warp::filters::BoxedFilter<(Response,)>;

/// The most bytes of a path. RFC 9110 section 4.1 wants 8,000 at least.
const LONGEST_PATH: usize = 8 * 1024;

#[derive(Debug)]
struct TooLong;
impl Reject for TooLong {}

/// Closes a service's filters: what none of them answers becomes a 404 or 405 problem. The filters tell methods apart by
/// [`get`] and [`post`], and a path with a slash at its end is the one without.
///
/// A path of more than 8 KiB is a 414: it would be repeated in answers and logs. One of 64 KiB is refused by hyper, with no body.
/// What [`serve`] does not let in is answered with why not, before anything else looks at it.
pub fn routes<F>(filter: F) -> Routes
where
    F: Filter<Error = Rejection> + Clone + Send + Sync + 'static,
    F::Extract: Reply,
{
    let not_too_long = warp::path::full()
        .and_then(|path: FullPath| async move {
            if path.as_str().len() <= LONGEST_PATH {
                Ok(())
            } else {
                Err(custom(TooLong))
            }
        })
        .untuple_one();
    let admitted = warp::ext::optional::<Refused>()
        .and_then(|refused: Option<Refused>| ready(refused.map_or(Ok(()), |why| Err(custom(why)))))
        .untuple_one();
    let filter = admitted.and(not_too_long).and(filter);
    filter.recover(recover).map(Reply::into_response).boxed()
}

/// The first of these that answers. What none of them answers is rejected with what each has against it, so a 405 knows all
/// methods of a path.
///
/// Routes are put together in boxes: as types of their own, each of which holds the ones before it, they take the compiler
/// longer than everything else.
pub fn first_of(routes: impl IntoIterator<Item = Routes>) -> Routes {
    let nothing = || warp::any().and_then(|| ready(Err(not_found()))).boxed();
    let all = routes.into_iter();
    all.reduce(|before, route| before.or(route).unify().boxed())
        .unwrap_or_else(nothing)
}

/// A 200 with this as JSON.
pub fn ok<T: Serialize>(value: &T) -> Response {
    json(StatusCode::OK, value)
}

/// A 201 with this as JSON and where it is to be found.
pub fn created<T: Serialize>(location: &str, value: &T) -> Response {
    located(StatusCode::CREATED, location, value)
}

/// A 202 with this as JSON and where it is to be seen what comes of it.
pub fn accepted<T: Serialize>(location: &str, value: &T) -> Response {
    located(StatusCode::ACCEPTED, location, value)
}

fn located<T: Serialize>(status: StatusCode, location: &str, value: &T) -> Response {
    let mut response = json(status, value);
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// A reply with this as JSON, on a line of its own: in a terminal the prompt comes below it.
pub fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(mut body) => {
            body.push(b'\n');
            with_body(status, "application/json", body)
        }
        Err(error) => Problem::internal(&error).into_response(),
    }
}

fn with_body(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

async fn recover(rejection: Rejection) -> Result<Problem, Infallible> {
    if let Some(Refused(problem)) = rejection.find() {
        tracing::debug!(?problem, "request was not let in");
        Ok(problem.clone())
    } else if rejection.find::<TooLong>().is_some() {
        Ok(Problem::path_too_long(LONGEST_PATH))
    } else if rejection.is_not_found() {
        Ok(Problem::not_found("nothing is found at this path"))
    } else if let Some(problem) = method::not_allowed(&rejection) {
        Ok(problem)
    } else {
        tracing::debug!(?rejection, "request was rejected");
        Ok(Problem::bad_request("the request cannot be read"))
    }
}
