//! One connection to one broker.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use rskafka::messenger::Messenger;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;

use crate::api::{ApiRequest, Carried};
use crate::error::WireError;
use crate::metric;
use crate::sasl;
use crate::security::{Sasl, Security};
use crate::stream::{self, Transport, WireStream};
use crate::tls::{self, TlsProblem};
use crate::versions;

/// The least time between two authentications of a connection.
const LEAST_RENEWAL: Duration = Duration::from_millis(1100);

/// How to connect, and how long to wait for what.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// The name that the broker sees in its request log. Default: `kafka-wire`.
    pub client_id: Arc<str>,
    /// Bound on resolving, connecting, the TLS handshake, agreeing on versions and SASL together. Default: 10 s.
    pub connect_timeout: Duration,
    /// Bound on each request that does not bring its own. Default: 30 s, as in Kafka's clients.
    pub request_timeout: Duration,
    /// Responses over this size close the connection instead of filling the memory. Default: 128 MiB.
    pub max_response_bytes: usize,
    /// Encryption and authentication. Default: neither.
    pub security: Security,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            client_id: Arc::from("kafka-wire"),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            max_response_bytes: 128 * 1024 * 1024,
            security: Security::default(),
        }
    }
}

/// A connection on which requests are pipelined: the broker answers in the order in which they were sent.
///
/// Requests go out in the order in which their futures are first polled. Whoever needs an order (an idempotent producer
/// does) polls each once before starting the next, from one task.
#[derive(Debug)]
pub struct Connection {
    messenger: Messenger<WireStream>,
    closing: Arc<Closing>,
    address: Arc<str>,
    request_timeout: Duration,
    authenticated: bool,
    session: Option<Session>,
    /// Whether a request was answered, beside those of opening the connection.
    answered: AtomicBool,
}

impl Connection {
    /// Connects to `host:port`, encrypts, agrees on the API versions, and authenticates, the second and the last where
    /// [`ConnectOptions::security`] says so.
    ///
    /// # Errors
    ///
    /// [`WireError::ConnectTimeout`] when all of it takes longer than [`ConnectOptions::connect_timeout`],
    /// [`WireError::Connect`] when nothing listens there, [`WireError::Tls`] when there is no TLS session,
    /// [`WireError::Authentication`] when the broker refuses the credentials, [`WireError::MechanismNotOffered`] and
    /// [`WireError::Sasl`] when it does not even come to that, and the errors of a request.
    pub async fn open(address: &str, options: &ConnectOptions) -> Result<Self, WireError> {
        let address: Arc<str> = Arc::from(address);
        timeout(
            options.connect_timeout,
            Self::open_unbounded(Arc::clone(&address), options),
        )
        .await
        .unwrap_or(Err(WireError::ConnectTimeout {
            address,
            after: options.connect_timeout,
        }))
    }

    async fn open_unbounded(
        address: Arc<str>,
        options: &ConnectOptions,
    ) -> Result<Self, WireError> {
        let refused = |e: std::io::Error| WireError::Connect {
            address: Arc::clone(&address),
            reason: e.to_string(),
        };
        let closing = Arc::new(Closing::default());
        let security = &options.security;
        let tcp = TcpStream::connect(&*address).await.map_err(refused)?;
        // With the delay a request of more than one segment waits for the peer's delayed ACK: 40 ms on Linux.
        tcp.set_nodelay(true).map_err(refused)?;
        let transport = match security.tls() {
            Some(config) => Transport::Tls(Box::new(tls::connect(tcp, config, &address).await?)),
            None => Transport::Plain(tcp),
        };
        // The deadline is kept here and not by the Messenger, whose own timeout leaves the connection in use.
        let mut messenger = Messenger::new(
            stream::wrap(transport, Arc::clone(&closing)),
            options.max_response_bytes,
            Arc::clone(&options.client_id),
        );
        versions::agree(&mut messenger).await.map_err(|e| {
            let error = WireError::from_sync_versions(e, &address);
            closing.explain(error, security.tls().is_some())
        })?;
        let mut session = None;
        if let Some(sasl) = security.sasl() {
            let lifetime = sasl::authenticate(&messenger, sasl, &address).await?;
            session = lifetime.map(|lifetime| Session::new(sasl.clone(), lifetime));
        }
        tracing::debug!(broker = %address, protocol = security.protocol(), "connected");
        metrics::counter!(metric::CONNECTIONS, "broker" => Arc::clone(&address)).increment(1);
        Ok(Self {
            messenger,
            closing,
            address,
            request_timeout: options.request_timeout,
            authenticated: security.sasl().is_some(),
            session,
            answered: AtomicBool::new(false),
        })
    }

