//! One connection to one broker.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use rskafka::messenger::Messenger;
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument as _;

use crate::api::{ApiRequest, Carried};
use crate::closing::Closing;
use crate::diagnosis;
use crate::dial;
use crate::error::WireError;
use crate::metric;
use crate::sasl;
use crate::security::Security;
use crate::session::{Renewed, Session};
use crate::stream::{self, Transport, WireStream};
use crate::throttle::{Throttle, Throttled as _, Turn};
use crate::tls::{self, TlsProblem};
use crate::versions;

/// How to connect, and how long to wait for what.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// The name that the broker sees in its request log. Default: `kafka-wire`.
    pub client_id: Arc<str>,
    /// Bound on resolving, connecting, the TLS handshake, agreeing on versions and SASL together. Default: 10 s.
    pub connect_timeout: Duration,
    /// Bound on the answer to each request that does not bring its own, from its sending, and on the wait before that. Default: 30 s, as in
    /// Kafka's clients.
    pub request_timeout: Duration,
    /// The most memory that one response takes. What is over this size is read to its end through a buffer of this size and thrown away;
    /// then the connection is closed. A request whose deadline passes meanwhile closes it earlier. Default: 128 MiB.
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
    throttle: Throttle,
    address: Arc<str>,
    options: ConnectOptions,
    session: Option<Session>,
    /// Whether a request was answered, beside those of opening the connection.
    answered: AtomicBool,
    /// The mechanisms that the listener offers, if it wants SASL and the client has none; found out when it hangs up.
    wanted_sasl: OnceCell<Option<Vec<String>>>,
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
        let bound = options.connect_timeout;
        let began = Instant::now();
        let opening = Self::open_unbounded(Arc::clone(&address), options);
        match timeout(bound, opening).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => {
                let left = bound.saturating_sub(began.elapsed());
                Err(explain_tls(error, options, left).await)
            }
            Err(_) => Err(WireError::ConnectTimeout {
                address,
                after: bound,
            }),
        }
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
        let tcp = dial::connect(&address).await.map_err(refused)?;
        // With the delay a request of more than one segment waits for the peer's delayed ACK: 40 ms on Linux.
        tcp.set_nodelay(true).map_err(refused)?;
        let transport = match security.tls() {
            Some(config) => {
                let stream = tls::connect(tcp, config, &address).await?;
                Transport::Tls(Box::new(stream))
            }
            None => Transport::Plain(tcp),
        };
        // The deadline is kept here and not by the Messenger, whose own timeout leaves the connection in use.
        let mut messenger = Messenger::new(
            stream::wrap(transport, Arc::clone(&closing)),
            options.max_response_bytes,
            Arc::clone(&options.client_id),
        );
        let throttle = Throttle::new();
        let agreed = versions::agree(&mut messenger).await.map_err(|e| {
            let error = WireError::from_sync_versions(e, &address);
            closing.explain(error, security.tls().is_some())
        })?;
        throttle.note("ApiVersions", agreed.throttle_time_ms);
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
            throttle,
            address,
            options: options.clone(),
            session,
            answered: AtomicBool::new(false),
            wanted_sasl: OnceCell::new(),
        })
    }

    /// The `host:port` that was connected to.
    pub fn address(&self) -> &Arc<str> {
        &self.address
    }

    /// Whether the connection has ended. It never comes back: open another.
    pub fn is_closed(&self) -> bool {
        self.closing.reason().is_some()
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
        self.request_within(request, self.options.request_timeout)
            .await
    }

    /// Sends a request and returns the broker's answer, or an error after `deadline`.
    ///
    /// A broker answers in order, so a request that missed its deadline says that all behind it will too: the connection
    /// is closed. For requests that the broker holds back on purpose (Fetch, JoinGroup) add that time to the deadline.
    ///
    /// The deadline is that of the answer, and counts from the sending. Where the broker has asked to be spared (KIP-219), the request is
    /// sent once that time is over, for which it waits no longer than the deadline either; and so it does where a session has to be renewed
    /// first (KIP-368). What answers to earlier requests ask for meanwhile puts the deadline off, by five minutes at most: for so long the
    /// broker does not read the request.
    ///
    /// # Errors
    ///
    /// [`WireError::RequestTimeout`] after the deadline, [`WireError::Throttled`] if the broker was to be spared for longer and nothing
    /// was sent, [`WireError::SaslExpected`] when the listener is one for SASL and the client has none, [`WireError::Disconnected`] when the connection ended first,
    /// [`WireError::UnsupportedVersion`] before anything is sent, [`WireError::Malformed`] when the answer cannot be
    /// read. After all but `UnsupportedVersion` and `Throttled` the connection is closed.
    pub async fn request_within<R: ApiRequest>(
        &self,
        request: R,
        deadline: Duration,
    ) -> Result<R::Response, WireError> {
        let span = tracing::debug_span!("kafka_request", api = R::NAME, broker = %self.address);
        let called = Instant::now();
        let exchanged = self.exchange(request, deadline).instrument(span.clone());
        let result = exchanged.await;
        let (api, broker) = (R::NAME, Arc::clone(&self.address));
        metrics::histogram!(metric::REQUEST_DURATION, "api" => api, "broker" => Arc::clone(&broker))
            .record(called.elapsed());
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
        if let Some(reason) = self.closing.reason() {
            return Err(self.disconnected(reason));
        }
        let ready = self
            .ready(R::NAME, deadline)
            .await
            .inspect_err(|error| self.end(error))?;
        let mut overdue = pin!(self.throttle.overdue(deadline));
        let error = tokio::select! {
            biased; // The request is polled first: the order of first polls is the order on the wire.
            answered = self.carry(request, ready) => match answered {
                Ok(answer) => {
                    if !self.answered.swap(true, Ordering::Relaxed) {
                        self.options.security.note_fit(&self.address);
                    }
                    self.throttle.note(R::NAME, answer.throttle_time_ms());
                    return Ok(answer);
                }
                Err(error) => error,
            },
            reason = self.closing.wait() => self.disconnected(reason),
            () = &mut overdue => {
                let error = self.timed_out(R::NAME, deadline);
                self.end(&error);
                return Err(error);
            }
        };
        self.end(&error);
        tokio::select! {
            error = self.explain(error.clone()) => Err(error),
            () = &mut overdue => Err(error),
        }
    }

    /// Waits until a request may be sent: until the broker is not to be spared any more, and the client is known to it. Where there is
    /// nothing to wait for, that is at the first poll: the order of requests stays that of their first polls.
    async fn ready(&self, api: &'static str, patience: Duration) -> Result<Ready<'_>, WireError> {
        let turn = tokio::select! {
            biased;
            turn = self.throttle.wait() => turn,
            reason = self.closing.wait() => return Err(self.disconnected(reason)),
            () = sleep(patience) => return Err(WireError::Throttled {
                address: Arc::clone(&self.address),
                api,
                after: patience,
            }),
        };
        let Some(session) = &self.session else {
            return Ok(Ready {
                turn,
                session: None,
            });
        };
        let renewed = tokio::select! {
            biased;
            renewed = session.renewed(&self.messenger, &self.closing, &self.address) => renewed?,
            reason = self.closing.wait() => return Err(self.disconnected(reason)),
            () = self.throttle.overdue(patience) => return Err(self.timed_out(api, patience)),
        };
        Ok(Ready {
            turn,
            session: Some(renewed),
        })
    }

    /// Sends and waits for the answer.
    async fn carry<R: ApiRequest>(
        &self,
        request: R,
        ready: Ready<'_>,
    ) -> Result<R::Response, WireError> {
        let mut answer = pin!(self.messenger.request(Carried(request)));
        let mut answered = Poll::Pending;
        if ready.turn.is_some() || ready.session.is_some() {
            // Held until the request is on its way: the next one comes behind it, and a renewal between the two.
            answered = poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await;
        }
        drop(ready);
        let answered = match answered {
            Poll::Ready(answered) => answered,
            Poll::Pending => answer.await,
        };
        match answered {
            Ok(answer) => Ok(answer.0),
            Err(e) => Err(WireError::from_request(e, &self.address, R::NAME)),
        }
    }

    /// Ends the connection if nothing can be sent on it after this error.
    fn end(&self, error: &WireError) {
        match error {
            error if error.leaves_connection_usable() => {}
            WireError::Disconnected { .. } => self.closing.broken(&error.to_string()),
            error => self.closing.close(&error.to_string()),
        }
    }

    fn timed_out(&self, api: &'static str, after: Duration) -> WireError {
        WireError::RequestTimeout {
            address: Arc::clone(&self.address),
            api,
            after,
        }
    }

    fn disconnected(&self, reason: &str) -> WireError {
        WireError::Disconnected {
            address: Arc::clone(&self.address),
            reason: reason.to_owned(),
        }
    }

    /// A listener for SASL talks about versions with everybody, and hangs up on whoever then asks for anything else.
    async fn explain(&self, error: WireError) -> WireError {
        let WireError::Disconnected { address, reason } = error else {
            return error;
        };
        let security = &self.options.security;
        let known = security.sasl().is_some() || security.fits(&self.address);
        if known || !self.closing.is_by_broker() {
            return WireError::Disconnected { address, reason };
        }
        let ask = || diagnosis::sasl_mechanisms(&self.address, &self.options);
        match self.wanted_sasl.get_or_init(ask).await {
            Some(offered) => WireError::SaslExpected {
                address,
                offered: offered.clone(),
            },
            None => WireError::Disconnected { address, reason },
        }
    }
}

/// What a request holds when it may be sent, until it is.
struct Ready<'a> {
    turn: Option<Turn<'a>>,
    session: Option<Renewed<'a>>,
}

/// A listener for plaintext takes the first bytes of a handshake for the length of a huge request, and hangs up on it. It is asked
/// about for as long as there is time left to connect; without an answer the error stays as it is.
async fn explain_tls(error: WireError, options: &ConnectOptions, left: Duration) -> WireError {
    match error {
        WireError::Tls {
            address,
            problem: TlsProblem::HungUp,
            reason,
        } if !options.security.fits(&address)
            && diagnosis::speaks_plaintext(&address, &options.client_id, left).await =>
        {
            WireError::Tls {
                address,
                problem: TlsProblem::NotTls,
                reason: format!("{reason}; the port answers plaintext"),
            }
        }
        other => other,
    }
}
