//! The HTTP of the commands that look at a shop from outside: a kept connection, and requests on it one after the other.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// The most bytes of an answer: far above a page of the largest orders that order-service takes.
const LARGEST: usize = 256 << 20;
/// How long a request may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How long a request has in any case that is sent at all.
const LEAST: Duration = Duration::from_secs(1);
/// Characters of an answer that an error repeats.
const TOLD: usize = 300;
/// How long it is before a request is sent again for the first time; it doubles from there.
const FIRST_WAIT: Duration = Duration::from_millis(10);
/// The longest that it gets.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Where a service answers: `http://host:port`, perhaps with a path in front of the service's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(Arc<Parts>);

#[derive(Debug, PartialEq, Eq)]
struct Parts {
    /// As the `Host` of a request has it.
    authority: String,
    /// With the port in any case.
    address: String,
    /// Without a slash at its end.
    path: String,
}

/// The text is not the URL of a service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a URL such as http://127.0.0.1:8001, without a query")]
pub struct UrlError;

impl BaseUrl {
    /// That port of this machine.
    pub fn local(port: u16) -> Self {
        let address = format!("127.0.0.1:{port}");
        Self(Arc::new(Parts {
            authority: address.clone(),
            address,
            path: String::new(),
        }))
    }
}

impl FromStr for BaseUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let uri: Uri = text.parse().map_err(|_| UrlError)?;
        let authority = uri.authority().ok_or(UrlError)?;
        let plain = uri.scheme_str() == Some("http") && !authority.as_str().contains('@');
        if !plain || uri.query().is_some() || authority.host().is_empty() {
            return Err(UrlError);
        }
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => 80,
            Some(port) => port
                .strip_prefix(':')
                .and_then(|port| port.parse().ok())
                .ok_or(UrlError)?,
            None => return Err(UrlError),
        };
        let port: u16 = port;
        Ok(Self(Arc::new(Parts {
            authority: authority.to_string(),
            address: format!("{}:{port}", authority.host()),
            path: uri.path().trim_end_matches('/').to_owned(),
        })))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.0.authority, self.0.path)
    }
}

/// Why a request was not answered as it should be.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Nothing listens there.
    #[error("{base} cannot be reached: {source}")]
    Connect {
        /// Where.
        base: BaseUrl,
        /// Why.
        source: io::Error,
    },
    /// The connection ended before the answer.
    #[error("{base} did not answer: {source}")]
    Lost {
        /// Where.
        base: BaseUrl,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There was no answer in time.
    #[error("{base} did not answer within {patience:?}")]
    TooSlow {
        /// Where.
        base: BaseUrl,
        /// How long was waited.
        patience: Duration,
    },
    /// The answer is an error.
    #[error("{base} answered {status} to {path}: {text}")]
    Status {
        /// Where.
        base: BaseUrl,
        /// What was asked for.
        path: String,
        /// The status.
        status: StatusCode,
        /// How the answer begins.
        text: String,
    },
    /// The answer is not what it should be.
    #[error("{base} answered {path} with what is not understood: {source}")]
    Body {
        /// Where.
        base: BaseUrl,
        /// What was asked for.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
}

impl HttpError {
    /// Whether the same request may be answered a moment later: there was no answer, or it was a 503.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Lost { .. } | Self::TooSlow { .. } => true,
            Self::Status { status, .. } => *status == StatusCode::SERVICE_UNAVAILABLE,
            Self::Body { .. } => false,
        }
    }
}

/// What a service answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// What is posted.
#[derive(Debug, Clone)]
pub(crate) struct Post<'a> {
    pub(crate) path: &'a str,
    pub(crate) idempotency_key: Option<&'a str>,
    /// JSON; none for a request without a body.
    pub(crate) body: Option<Bytes>,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<String>,
}

/// Waits that double, for requests that are sent again.
#[derive(Debug)]
pub(crate) struct Backoff(Duration);

impl Backoff {
    pub(crate) fn new() -> Self {
        Self(FIRST_WAIT)
    }

    /// Waits, each time longer, but not past `until`; false if that is over.
    pub(crate) async fn wait(&mut self, until: Instant) -> bool {
        let now = Instant::now();
        if now >= until {
            return false;
        }
        // Those whom the same failure has met do not all come back at once.
        let wait = self.0.mul_f64(0.5 + rand::random::<f64>() / 2.0);
        self.0 = (self.0 * 2).min(LONGEST_WAIT);
        tokio::time::sleep_until(until.min(now + wait)).await;
        true
    }
}

/// A connection to a service, made when it is needed and again after it was lost.
#[derive(Debug)]
pub(crate) struct Connection {
    base: BaseUrl,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    sender: SendRequest<Full<Bytes>>,
    _driver: AbortOnDropHandle<()>,
}

impl Connection {
    pub(crate) fn to(base: &BaseUrl) -> Self {
        Self {
            base: base.clone(),
            open: None,
        }
    }