    /// The `host:port` that was connected to.
    pub fn address(&self) -> &Arc<str> {
        &self.address
    }

    /// Whether the connection has ended. It never comes back: open another.
    pub fn is_closed(&self) -> bool {
        self.closing.reason.get().is_some()
    }

    /// Returns once the connection has ended.
    pub async fn closed(&self) {
        self.closing.wait().await;
    }

    /// Ends the connection: requests under way and to come fail with [`WireError::Disconnected`].
    pub fn close(&self, reason: &str) {
        self.closing.close(reason);
    }

    /// Sends a request and returns the broker's answer, within [`ConnectOptions::request_timeout`].
    ///
    /// # Errors
    ///
    /// See [`Connection::request_within`].
    pub async fn request<R: ApiRequest>(&self, request: R) -> Result<R::Response, WireError> {
        self.request_within(request, self.request_timeout).await
    }

    /// Sends a request and returns the broker's answer, or an error after `deadline`.
    ///
    /// A broker answers in order, so a request that missed its deadline says that all behind it will too: the connection
    /// is closed. For requests that the broker holds back on purpose (Fetch, JoinGroup) add that time to the deadline.
    ///
    /// # Errors
    ///
    /// [`WireError::RequestTimeout`] after the deadline, [`WireError::Disconnected`] when the connection ended first,
    /// [`WireError::UnsupportedVersion`] before anything is sent, [`WireError::Malformed`] when the answer cannot be
    /// read. After all but `UnsupportedVersion` the connection is closed.
    pub async fn request_within<R: ApiRequest>(
        &self,
        request: R,
        deadline: Duration,
    ) -> Result<R::Response, WireError> {
        let span = tracing::debug_span!("kafka_request", api = R::NAME, broker = %self.address);
        let sent = Instant::now();
        let exchanged = self.exchange(request, deadline).instrument(span.clone());
        let result = exchanged.await;
        let (api, broker) = (R::NAME, Arc::clone(&self.address));
        metrics::histogram!(metric::REQUEST_DURATION, "api" => api, "broker" => Arc::clone(&broker))
            .record(sent.elapsed());
        if let Err(error) = &result {
            metrics::counter!(metric::REQUEST_ERRORS, "api" => api, "broker" => broker)
                .increment(1);
            span.in_scope(
                || tracing::debug!(api, broker = %self.address, %error, "a request failed"),
            );
        }
        result
    }

