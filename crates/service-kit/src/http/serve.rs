//! Serves routes on a listener until told to stop.

use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use warp::hyper::server::conn::http1;

use super::Routes;

/// How long a client may take to send the head of a request. Also how long an idle connection lives.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);
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
/// warp's own server is not used for two things that it does not offer: an end to the grace, and
/// TCP_NODELAY, without which the second packet of an answer may wait 40 ms for an acknowledgement.
pub async fn serve(
    listener: TcpListener,
    routes: Routes,
    stop: CancellationToken,
    grace: Duration,
) -> Served {
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(answer(stream, routes.clone(), graceful.watcher()));
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
    stream: TcpStream,
    routes: Routes,
    graceful: hyper_util::server::graceful::Watcher,
) {
    // Without it answers are only slower, so a socket that refuses is served all the same.
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(warp::service(routes));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = graceful.watch(connection).await {
        tracing::debug!(%error, "connection ended early");
    }
}
