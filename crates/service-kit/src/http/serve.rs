//! Serves routes on a listener until told to stop.

use std::time::Duration;

use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use warp::http::Request;
use warp::hyper::body::Incoming;
use warp::hyper::server::conn::http1;

use super::admission::Refused;
use super::{AllowedHosts, Routes};

/// What clients may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// The most connections. Whoever comes beyond waits in the listener's queue until one ends.
    connections: usize,
    /// How long a client may take to send the head of a request. Also how long an idle connection lives.
    head: Duration,
    /// How long a client may read nothing of what is on its way to it.
    unread: Duration,
}

/// The connections are as many as the file descriptors that a process usually may have.
const LIMITS: Limits = Limits {
    connections: 1024,
    head: Duration::from_secs(30),
    unread: Duration::from_secs(30),
};
/// How long to wait before accepting again when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// Connections that were still busy when the grace was over, and were cut.
    pub cut: usize,
}

/// Answers requests on `listener` until `stop`; then takes no more connections, lets the requests that
/// are being answered finish, and cuts after `grace` what is left.
///
/// A request is let in when it is for one of `hosts`, and, if it changes something, does not come from a page of another site: else
/// it is a 421 or a 403.
///
/// There are 1024 connections at most at a time. One ends that sends no request for 30 s, or reads nothing for as long of what it
/// is being sent.
///
/// warp's own server is not used for two things that it does not offer: an end to the grace, and
/// TCP_NODELAY, without which the second packet of an answer may wait 40 ms for an acknowledgement.
pub async fn serve(
    listener: TcpListener,
    routes: Routes,
    hosts: AllowedHosts,
    stop: CancellationToken,
    grace: Duration,
) -> Served {
    serve_within(LIMITS, listener, (routes, hosts), stop, grace).await
}

async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    served: (Routes, AllowedHosts),
    stop: CancellationToken,
    grace: Duration,
) -> Served {
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept(), if connections.len() < limits.connections => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(answer(limits, stream, served.clone(), graceful.watcher()));
                }
                Err(error) => {
                    tracing::warn!(%error, "connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    let drained = async {
        graceful.shutdown().await;
        while connections.join_next().await.is_some() {}
    };
    if tokio::time::timeout(grace, drained).await.is_ok() {
        return Served { cut: 0 };
    }
    let cut = connections.len();
    connections.shutdown().await;
    Served { cut }
}

async fn answer(
    limits: Limits,
    stream: TcpStream,
    (routes, hosts): (Routes, AllowedHosts),
    graceful: hyper_util::server::graceful::Watcher,
) {
    // Without it answers are only slower, so a socket that refuses is served all the same.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.unread));
    let routes = TowerToHyperService::new(warp::service(routes));
    let service = service_fn(move |mut request: Request<Incoming>| {
        if let Err(problem) = hosts.admit(&request) {
            request.extensions_mut().insert(Refused(problem));
        }
        routes.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    if let Err(error) = graceful.watch(connection).await {
        tracing::debug!(%error, "connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::mpsc::{self, error::TryRecvError};
    use warp::{Filter, Reply};

    use super::super::routes;
    use super::*;

    /// More than the buffers of two sockets hold.
    const LARGE: usize = 64 << 20;

    /// What is served: something large, and something that tells when it was asked for.
    async fn started(
        limits: Limits,
    ) -> (SocketAddr, mpsc::UnboundedReceiver<()>, CancellationToken) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, asks) = mpsc::unbounded_channel();
        let large = warp::path!("large").map(|| vec![b'.'; LARGE].into_response());
        let small = warp::path!("small").map(move || {
            asked.send(()).unwrap();
            "small".into_response()
        });
        let routes = routes(large.or(small).unify());
        let stop = CancellationToken::new();
        let served = (routes, AllowedHosts::default());
        let serving = serve_within(limits, listener, served, stop.clone(), Duration::ZERO);
        tokio::spawn(serving);
        (address, asks, stop)
    }

    async fn ask(address: SocketAddr, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: shop\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// How many bytes come until the connection ends, in whichever way.
    async fn rest(mut stream: TcpStream) -> usize {
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all).await;
        all.len()
    }

    async fn soon<T>(what: impl Future<Output = T>) -> T {
        let waited = tokio::time::timeout(Duration::from_secs(30), what).await;
        waited.expect("within 30 s")
    }

    #[tokio::test]
    async fn a_client_that_reads_nothing_of_its_answer_is_given_up() {
        let limits = Limits {
            connections: 1,
            unread: Duration::from_millis(20),
            ..LIMITS
        };
        let (address, mut asks, stop) = started(limits).await;
        let silent = ask(address, "/large").await;
        // The only place is free again once it is given up.
        let next = ask(address, "/small").await;
        soon(asks.recv()).await;
        assert!(soon(rest(silent)).await < LARGE);
        stop.cancel();
        soon(rest(next)).await;
    }

    #[tokio::test]
    async fn a_connection_beyond_those_that_may_be_waits_for_one_to_end() {
        let connections = 1;
        let (address, mut asks, stop) = started(Limits {
            connections,
            ..LIMITS
        })
        .await;
        let first = ask(address, "/small").await;
        soon(asks.recv()).await;
        let second = ask(address, "/small").await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(asks.try_recv(), Err(TryRecvError::Empty));
        drop(first);
        soon(asks.recv()).await;
        stop.cancel();
        soon(rest(second)).await;
    }
}
