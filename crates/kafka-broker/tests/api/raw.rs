//! A connection that sends what it is told, right or wrong.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_broker::Broker;
use kafka_wire::messages::RequestHeader;
use kafka_wire::{Encodable, HeaderVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::s;

pub(crate) struct Raw {
    stream: TcpStream,
}

impl Raw {
    pub(crate) async fn connect(broker: &Broker) -> Self {
        let stream = TcpStream::connect(broker.addr(1).unwrap()).await.unwrap();
        Self { stream }
    }

    /// Sends bytes behind their length.
    pub(crate) async fn send(&mut self, body: &[u8]) -> std::io::Result<()> {
        let mut frame = BytesMut::with_capacity(4 + body.len());
        frame.put_i32(body.len() as i32);
        frame.put_slice(body);
        self.send_unframed(&frame).await
    }

    pub(crate) async fn send_unframed(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The next answer without its length, or `None` when the broker closed the connection.
    pub(crate) async fn receive(&mut self) -> Option<Bytes> {
        let length = self.stream.read_i32().await.ok()?;
        let mut body = vec![0; usize::try_from(length).ok()?];
        self.stream.read_exact(&mut body).await.ok()?;
        Some(body.into())
    }

    /// The body of the answer to this request.
    pub(crate) async fn ask(&mut self, body: &[u8], header_version: i16) -> Option<Bytes> {
        self.send(body).await.ok()?;
        let mut answer = self.receive().await?;
        assert_eq!(answer.get_i32(), 7, "correlation id");
        if header_version > 0 {
            assert_eq!(answer.get_u8(), 0, "tagged fields of the header");
        }
        Some(answer)
    }
}

/// Header and body of a request, with correlation id 7.
pub(crate) fn encode<R: Encodable + HeaderVersion>(key: i16, version: i16, request: &R) -> Bytes {
    let header = RequestHeader::default()
        .with_request_api_key(key)
        .with_request_api_version(version)
        .with_correlation_id(7)
        .with_client_id(Some(s("raw")));
    let mut bytes = BytesMut::new();
    header
        .encode(&mut bytes, R::header_version(version))
        .unwrap();
    request.encode(&mut bytes, version).unwrap();
    bytes.freeze()
}
