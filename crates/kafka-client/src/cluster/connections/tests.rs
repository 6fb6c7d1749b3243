use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::TcpListener;

use super::*;
use crate::error::ClientError;

/// Accepts connections and never says a word.
struct Silent {
    address: String,
    accepted: tokio::task::JoinHandle<()>,
    count: Arc<AtomicU64>,
}

impl Silent {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let count = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&count);
        let accepted = tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                open.push(stream);
            }
        });
        Self {
            address,
            accepted,
            count,
        }
    }

    fn connections(self) -> u64 {
        self.accepted.abort();
        self.count.load(Ordering::SeqCst)
    }
}

fn connections() -> Connections {
    Connections::new(ConnectOptions {
        connect_timeout: Duration::from_millis(200),
        ..ConnectOptions::default()
    })
}

#[tokio::test]
async fn an_attempt_that_fails_answers_all_who_waited_for_it() {
    let (silent, connections) = (Silent::start().await, connections());
    let ask = || connections.to_broker(1, Purpose::Produce, &silent.address);
    for result in join_all((0..20).map(|_| ask())).await {
        let error = result.unwrap_err();
        assert!(matches!(error, WireError::ConnectTimeout { .. }), "{error}");
    }
    // Whoever comes later has an attempt of its own.
    ask().await.unwrap_err();
    assert_eq!(silent.connections(), 2);
}

#[tokio::test]
async fn nor_is_any_broker_looked_for_once_for_each_who_waits() {
    let (silent, connections) = (Silent::start().await, connections());
    let bootstrap = [silent.address.clone()];
    let request = kafka_wire::messages::MetadataRequest::default;
    let bound = Duration::from_secs(20);
    let ask = || connections.request_any(&[], &bootstrap, request(), bound);
    for result in join_all((0..20).map(|_| ask())).await {
        let error = result.unwrap_err();
        assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    }
    ask().await.unwrap_err();
    assert_eq!(silent.connections(), 2);
}
