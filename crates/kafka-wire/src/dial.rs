//! Reaching one of the addresses that a host name stands for.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// How long an address may be silent before the next is tried beside it: the delay that RFC 8305 recommends.
const HEAD_START: Duration = Duration::from_millis(250);

/// Resolves `host:port` and connects to the first of its addresses that answers (KIP-302, KIP-602). How long it takes in all is for
/// the caller to bound.
pub(crate) async fn connect(address: &str) -> io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> = lookup_host(address).await?.collect();
    first_to_answer(&addresses).await
}

/// Tries the addresses in their order. One that refuses gives way to the next at once, and one that is silent holds it up by
/// [`HEAD_START`] and stays in the race. If none answers, the error is the last one's.
async fn first_to_answer(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::new(
        io::ErrorKind::NotFound,
        "the name does not stand for any address",
    );
    let mut attempts = FuturesUnordered::new();
    for address in addresses {
        attempts.push(TcpStream::connect(*address));
        match timeout(HEAD_START, attempts.next()).await {
            Ok(Some(Ok(stream))) => return Ok(stream),
            Ok(Some(Err(error))) => last = error,
            Ok(None) | Err(_) => {}
        }
    }
    while let Some(answered) = attempts.next().await {
        match answered {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    /// Long for connecting on this machine, and short beside the minutes for which a system tries an address that is silent.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// An address that takes no connection and refuses none, for as long as what else is returned is kept: the backlog of its
    /// listener is full.
    async fn silent() -> (SocketAddr, TcpListener, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        while let Ok(stream) = timeout(HEAD_START, TcpStream::connect(address)).await {
            waiting.push(stream.unwrap());
            assert!(waiting.len() < 1_000, "the backlog has no end");
        }
        (address, listener, waiting)
    }

    async fn refusing() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    }

    async fn connected_to(addresses: &[SocketAddr]) -> io::Result<SocketAddr> {
        let connected = timeout(PATIENCE, first_to_answer(addresses)).await;
        connected.expect("an address was waited for")?.peer_addr()
    }

    #[tokio::test]
    async fn an_address_that_is_silent_does_not_keep_from_the_next() {
        let (silent, _listener, _waiting) = silent().await;
        let there = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = (there.local_addr().unwrap(), there);
        let connected = connected_to(&[silent, silent, there.0]).await;
        assert_eq!(connected.unwrap(), there.0);
    }

    #[tokio::test]
    async fn one_that_refuses_gives_way_and_the_last_that_does_is_told() {
        let there = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refusing = refusing().await;
        let to = there.local_addr().unwrap();
        let connected = connected_to(&[refusing, refusing, to]).await;
        assert_eq!(connected.unwrap(), to);
        let error = connected_to(&[refusing, refusing]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(connected_to(&[]).await.is_err());
    }

    #[tokio::test]
    async fn a_host_and_port_are_resolved() {
        let there = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = there.local_addr().unwrap();
        // `localhost` may stand for ::1 as well, where nothing listens.
        for host in ["localhost", "127.0.0.1"] {
            let stream = connect(&format!("{host}:{}", to.port())).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), to);
        }
        assert!(connect("127.0.0.1").await.is_err());
    }
}
