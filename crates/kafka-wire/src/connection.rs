//! One connection to one broker.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rskafka::messenger::Messenger;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::api::{ApiRequest, Carried};
use crate::error::WireError;
use crate::stream::{self, WireStream};

/// How to connect, and how long to wait for what.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// The name that the broker sees in its request log. Default: `kafka-wire`.
    pub client_id: Arc<str>,
    /// Bound on resolving, connecting and agreeing on versions together. Default: 10 s.
    pub connect_timeout: Duration,
    /// Bound on each request that does not bring its own. Default: 30 s, as in Kafka's clients.
    pub request_timeout: Duration,
    /// Responses over this size close the connection instead of filling the memory. Default: 128 MiB.
    pub max_response_bytes: usize,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            client_id: Arc::from("kafka-wire"),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            max_response_bytes: 128 * 1024 * 1024,
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
}

impl Connection {
    /// Connects to `host:port` and agrees on the API versions.
    ///
    /// # Errors
    ///
    /// [`WireError::ConnectTimeout`] when all of it takes longer than [`ConnectOptions::connect_timeout`],
    /// [`WireError::Connect`] when nothing listens there, and the errors of a request.
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
        let tcp = TcpStream::connect(&*address).await.map_err(refused)?;
        let stream = stream::wrap(tcp, Arc::clone(&closing)).map_err(refused)?;
        // The deadline is kept here and not by the Messenger, whose own timeout leaves the connection in use.
        let mut messenger = Messenger::new(
            stream,
            options.max_response_bytes,
            Arc::clone(&options.client_id),
        );
        messenger
            .sync_versions()
            .await
            .map_err(|e| WireError::from_sync_versions(e, &address))?;
        tracing::debug!(broker = %address, "connected");
        Ok(Self {
            messenger,
            closing,
            address,
            request_timeout: options.request_timeout,
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
        if let Some(reason) = self.closing.reason.get() {
            return Err(self.disconnected(reason));
        }
        let result = tokio::select! {
            biased; // The request is polled first: the order of first polls is the order on the wire.
            answered = self.messenger.request(Carried(request)) => match answered {
                Ok(answer) => return Ok(answer.0),
                Err(e) => Err(WireError::from_request(e, &self.address, R::NAME)),
            },
            reason = self.closing.wait() => Err(self.disconnected(reason)),
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

    fn disconnected(&self, reason: &str) -> WireError {
        WireError::Disconnected {
            address: Arc::clone(&self.address),
            reason: reason.to_owned(),
        }
    }
}

/// The end of a connection, and why; shared by the connection and its stream.
#[derive(Debug, Default)]
pub(crate) struct Closing {
    reason: OnceLock<String>,
    notify: Notify,
}

impl Closing {
    /// The first reason stays.
    pub(crate) fn close(&self, reason: &str) {
        if self.reason.set(reason.to_owned()).is_ok() {
            self.notify.notify_waiters();
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
