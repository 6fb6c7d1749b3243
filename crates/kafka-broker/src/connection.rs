//! One client's connection: its requests, one after another.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use kafka_wire::Decodable;
use kafka_wire::messages::RequestHeader;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cluster::Cluster;
use crate::handlers::{Api, Context, Reply, unsupported_api_versions};

/// Small requests come in one read; the bodies of large ones are read straight into their own buffer.
const READ_BUFFER: usize = 16 * 1024;
/// Room that is made for a request before any of it has come. More is made as it comes.
const FIRST_CHUNK: usize = 256 * 1024;
/// The least that a request's header has: key, version, correlation id.
const LEAST_HEADER: usize = 8;
const API_VERSIONS: i16 = 18;

/// Serves a connection until the client hangs up or breaks the protocol.
///
/// A request is answered before the next is read, as in Kafka: what a client pipelines waits in the socket's buffers, so
/// that no client makes the broker hold more than one of its requests.
pub(crate) async fn serve(stream: TcpStream, peer: SocketAddr, node: i32, cluster: Arc<Cluster>) {
    let mut connection = Connection {
        stream: BufReader::with_capacity(READ_BUFFER, stream),
        peer,
        node,
        cluster,
    };
    match connection.run().await {
        Ok(()) => tracing::trace!(node, %peer, "client hung up"),
        Err(End::Io(error)) => tracing::debug!(node, %peer, %error, "connection failed"),
        Err(End::Closed(reason)) => {
            tracing::warn!(node, %peer, reason, "closed a connection");
        }
        Err(End::Idle) => tracing::debug!(node, %peer, "closed an idle connection"),
    }
}

struct Connection {
    stream: BufReader<TcpStream>,
    peer: SocketAddr,
    node: i32,
    cluster: Arc<Cluster>,
}

/// Why a connection ends before the client hangs up.
enum End {
    Io(io::Error),
    Closed(String),
    Idle,
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Connection {
    async fn run(&mut self) -> Result<(), End> {
        self.stream.get_ref().set_nodelay(true)?;
        while let Some(frame) = self.read_frame().await? {
            match self.answer(frame).await? {
                Reply::Answer(bytes) => self.send(&bytes).await?,
                Reply::Nothing => {}
                Reply::Silence => return self.fall_silent().await,
                Reply::Close(reason) => return Err(End::Closed(reason)),
            }
        }
        Ok(())
    }

    /// A client that takes nothing in for as long as one may be idle is given up.
    async fn send(&mut self, bytes: &[u8]) -> Result<(), End> {
        let sending = self.stream.get_mut().write_all(bytes);
        Ok(timeout(self.cluster.config.max_idle, sending)
            .await
            .map_err(|_| End::Idle)??)
    }

    /// The next request without its length, or `None` when the client hung up between two.
    async fn read_frame(&mut self) -> Result<Option<Bytes>, End> {
        let idle = self.cluster.config.max_idle;
        let waiting = timeout(idle, self.stream.fill_buf()).await;
        if waiting.map_err(|_| End::Idle)??.is_empty() {
            return Ok(None);
        }
        timeout(idle, self.read_whole_frame())
            .await
            .map_err(|_| End::Idle)?
            .map(Some)
    }

    async fn read_whole_frame(&mut self) -> Result<Bytes, End> {
        let length = self.stream.read_i32().await?;
        let max = self.cluster.config.max_request_bytes;
        let length = usize::try_from(length)
            .ok()
            .filter(|length| (LEAST_HEADER..=max).contains(length))
            .ok_or_else(|| {
                End::Closed(format!(
                    "a request of {length} bytes, not {LEAST_HEADER} to {max}"
                ))
            })?;
        let mut frame = BytesMut::with_capacity(length.min(FIRST_CHUNK));
        let mut rest = (&mut self.stream).take(length as u64);
        while frame.len() < length {
            if frame.len() == frame.capacity() {
                frame.reserve(frame.len().min(length - frame.len()));
            }
            if rest.read_buf(&mut frame).await? == 0 {
                return Err(End::Io(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        Ok(frame.freeze())
    }

    async fn answer(&mut self, mut frame: Bytes) -> Result<Reply, End> {
        let mut peek = frame.slice(..LEAST_HEADER);
        let (key, version, correlation_id) = (peek.get_i16(), peek.get_i16(), peek.get_i32());
        let Some(api) = Api::of(key) else {
            return Ok(Reply::Close(format!("API {key} is not known")));
        };
        if !api.versions.contains(&version) {
            return Ok(refuse_version(api, version, correlation_id));
        }
        let header = match RequestHeader::decode(&mut frame, (api.header_version)(version)) {
            Ok(header) => header,
            Err(e) => return Ok(Reply::Close(format!("malformed request header: {e}"))),
        };
        self.cluster.counters.count(key);
        let mut context = Context {
            cluster: Arc::clone(&self.cluster),
            node: self.node,
            peer: self.peer,
            api: api.name,
            version,
            correlation_id,
            client_id: header.client_id.unwrap_or_default(),
            injected: Vec::new(),
        };
        let serving = (api.serve)(&mut context, frame);
        if !api.waits {
            return Ok(serving.await);
        }
        tokio::select! {
            biased;
            reply = serving => Ok(reply),
            // Nobody is left to be answered: what waits for the answer need not wait on.
            end = hung_up(&mut self.stream) => Err(End::Io(end)),
        }
    }

    /// Takes in what comes and answers none of it, until the client hangs up.
    async fn fall_silent(&mut self) -> Result<(), End> {
        tracing::debug!(node = self.node, peer = %self.peer, "a fault silences a connection");
        loop {
            let read = self.stream.fill_buf().await?.len();
            if read == 0 {
                return Ok(());
            }
            self.stream.consume(read);
        }
    }
}

/// Returns when the client has hung up. If it has sent more requests instead, that cannot be seen, and this waits for ever.
async fn hung_up(stream: &mut BufReader<TcpStream>) -> io::Error {
    match stream.fill_buf().await {
        Ok([]) => io::ErrorKind::UnexpectedEof.into(),
        Ok(_) => std::future::pending().await,
        Err(error) => error,
    }
}

fn refuse_version(api: &Api, version: i16, correlation_id: i32) -> Reply {
    if api.key == API_VERSIONS {
        return unsupported_api_versions(correlation_id).map_or_else(Reply::Close, Reply::Answer);
    }
    Reply::Close(format!(
        "{:?} v{version} is not known, only {:?}",
        api.name, api.versions
    ))
}
