//! Errors as RFC 9457 tells them.

use std::fmt::Display;

use serde::Serialize;
use warp::Reply;
use warp::http::header::RETRY_AFTER;
use warp::http::{HeaderValue, StatusCode};
use warp::reply::Response;

use super::with_body;
use crate::store::StoreError;

/// Why a request was not done. As a reply: `application/problem+json` with `type`, `title`, `status`,
/// `detail`, and `errors` where single fields are to blame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    errors: Vec<FieldError>,
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
        }
    }

    /// 400: the request cannot be read.
    pub fn bad_request(detail: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 400: a query parameter cannot be read.
    pub fn bad_parameter(name: &str, detail: impl Display) -> Self {
        let errors = vec![FieldError::new(name, detail)];
        Self {
            errors,
            ..Self::bad_request(format!("the query parameter {name} cannot be read"))
        }
    }

    /// 404: there is none.
    pub fn not_found(detail: impl Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 405: the path is there, but not for this method.
    pub fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "this path does not answer this method",
        )
    }

    /// 408: the body did not come in time.
    pub fn too_slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time")
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
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
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
        let body = serde_json::to_vec(&wire).unwrap_or_default();
        let mut response = with_body(self.status, "application/problem+json", body);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