    async fn exchange<R: ApiRequest>(
        &self,
        request: R,
        deadline: Duration,
    ) -> Result<R::Response, WireError> {
        if let Some(reason) = self.closing.reason.get() {
            return Err(self.disconnected(reason));
        }
        let result = tokio::select! {
            biased; // The request is polled first: the order of first polls is the order on the wire.
            answered = self.carry(request) => match answered {
                Ok(answer) => {
                    self.answered.store(true, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(e) => Err(self.explain(e)),
            },
            reason = self.closing.wait() => Err(self.explain(self.disconnected(reason))),
            () = tokio::time::sleep(deadline) => Err(WireError::RequestTimeout {
                address: Arc::clone(&self.address),
                api: R::NAME,
                after: deadline,
            }),
        };
        result.inspect_err(|e| {
            if !e.leaves_connection_usable() {
                self.closing.close(&e.to_string());
            }
        })
    }

    /// Sends and waits for the answer, behind the authentication that may be due.
    async fn carry<R: ApiRequest>(&self, request: R) -> Result<R::Response, WireError> {
        let mut answer = pin!(self.messenger.request(Carried(request)));
        let mut answered = Poll::Pending;
        if let Some(session) = &self.session {
            // Held until the request is on its way: the next one comes behind it, and a renewal between the two.
            let mut renew_at = session.renew_at.lock().await;
            if renew_at.is_some_and(|at| Instant::now() >= at) {
                *renew_at = self.renew(session).await?;
            }
            answered = poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await;
        }
        let answered = match answered {
            Poll::Ready(answered) => answered,
            Poll::Pending => answer.await,
        };
        match answered {
            Ok(answer) => Ok(answer.0),
            Err(e) => Err(WireError::from_request(e, &self.address, R::NAME)),
        }
    }

    /// Authenticates again. What is under way is answered first; the broker takes nothing else in between.
    async fn renew(&self, session: &Session) -> Result<Option<Instant>, WireError> {
        let mut broken_off = CloseOnDrop(Some(&self.closing));
        let renewed = sasl::authenticate(&self.messenger, &session.sasl, &self.address).await;
        broken_off.0 = None;
        let lifetime = renewed?;
        tracing::debug!(broker = %self.address, ?lifetime, "authenticated again");
        Ok(lifetime.map(Session::renewal))
    }

    fn disconnected(&self, reason: &str) -> WireError {
        WireError::Disconnected {
            address: Arc::clone(&self.address),
            reason: reason.to_owned(),
        }
    }

    /// A listener for SASL talks about versions with everybody, and hangs up on whoever then asks for anything else.
    fn explain(&self, mut error: WireError) -> WireError {
        if let WireError::Disconnected { reason, .. } = &mut error
            && !self.authenticated
            && !self.answered.load(Ordering::Relaxed)
        {
            reason.push_str("; no request was answered, so the listener may be one for SASL");
        }
        error
    }
}

/// A session that the broker ends at some time unless the client authenticates again (KIP-368). The next request after
/// [`Session::renewal`] does so, as in Java's client; without requests nothing needs to be done, since the broker looks at the clock
/// only when one comes.
#[derive(Debug)]
struct Session {
    sasl: Sasl,
    renew_at: tokio::sync::Mutex<Option<Instant>>,
}

impl Session {
    fn new(sasl: Sasl, lifetime: Duration) -> Self {
        Self {
            sasl,
            renew_at: tokio::sync::Mutex::new(Some(Self::renewal(lifetime))),
        }
    }

    /// When to authenticate again: early enough for the request to get there, and no sooner than a second after the last time, since
    /// Kafka takes that for an attack.
    fn renewal(lifetime: Duration) -> Instant {
        Instant::now() + lifetime.mul_f64(0.85).max(LEAST_RENEWAL)
    }
}

/// Closes a connection whose authentication was given up half way, with a request's future: nothing else could be sent on it.
struct CloseOnDrop<'a>(Option<&'a Closing>);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(closing) = self.0 {
            closing.close("authenticating again was broken off");
        }
    }
}

/// The end of a connection, and why; shared by the connection and its stream.
#[derive(Debug, Default)]
pub(crate) struct Closing {
    reason: OnceLock<String>,
    notify: Notify,
    /// What is wrong with TLS, if that is why.
    tls: OnceLock<(TlsProblem, String)>,
}

impl Closing {
    /// The first reason stays.
    pub(crate) fn close(&self, reason: &str) {
        if self.reason.set(reason.to_owned()).is_ok() {
            self.notify.notify_waiters();
        }
    }

    pub(crate) fn note_tls(&self, problem: TlsProblem, reason: &str) {
        // The first stays: what comes later follows from it.
        let _ = self.tls.set((problem, reason.to_owned()));
    }

    /// Says more about an error of the very first request, whose causes are known to this and not to the Messenger.
    fn explain(&self, error: WireError, encrypted: bool) -> WireError {
        match (error, self.tls.get()) {
            (WireError::Disconnected { address, .. }, Some((problem, reason))) => WireError::Tls {
                address,
                problem: *problem,
                reason: reason.clone(),
            },
            (WireError::Disconnected { address, reason }, None) if !encrypted => {
                WireError::Disconnected {
                    address,
                    reason: format!("{reason}; nothing was answered, so the port may be for TLS"),
                }
            }
            (error, _) => error,
        }
    }

    async fn wait(&self) -> &str {
        loop {
            let notified = self.notify.notified();
            if let Some(reason) = self.reason.get() {
                return reason;
            }
            notified.await;
        }
    }
}
