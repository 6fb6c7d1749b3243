//! HTTP as a client has it, for what looks at services from outside: a kept connection, and requests on it one after the other.

mod error;
mod url;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

pub use error::HttpError;
pub use url::{BaseUrl, UrlError};

/// The most bytes of an answer, unless told otherwise: far above a page of the largest orders that order-service takes.
const LARGEST: usize = 256 << 20;
/// How long a request may usually take: 10 s.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How long a request has in any case that is sent at all.
const LEAST: Duration = Duration::from_secs(1);
/// Characters of an answer that an error repeats.
const TOLD: usize = 300;
/// How long it is before a request is sent again for the first time; it doubles from there.
const FIRST_WAIT: Duration = Duration::from_millis(10);
/// The longest that it gets.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// What a service answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, whole.
    pub body: Bytes,
}

/// What is posted.
#[derive(Debug, Clone)]
pub struct Post<'a> {
    /// The path, with its query if it has one.
    pub path: &'a str,
    /// The header `Idempotency-Key`; none for a request without it.
    pub idempotency_key: Option<&'a str>,
    /// JSON; none for a request without a body.
    pub body: Option<Bytes>,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// What to hand in as `after` for the next page; none on the last.
    pub next: Option<String>,
}

/// Waits that double, for requests that are sent again.
#[derive(Debug)]
pub struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

impl Backoff {
    /// The first wait is of about 10 ms, the longest of about 1 s.
    pub fn new() -> Self {
        Self(FIRST_WAIT)
    }

    /// Waits, each time longer, but not past `until`; false if that is over.
    pub async fn wait(&mut self, until: Instant) -> bool {
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
pub struct Connection {
    base: BaseUrl,
    largest: usize,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    sender: SendRequest<Full<Bytes>>,
    _driver: AbortOnDropHandle<()>,
}

impl Connection {
    /// A connection to this service; it is not made yet.
    pub fn to(base: &BaseUrl) -> Self {
        Self {
            base: base.clone(),
            largest: LARGEST,
            open: None,
        }
    }

    /// And an answer of more bytes than this fails. Default: 256 MiB.
    #[must_use]
    pub fn with_largest(mut self, bytes: usize) -> Self {
        self.largest = bytes;
        self
    }

    /// Posts, and posts again after a failure that may pass, until `until`; `again` counts how often.
    ///
    /// Whatever was done by a request whose answer was lost, the caller's key sees to it that it is done once.
    ///
    /// # Errors
    ///
    /// [`HttpError`]: the last failure, or one that does not pass. An answer with any other status than 503 is no failure.
    pub async fn insist(
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
    ///
    /// # Errors
    ///
    /// [`HttpError::Connect`], [`HttpError::Lost`], [`HttpError::TooSlow`].
    pub async fn post(&mut self, post: &Post<'_>, patience: Duration) -> Result<Answer, HttpError> {
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

    /// Asks for what is at a path.
    ///
    /// # Errors
    ///
    /// [`HttpError::Connect`], [`HttpError::Lost`], [`HttpError::TooSlow`].
    pub async fn get(&mut self, path: &str, patience: Duration) -> Result<Answer, HttpError> {
        self.send(Request::builder(), path, Bytes::new(), patience)
            .await
    }

    /// A page of a list, as `path` with its query asks for it.
    ///
    /// # Errors
    ///
    /// [`HttpError`], also where the status is not 200.
    pub async fn page<T: DeserializeOwned>(
        &mut self,
        path: &str,
        patience: Duration,
    ) -> Result<Page<T>, HttpError> {
        let answer = self.get(path, patience).await?;
        if answer.status != StatusCode::OK {
            return Err(self.refusal(path, &answer));
        }
        self.read(path, &answer)
    }

    /// What the body of an answer says.
    ///
    /// # Errors
    ///
    /// [`HttpError::Body`].
    pub fn read<T: DeserializeOwned>(&self, path: &str, answer: &Answer) -> Result<T, HttpError> {
        serde_json::from_slice(&answer.body).map_err(|source| HttpError::Body {
            base: self.base.clone(),
            path: path.to_owned(),
            source,
        })
    }

    /// The answer as the error that it is.
    pub fn refusal(&self, path: &str, answer: &Answer) -> HttpError {
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
            .uri(format!("{}{path}", self.base.path()))
            .header(HOST, self.base.authority())
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
        let largest = self.largest;
        let sender = self.sender().await?;
        let response = match sender.send_request(request).await {
            Ok(response) => response,
            Err(error) => return Err(lost(error.into())),
        };
        let (head, body) = response.into_parts();
        match Limited::new(body, largest).collect().await {
            Ok(body) => Ok(Answer {
                status: head.status,
                headers: head.headers,
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
        let stream = TcpStream::connect(self.base.address())
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
