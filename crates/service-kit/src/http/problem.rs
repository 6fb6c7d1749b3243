//! Errors as RFC 9457 tells them.

use std::fmt::Display;

use serde::Serialize;
use warp::Reply;
use warp::http::header::{ACCEPT, ALLOW, CONNECTION, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use warp::http::{HeaderValue, StatusCode};
use warp::reply::Response;

use super::with_body;
use crate::store::StoreError;

/// How much of what a client has said is repeated to it.
const MOST_REPEATED: usize = 64;

/// Why a request was not done. As a reply: `application/problem+json` with `type`, `title`, `status`,
/// `detail`, and `errors` where single fields are to blame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    errors: Vec<FieldError>,
    /// What the status wants said in a header of its own.
    header: Option<(HeaderName, &'static str)>,
    /// Whether the answer comes before the body was read. The server closes the connection then, and a client that does not
    /// know it would send its next request into the closing one (RFC 9112 section 9.6).
    unread: bool,
}

/// What is wrong with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The field's path: `items[0].price`. Empty where the body as a whole is meant.
    pub field: String,
    /// What is wrong with it.
    pub detail: String,
}

impl FieldError {
    /// This field, for this reason.
    pub fn new(field: impl Into<String>, detail: impl Display) -> Self {
        Self {
            field: field.into(),
            detail: detail.to_string(),
        }
    }
}

impl Problem {
    fn new(status: StatusCode, detail: impl Display) -> Self {
        Self {
            status,
            detail: detail.to_string(),
            errors: Vec::new(),
            header: None,
            unread: false,
        }
    }

    /// And the body was not read, which the answer says as `Connection: close`.
    pub(super) fn unread(mut self) -> Self {
        self.unread = true;
        self
    }

    fn with_header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }

    /// 400: the request cannot be read.
    pub fn bad_request(detail: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 400: a query parameter is wrong. The detail follows its name: "must be …".
    pub fn bad_parameter(name: &str, detail: impl Display) -> Self {
        let name = beginning(name);
        Self {
            errors: vec![FieldError::new(&name, &detail)],
            ..Self::bad_request(format!("the query parameter {name} {detail}"))
        }
    }

    /// 400: a header cannot be read.
    pub fn bad_header(name: &str, detail: impl Display) -> Self {
        let errors = vec![FieldError::new(name, detail)];
        Self {
            errors,
            ..Self::bad_request(format!("the header {name} cannot be read"))
        }
    }

    /// 401, with `WWW-Authenticate: Bearer` (RFC 6750): it takes a token, and none came or another.
    pub fn unauthorized(detail: impl Display) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail).with_header(WWW_AUTHENTICATE, "Bearer")
    }

    /// 403: it is not allowed, here or to whoever asks.
    pub fn forbidden(detail: impl Display) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// 404: there is none.
    pub fn not_found(detail: impl Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 405, with `Allow`: the path is there, but only for these methods.
    pub fn method_not_allowed(allowed: &'static str) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("this path answers only {allowed}"),
        )
        .with_header(ALLOW, allowed)
    }

    /// 408: the body did not come in time.
    pub fn too_slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time").unread()
    }

    /// 409: the state of things does not allow it.
    pub fn conflict(detail: impl Display) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// 413: the body has more than `limit` bytes.
    pub fn too_large(limit: u64) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body may have at most {limit} bytes"),
        )
        .unread()
    }

    /// 414: the path has more than `limit` bytes.
    pub fn path_too_long(limit: usize) -> Self {
        Self::new(
            StatusCode::URI_TOO_LONG,
            format!("the path may have at most {limit} bytes"),
        )
        .unread()
    }

    /// 415, with `Accept`: the body is said to be of another type than JSON.
    pub fn not_json_type(found: &str) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!(
                "the body must come as application/json and not as {:?}",
                beginning(found)
            ),
        )
        .with_header(ACCEPT, "application/json")
        .unread()
    }

    /// 421: the request is for another server (RFC 9110 section 15.5.20).
    pub fn misdirected(detail: impl Display) -> Self {
        Self::new(StatusCode::MISDIRECTED_REQUEST, detail).unread()
    }

    /// 422: the request can be read, but these fields are wrong.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [FieldError { field, detail }] if field.is_empty() => format!("the body {detail}"),
            [FieldError { field, detail }] => format!("{field} {detail}"),
            _ => format!("{} fields are wrong", errors.len()),
        };
        Self {
            errors,
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        }
    }

    /// 500. What went wrong is logged and not told.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "something went wrong here; it was logged",
        )
    }

    /// 503, with `Retry-After`: something that is needed is away for now; nothing was done.
    pub fn unavailable(detail: impl Display) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).with_header(RETRY_AFTER, "1")
    }

    /// 504: what was told to do it did not say in time whether it is done. Unlike a 503 it may have been, so nobody is asked to
    /// send it again.
    pub fn no_answer(detail: impl Display) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, detail)
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The fields that are wrong.
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }
}

/// The beginning of a text, with an ellipsis where more of it is left out.
pub(super) fn beginning(text: &str) -> String {
    let mut shown: String = text.chars().take(MOST_REPEATED).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.is_unavailable() {
            tracing::warn!(%error, "request was not done");
            Self::unavailable("the store is away, try again")
        } else {
            Self::internal(&error)
        }
    }
}

#[derive(Serialize)]
struct Wire<'a> {
    /// No problem has a type of its own: the status says it all (RFC 9457 section 4.2.1).
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
}

impl Reply for Problem {
    fn into_response(self) -> Response {
        let wire = Wire {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Unknown"),
            status: self.status.as_u16(),
            detail: &self.detail,
            errors: &self.errors,
        };
        // Texts and a number always become JSON.
        let mut body = serde_json::to_vec(&wire).unwrap_or_default();
        body.push(b'\n');
        let mut response = with_body(self.status, "application/problem+json", body);
        if let Some((name, value)) = &self.header {
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(name.clone(), value);
        }
        if self.unread {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        response
    }
}
