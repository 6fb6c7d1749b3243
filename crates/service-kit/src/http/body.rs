//! A request's body as JSON.

mod json;

use std::pin::pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use warp::http::HeaderMap;
use warp::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use warp::{Buf, Filter, Rejection};

use super::Problem;
use json::Node;

/// The most bytes that a body usually may have: 256 KiB.
pub const BODY_LIMIT: u64 = 256 * 1024;

/// How long a body may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// The body, read as a `T`; or a problem that says why not: 415 if it comes as something else than JSON, 413 above
/// `limit` bytes, 408 when it does not come within 10 s, 400 if it is not JSON, 422 with the field if it is not a `T`.
///
/// A body without a content type is taken for JSON. Whatever `T` says, an object has to be written as one, and names that
/// `T` does not know are refused, however deep they lie: a client's mistake, unlike an event's new field, is told at once.
pub fn json_body<T: DeserializeOwned + Send>(
    limit: u64,
) -> impl Filter<Extract = (Result<T, Problem>,), Error = Rejection> + Clone {
    json_bytes(limit).map(|bytes: Result<Vec<u8>, Problem>| parse(&bytes?))
}

/// The body as it came, for whoever passes it on; or a problem that says why not, as [`json_body`] does, as far as it does not
/// concern what stands in it.
pub fn json_bytes(
    limit: u64,
) -> impl Filter<Extract = (Result<Vec<u8>, Problem>,), Error = Rejection> + Clone {
    warp::header::headers_cloned()
        .and(warp::body::stream())
        .then(move |headers: HeaderMap, body| async move {
            // Said before the body is read, so a client that waits to be told to go on never sends it.
            has_json(&headers)?;
            let read = read(headers, body, limit);
            tokio::time::timeout(PATIENCE, read)
                .await
                .map_err(|_| Problem::too_slow())?
        })
}

async fn read(
    headers: HeaderMap,
    body: impl Stream<Item = Result<impl Buf, warp::Error>>,
    limit: u64,
) -> Result<Vec<u8>, Problem> {
    let told = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if told.is_some_and(|told| told > limit) {
        return Err(Problem::too_large(limit));
    }
    let mut bytes = Vec::with_capacity(told.unwrap_or_default().min(BODY_LIMIT) as usize);
    let mut body = pin!(body);
    while let Some(part) = body.next().await {
        let mut part = part.map_err(|_| Problem::bad_request("the body broke off"))?;
        while part.has_remaining() {
            let chunk = part.chunk();
            if (bytes.len() + chunk.len()) as u64 > limit {
                return Err(Problem::too_large(limit));
            }
            bytes.extend_from_slice(chunk);
            let length = chunk.len();
            part.advance(length);
        }
    }
    Ok(bytes)
}

/// Whether the body comes as JSON: `application/json` or `application/…+json`, with any parameters.
fn has_json(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(content_type) = headers.get(CONTENT_TYPE) else {
        return Ok(());
    };
    let content_type = content_type.to_str().unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let is_json = match essence.to_ascii_lowercase().split_once('/') {
        Some(("application", kind)) => kind == "json" || kind.ends_with("+json"),
        _ => false,
    };
    if is_json {
        Ok(())
    } else {
        Err(Problem::not_json_type(essence))
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Problem::bad_request("the body is not JSON: it is not UTF-8"))?;
    // All of it first: that it is no JSON counts before a wrong field that stands further up.
    let value: &RawValue = serde_json::from_str(text)
        .map_err(|error| Problem::bad_request(format!("the body is not JSON: {error}")))?;
    T::deserialize(Node::body(value)).map_err(|wrong| Problem::invalid(vec![wrong.into()]))
}

#[cfg(test)]
mod tests {
    use contracts::Item;
    use warp::http::HeaderMap;
    use warp::http::header::CONTENT_TYPE;

    use super::{has_json, parse};

    #[test]
    fn what_is_not_json_is_400_even_after_a_wrong_field() {
        for body in [
            &b""[..],
            b"{",
            b"{\"product_id\": 5, oops",
            b"{} {}",
            b"\0",
            b"{\"product_id\":\"\xff\"}",
        ] {
            let problem = parse::<Item>(body).unwrap_err();
            assert_eq!(problem.status().as_u16(), 400, "{body:?}");
            assert!(problem.errors().is_empty(), "{body:?}");
        }
    }

    #[test]
    fn a_wrong_shape_is_422_and_names_the_field() {
        let problem = parse::<Item>(b"{\"quantity\":0}").unwrap_err();
        assert_eq!(problem.status().as_u16(), 422);
        assert_eq!(problem.errors()[0].field, "quantity");
    }

    #[test]
    fn only_a_body_that_comes_as_json_or_as_nothing_is_read() {
        let comes_as = |content_type: &str| {
            let content_type = content_type.parse().unwrap();
            has_json(&HeaderMap::from_iter([(CONTENT_TYPE, content_type)]))
        };
        assert_eq!(has_json(&HeaderMap::new()), Ok(()));
        for json in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/merge-patch+json",
        ] {
            assert_eq!(comes_as(json), Ok(()), "{json}");
        }
        for other in [
            "",
            "json",
            "text/json",
            "application/x-www-form-urlencoded",
            "application/jsonp",
        ] {
            let status = comes_as(other).map_err(|problem| problem.status().as_u16());
            assert_eq!(status, Err(415), "{other}");
        }
    }
}
