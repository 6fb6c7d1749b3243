//! The byte stream under a connection: TCP without Nagle's delay, buffered, and watched for its end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, BufStream, ReadBuf};
use tokio::net::TcpStream;

use crate::connection::Closing;

/// Small requests and their four-byte length leave in one write; larger ones bypass the buffer.
const WRITE_BUFFER: usize = 16 * 1024;
/// A small response and its length come in one read; the bodies of large ones are read straight into their own buffer.
const READ_BUFFER: usize = 16 * 1024;

/// What the Messenger reads from and writes to.
pub(crate) type WireStream = BufStream<Watched>;

/// Tells the connection when the peer hung up or the stream failed, so that nobody has to send to find out.
#[derive(Debug)]
pub(crate) struct Watched {
    stream: TcpStream,
    closing: Arc<Closing>,
}

pub(crate) fn wrap(stream: TcpStream, closing: Arc<Closing>) -> io::Result<WireStream> {
    // Without it a request of more than one segment waits for the peer's delayed ACK: 40 ms on Linux.
    stream.set_nodelay(true)?;
    Ok(BufStream::with_capacity(
        READ_BUFFER,
        WRITE_BUFFER,
        Watched { stream, closing },
    ))
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let wanted = buf.remaining();
        let result = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        match &result {
            Ok(()) if wanted > 0 && buf.filled().len() == before => {
                self.closing.close("the broker hung up")
            }
            Err(e) => self.closing.close(&e.to_string()),
            Ok(()) => {}
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
        let result = ready!(Pin::new(&mut self.stream).poll_write(cx, buf));
        if let Err(e) = &result {
            self.closing.close(&e.to_string());
        }
        Poll::Ready(result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
