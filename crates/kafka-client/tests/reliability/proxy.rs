//! A proxy that passes bytes on and, again and again, ends every connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Stands in the way to some brokers until it is dropped.
pub(crate) struct Proxy {
    cut: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Listens at the first address of each pair and passes on to the second. Each connection lives for a random time of
    /// 0.5 to 1.5 seconds.
    pub(crate) async fn start(ways: &[(SocketAddr, SocketAddr)], random: StdRng) -> Self {
        let cut = Arc::new(AtomicU64::new(0));
        let random = Arc::new(Mutex::new(random));
        let mut tasks = JoinSet::new();
        for (from, to) in ways {
            let listener = TcpListener::bind(from).await.unwrap();
            let (cut, random, to) = (Arc::clone(&cut), Arc::clone(&random), *to);
            tasks.spawn(async move {
                let mut connections = JoinSet::new();
                loop {
                    let (client, _) = listener.accept().await.unwrap();
                    let life = Duration::from_millis(random.lock().random_range(500..1_500));
                    let cut = Arc::clone(&cut);
                    connections.spawn(async move {
                        if tokio::time::timeout(life, pass(client, to)).await.is_err() {
                            cut.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                    while connections.try_join_next().is_some() {}
                }
            });
        }
        Self { cut, _tasks: tasks }
    }

    /// How many connections it has cut.
    pub(crate) fn cut(&self) -> u64 {
        self.cut.load(Ordering::Relaxed)
    }
}

async fn pass(mut client: TcpStream, to: SocketAddr) -> std::io::Result<()> {
    let mut broker = TcpStream::connect(to).await?;
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut client, &mut broker).await?;
    Ok(())
}
