//! HTTP as it goes over the wire.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::bed::within;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In small letters.
    pub(crate) head: String,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

/// Sends a request with these further lines in its head, and reads the answer.
pub(crate) async fn send(
    to: SocketAddr,
    method: &str,
    path: &str,
    lines: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    if !lines.iter().any(|(name, _)| *name == "host") {
        request.push_str(&format!("host: {to}\r\n"));
    }
    for (name, value) in lines {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request.push_str(body);
    let exchange = async {
        let mut stream = TcpStream::connect(to).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = within(path, exchange).await;
    let (head, text) = answer.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_lowercase(),
        text: text.to_owned(),
    }
}

/// GET /api/stream.
pub(crate) struct Stream {
    pub(crate) status: u16,
    lines: BufReader<TcpStream>,
}

impl Stream {
    /// By HTTP 1.0, in which an answer has no chunks.
    pub(crate) async fn open(to: SocketAddr) -> Self {
        let opening = async {
            let mut stream = TcpStream::connect(to).await.unwrap();
            let request = b"GET /api/stream HTTP/1.0\r\nhost: localhost\r\n\r\n";
            stream.write_all(request).await.unwrap();
            let mut lines = BufReader::new(stream);
            let mut line = String::new();
            lines.read_line(&mut line).await.unwrap();
            let status = line.split(' ').nth(1).unwrap().parse().unwrap();
            Self { status, lines }
        };
        within("opening the stream", opening).await
    }

    /// The next event, its name and its data; none at the end of the stream.
    pub(crate) async fn event(&mut self) -> Option<(String, Value)> {
        let reading = async {
            let mut name = String::new();
            loop {
                let mut line = String::new();
                if self.lines.read_line(&mut line).await.unwrap_or(0) == 0 {
                    return None;
                }
                if let Some(event) = line.strip_prefix("event:") {
                    name = event.trim().to_owned();
                } else if let Some(data) = line.strip_prefix("data:") {
                    return Some((name, serde_json::from_str(data).unwrap()));
                }
            }
        };
        within("the next event", reading).await
    }

    /// The next snapshot; none at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        let reading = async {
            loop {
                let (name, data) = self.event().await?;
                if name == "snapshot" {
                    return Some(data);
                }
            }
        };
        within("the next snapshot", reading).await
    }

    /// Waits until it was looked some more for about a second: until a tick, or two snapshots.
    pub(crate) async fn second(&mut self) {
        let mut snapshots = 0;
        while snapshots < 2 {
            let (name, _) = self.event().await.expect("the stream goes on");
            snapshots += if name == "tick" { 2 } else { 1 };
        }
    }

    /// The first snapshot that is so.
    pub(crate) async fn until(&mut self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let looking = async {
            loop {
                let snapshot = self.next().await.expect("the stream goes on");
                if is_so(&snapshot) {
                    return snapshot;
                }
            }
        };
        within(what, looking).await
    }
}
