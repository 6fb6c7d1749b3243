//! A request's body as JSON.

use std::pin::pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use serde::de::{DeserializeOwned, IgnoredAny};
use warp::http::HeaderMap;
use warp::http::header::CONTENT_LENGTH;
use warp::{Buf, Filter, Rejection};

use super::{FieldError, Problem};

/// The most bytes that a body usually may have: 256 KiB.
pub const BODY_LIMIT: u64 = 256 * 1024;

/// How long a body may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// The body, read as a `T`; or a problem that says why not: 413 above `limit` bytes, 408 when it does
/// not come within 10 s, 400 if it is not JSON, 422 with the field if it is not a `T`.
///
/// The content type is not looked at: what is no JSON shows anyway.
pub fn json_body<T: DeserializeOwned + Send>(
    limit: u64,
) -> impl Filter<Extract = (Result<T, Problem>,), Error = Rejection> + Clone {
    warp::header::headers_cloned()
        .and(warp::body::stream())
        .then(move |headers, body| async move {
            let read = read(headers, body, limit);
            let bytes = tokio::time::timeout(PATIENCE, read)
                .await
                .map_err(|_| Problem::too_slow())??;
            parse(&bytes)
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
    // Said before the body is read, so a client that waits to be told to go on never sends it.
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

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Problem::bad_request("the body is not JSON: it is not UTF-8"))?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let error = match serde_path_to_error::deserialize(&mut reader) {
        Ok(value) => match reader.end() {
            Ok(()) => return Ok(value),
            Err(error) => return Err(not_json(&error)),
        },
        Err(error) => error,
    };
    // A wrong field may stand before the place where it stops being JSON, and that counts first.
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        return Err(not_json(&error));
    }
    let path = error.path().to_string();
    let detail = error.into_inner().to_string();
    // The place in the text says less than the field's name.
    let detail = detail
        .rsplit_once(" at line ")
        .map_or(detail.as_str(), |(detail, _)| detail);
    Err(Problem::invalid(vec![field_error(&path, detail)]))
}

fn not_json(error: &serde_json::Error) -> Problem {
    Problem::bad_request(format!("the body is not JSON: {error}"))
}

/// serde tells of a missing or unknown field at the object that it belongs to.
fn field_error(path: &str, detail: &str) -> FieldError {
    let path = if path == "." { "" } else { path };
    for (start, told) in [
        ("missing field `", "is missing"),
        ("unknown field `", "is not known"),
    ] {
        if let Some((name, _)) = detail
            .strip_prefix(start)
            .and_then(|rest| rest.split_once('`'))
        {
            let parent = path
                .strip_suffix(name)
                .map_or(path, |path| path.trim_end_matches('.'));
            let parent = if start.starts_with("unknown") {
                parent
            } else {
                path
            };
            let field = if parent.is_empty() {
                name.to_owned()
            } else {
                format!("{parent}.{name}")
            };
            return FieldError::new(field, told);
        }
    }
    FieldError::new(path, detail)
}

#[cfg(test)]
mod tests {
    use contracts::Item;
    use serde::Deserialize;

    use super::parse;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        items: Vec<Item>,
        #[allow(dead_code, reason = "only its shape matters")]
        inner: Inner,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[allow(dead_code, reason = "only its shape matters")]
        note: String,
    }

    const ITEM: &str = r#"{"product_id":"P001","quantity":2,"price":29.99}"#;

    fn refused(body: &str) -> (u16, String) {
        let problem = parse::<Body>(body.as_bytes()).unwrap_err();
        let errors = problem
            .errors()
            .iter()
            .map(|error| format!("{}: {}", error.field, error.detail));
        (
            problem.status().as_u16(),
            errors.collect::<Vec<_>>().join(", "),
        )
    }

    #[test]
    fn what_is_not_json_is_400_even_after_a_wrong_field() {
        for body in [
            "",
            "{",
            "{\"items\": 5, oops",
            "{} {}",
            "\u{0}",
            "{\"items\":[],\"inner\":{\"note\":\"\"}} x",
        ] {
            assert_eq!(refused(body), (400, String::new()), "{body}");
        }
        assert_eq!(
            parse::<Body>(b"{\"items\":\"\xff\"}")
                .unwrap_err()
                .status()
                .as_u16(),
            400
        );
    }

    #[test]
    fn a_wrong_shape_is_422_and_names_the_field() {
        let wrong = |from: &str, to: &str| {
            let body = format!(r#"{{"items":[{ITEM},{ITEM}],"inner":{{"note":"n"}}}}"#);
            assert_eq!(parse::<Body>(body.as_bytes()).unwrap().items.len(), 2);
            let at = body.rfind(from).unwrap();
            let (_, error) = refused(&format!("{}{to}{}", &body[..at], &body[at + from.len()..]));
            error
        };
        assert_eq!(wrong("29.99", "-1"), "items[1].price: must not be negative");
        assert_eq!(
            wrong("29.99", "1.001"),
            "items[1].price: must have at most two decimals"
        );
        assert_eq!(
            wrong("29.99", "\"1\""),
            "items[1].price: must be a number such as 59.98"
        );
        assert_eq!(
            wrong(":2,", ":0,"),
            "items[1].quantity: must be a whole number from 1 to 1000000"
        );
        assert_eq!(
            wrong("\"P001\"", "\"\""),
            "items[1].product_id: must not be empty"
        );
        assert_eq!(
            wrong("\"price\":29.99", "\"cost\":1"),
            "items[1].price: is missing"
        );
        assert_eq!(wrong("\"note\":\"n\"", ""), "inner.note: is missing");
        assert_eq!(
            wrong("\"note\":\"n\"", "\"note\":\"n\",\"more\":1"),
            "inner.more: is not known"
        );
        assert_eq!(wrong("\"items\"", "\"itemz\""), "itemz: is not known");
        assert_eq!(
            wrong("\"n\"", "null"),
            "inner.note: invalid type: null, expected a string"
        );
        assert_eq!(
            refused("[]"),
            (
                422,
                ": invalid length 0, expected struct Body with 2 elements".to_owned()
            )
        );
        assert_eq!(
            refused("7"),
            (
                422,
                ": invalid type: integer `7`, expected struct Body".to_owned()
            )
        );
    }
}