    /// Posts, and posts again after a failure that may pass, until `until`; `again` counts how often.
    ///
    /// Whatever was done by a request whose answer was lost, the caller's key sees to it that it is done once.
    pub(crate) async fn insist(
        &mut self,
        post: &Post<'_>,
        until: Instant,
        again: &mut u64,
    ) -> Result<Answer, HttpError> {
        let mut backoff = Backoff::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let outcome = self.post(post, left.clamp(LEAST, PATIENCE)).await;
            let error = match outcome {
                Ok(answer) if answer.status == StatusCode::SERVICE_UNAVAILABLE => {
                    self.refusal(post.path, &answer)
                }
                Err(error) if error.may_pass() => error,
                settled => return settled,
            };
            if !backoff.wait(until).await || Instant::now() >= until {
                return Err(error);
            }
            *again += 1;
        }
    }

    /// Posts once.
    pub(crate) async fn post(
        &mut self,
        post: &Post<'_>,
        patience: Duration,
    ) -> Result<Answer, HttpError> {
        let mut request = Request::builder().method(Method::POST);
        if let Some(key) = post.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        if post.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = post.body.clone().unwrap_or_default();
        self.send(request, post.path, body, patience).await
    }

    /// A page of a list, as `path` with its query asks for it.
    pub(crate) async fn page<T: DeserializeOwned>(
        &mut self,
        path: &str,
        patience: Duration,
    ) -> Result<Page<T>, HttpError> {
        let answer = self
            .send(Request::builder(), path, Bytes::new(), patience)
            .await?;
        if answer.status != StatusCode::OK {
            return Err(self.refusal(path, &answer));
        }
        self.read(path, &answer)
    }

    /// What the body of an answer says.
    pub(crate) fn read<T: DeserializeOwned>(
        &self,
        path: &str,
        answer: &Answer,
    ) -> Result<T, HttpError> {
        serde_json::from_slice(&answer.body).map_err(|source| HttpError::Body {
            base: self.base.clone(),
            path: path.to_owned(),
            source,
        })
    }

    /// The answer as the error that it is.
    pub(crate) fn refusal(&self, path: &str, answer: &Answer) -> HttpError {
        let text = String::from_utf8_lossy(&answer.body);
        HttpError::Status {
            base: self.base.clone(),
            path: path.to_owned(),
            status: answer.status,
            text: text.chars().take(TOLD).collect(),
        }
    }

    async fn send(
        &mut self,
        request: hyper::http::request::Builder,
        path: &str,
        body: Bytes,
        patience: Duration,
    ) -> Result<Answer, HttpError> {
        let request = request
            .uri(format!("{}{path}", self.base.0.path))
            .header(HOST, &self.base.0.authority)
            .body(Full::new(body))
            .map_err(|error| self.lost(error))?;
        let outcome = tokio::time::timeout(patience, self.exchange(request)).await;
        let outcome = outcome.unwrap_or_else(|_| {
            Err(HttpError::TooSlow {
                base: self.base.clone(),
                patience,
            })
        });
        if outcome.is_err() {
            // An answer that comes after all must not be taken for that of the next request.
            self.open = None;
        }
        outcome
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, HttpError> {
        let base = self.base.clone();
        let lost =
            |source: Box<dyn std::error::Error + Send + Sync>| HttpError::Lost { base, source };
        let sender = self.sender().await?;
        let response = match sender.send_request(request).await {
            Ok(response) => response,
            Err(error) => return Err(lost(error.into())),
        };
        let status = response.status();
        match Limited::new(response.into_body(), LARGEST).collect().await {
            Ok(body) => Ok(Answer {
                status,
                body: body.to_bytes(),
            }),
            Err(error) => Err(lost(error)),
        }
    }

    /// The connection, once it can take a request. A kept one may have been closed by the service since: then it is made anew.
    async fn sender(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, HttpError> {
        let usable = match &mut self.open {
            Some(open) => open.sender.ready().await.is_ok(),
            None => false,
        };
        let open = match self.open.take() {
            Some(open) if usable => open,
            _ => self.connect().await?,
        };
        Ok(&mut self.open.insert(open).sender)
    }

    async fn connect(&self) -> Result<Open, HttpError> {
        let connect = |source| HttpError::Connect {
            base: self.base.clone(),
            source,
        };
        let stream = TcpStream::connect(&self.base.0.address)
            .await
            .map_err(connect)?;
        // A request is one small write; held back, it would wait for the acknowledgement of the one before.
        stream.set_nodelay(true).map_err(connect)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.lost(error))?;
        let driver = tokio::spawn(async move {
            // Whoever waits for an answer is told of the failure.
            let _ = connection.await;
        });
        Ok(Open {
            sender,
            _driver: AbortOnDropHandle::new(driver),
        })
    }

    fn lost(&self, error: impl std::error::Error + Send + Sync + 'static) -> HttpError {
        HttpError::Lost {
            base: self.base.clone(),
            source: error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_with_its_port_and_path() {
        let url: BaseUrl = "http://shop.example/api/".parse().unwrap();
        assert_eq!(url.to_string(), "http://shop.example/api");
        assert_eq!(
            (&*url.0.address, &*url.0.authority),
            ("shop.example:80", "shop.example")
        );
        let url: BaseUrl = "http://[::1]:8001".parse().unwrap();
        assert_eq!((&*url.0.address, &*url.0.path), ("[::1]:8001", ""));
        assert_eq!("http://127.0.0.1:8001/".parse(), Ok(BaseUrl::local(8001)));
    }

    #[test]
    fn what_is_no_url_of_a_service_is_refused() {
        for text in [
            "",
            "127.0.0.1:8001",
            "https://shop.example",
            "/orders",
            "http://user@shop.example",
            "http://shop.example/?a=b",
        ] {
            assert_eq!(text.parse::<BaseUrl>(), Err(UrlError), "{text}");
        }
    }
}
