//! Which methods a path answers.
//!
//! warp's own filters for methods only say that they do not match, and not what would: an answer 405 has to name the
//! methods that the path has (RFC 9110 section 15.5.6). These leave that behind in their rejections, which `or` collects.

use warp::http::Method;
use warp::reject::{Reject, custom};
use warp::{Filter, Rejection};

use super::Problem;

#[derive(Debug)]
struct AnswersGet;
impl Reject for AnswersGet {}

#[derive(Debug)]
struct AnswersPost;
impl Reject for AnswersPost {}

/// GET, and HEAD, which is answered alike but for the body (RFC 9110 section 9.3.2). Stands behind the path.
pub fn get() -> impl Filter<Extract = (), Error = Rejection> + Copy {
    any_of(&[Method::GET, Method::HEAD], || custom(AnswersGet))
}

/// POST. Stands behind the path.
pub fn post() -> impl Filter<Extract = (), Error = Rejection> + Copy {
    any_of(&[Method::POST], || custom(AnswersPost))
}

fn any_of(
    answered: &'static [Method],
    rejection: fn() -> Rejection,
) -> impl Filter<Extract = (), Error = Rejection> + Copy {
    warp::method()
        .and_then(move |method: Method| async move {
            if answered.contains(&method) {
                Ok(())
            } else {
                Err(rejection())
            }
        })
        .untuple_one()
}

/// A 405 that names the methods of the path, if it has any.
pub(super) fn not_allowed(rejection: &Rejection) -> Option<Problem> {
    let get = rejection.find::<AnswersGet>().is_some();
    let post = rejection.find::<AnswersPost>().is_some();
    let allowed = match (get, post) {
        (true, true) => "GET, HEAD, POST",
        (true, false) => "GET, HEAD",
        (false, true) => "POST",
        (false, false) => return None,
    };
    Some(Problem::method_not_allowed(allowed))
}
