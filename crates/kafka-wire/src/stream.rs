//! The byte stream under a connection: TCP without Nagle's delay, encrypted or not, buffered, and watched for its end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, BufStream, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::closing::Closing;
use crate::tls::{self, TlsProblem};

/// Small requests and their four-byte length leave in one write; larger ones bypass the buffer.
const WRITE_BUFFER: usize = 16 * 1024;
/// A small response and its length come in one read; the bodies of large ones are read straight into their own buffer.
const READ_BUFFER: usize = 16 * 1024;

/// What the Messenger reads from and writes to.
pub(crate) type WireStream = BufStream<Watched>;

/// What carries the bytes.
#[derive(Debug)]
pub(crate) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Tells the connection when the peer hung up or the stream failed, so that nobody has to send to find out.
#[derive(Debug)]
pub(crate) struct Watched {
    transport: Transport,
    closing: Arc<Closing>,
    /// Whether anything has been read.
    heard: bool,
}

pub(crate) fn wrap(transport: Transport, closing: Arc<Closing>) -> WireStream {
    BufStream::with_capacity(
        READ_BUFFER,
        WRITE_BUFFER,
        Watched {
            transport,
            closing,
            heard: false,
        },
    )
}

/// What is read from and written to in both cases.
trait Duplex: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

impl Transport {
    fn pinned(&mut self) -> Pin<&mut (dyn Duplex + Send)> {
        match self {
            Self::Plain(stream) => Pin::new(stream),
            Self::Tls(stream) => Pin::new(&mut **stream),
        }
    }
}

impl Watched {
    fn failed(&self, error: &io::Error) {
        if let Some((problem, reason)) = tls::problem_of(error) {
            self.closing.note_tls(problem, &reason);
        }
        self.closing.broken(&error.to_string());
    }

    /// A listener for TLS answers plaintext with an alert. Taken for Kafka's, that would be the length of a huge response.
    fn check_first(&mut self, first: &[u8]) -> io::Result<()> {
        let plain = matches!(self.transport, Transport::Plain(_));
        if !std::mem::replace(&mut self.heard, true) && plain && tls::looks_like_tls(first) {
            let reason = "the broker answered with a TLS record";
            self.closing.note_tls(TlsProblem::TlsExpected, reason);
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok(())
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let wanted = buf.remaining();
        let mut result = ready!(self.transport.pinned().poll_read(cx, buf));
        if result.is_ok() && wanted > 0 {
            match buf.filled().get(before..) {
                Some([]) | None => self.closing.broken("the broker hung up"),
                Some(read) => result = self.check_first(read),
            }
        }
        if let Err(e) = &result {
            self.failed(e);
        }
        Poll::Ready(result)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = ready!(self.transport.pinned().poll_write(cx, buf));
        if let Err(e) = &result {
            self.failed(e);
        }
        Poll::Ready(result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport.pinned().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport.pinned().poll_shutdown(cx)
    }
}
