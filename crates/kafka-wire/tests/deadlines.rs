//! Deadlines of requests, and who ends a connection. The broker is played by each test itself, an answer at a time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::ErrorKind;
use std::time::Duration;

use bytes::BytesMut;
use kafka_wire::messages::api_versions_response::ApiVersion;
use kafka_wire::messages::{
    ApiKey, ApiVersionsResponse, HeartbeatRequest, RequestHeader, ResponseHeader,
};
use kafka_wire::{ConnectOptions, Connection, Decodable, Encodable, HeaderVersion, WireError, api};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The broker's end of the connection.
struct Peer(TcpStream);

/// A request that waits for its answer.
struct Asked {
    correlation_id: i32,
    version: i16,
}

impl Peer {
    async fn next(&mut self) -> Asked {
        let length = self.0.read_u32().await.unwrap();
        let mut frame = vec![0; length as usize];
        self.0.read_exact(&mut frame).await.unwrap();
        let key = i16::from_be_bytes([frame[0], frame[1]]);
        let version = i16::from_be_bytes([frame[2], frame[3]]);
        let header_version = ApiKey::try_from(key)
            .unwrap()
            .request_header_version(version);
        let header = RequestHeader::decode(&mut frame.as_slice(), header_version).unwrap();
        Asked {
            correlation_id: header.correlation_id,
            version,
        }
    }

    async fn answer(&mut self, asked: &Asked, response: &(impl Encodable + HeaderVersion)) {
        let mut frame = BytesMut::new();
        let header = ResponseHeader::default().with_correlation_id(asked.correlation_id);
        let header_version = header_version(response, asked.version);
        header.encode(&mut frame, header_version).unwrap();
        response.encode(&mut frame, asked.version).unwrap();
        self.0.write_u32(frame.len() as u32).await.unwrap();
        self.0.write_all(&frame).await.unwrap();
    }
}

fn header_version<R: HeaderVersion>(_: &R, version: i16) -> i16 {
    R::header_version(version)
}

fn versions() -> ApiVersionsResponse {
    let keys = api::TABLE.iter().map(|row| {
        ApiVersion::default()
            .with_api_key(row.key)
            .with_min_version(row.min_version)
            .with_max_version(row.max_version)
    });
    ApiVersionsResponse::default().with_api_keys(keys.collect())
}

/// Both ends of a connection, and the listener, which takes no other one by itself.
async fn open(options: ConnectOptions) -> (Connection, Peer, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let accepting = async {
        let mut peer = Peer(listener.accept().await.unwrap().0);
        let asked = peer.next().await;
        peer.answer(&asked, &versions()).await;
        peer
    };
    let (connection, peer) = tokio::join!(Connection::open(&address, &options), accepting);
    (connection.unwrap(), peer, listener)
}

fn heartbeat() -> HeartbeatRequest {
    HeartbeatRequest::default()
}

/// Whether nobody has connected, beside the connection that was taken.
fn nobody_else_came(listener: TcpListener) -> bool {
    let accepted = listener.into_std().unwrap().accept();
    accepted.is_err_and(|e| e.kind() == ErrorKind::WouldBlock)
}

#[tokio::test]
async fn the_broker_is_not_asked_why_a_connection_ended_that_the_client_ended() {
    let (connection, _peer, listener) = open(ConnectOptions::default()).await;
    let waiting = connection.request(heartbeat());
    let hasty = connection.request_within(heartbeat(), Duration::from_millis(50));
    let (waited, hurried) = tokio::join!(waiting, hasty);
    assert!(matches!(waited, Err(WireError::Disconnected { .. })));
    assert!(matches!(hurried, Err(WireError::RequestTimeout { .. })));
    assert!(nobody_else_came(listener));

    let (connection, _peer, listener) = open(ConnectOptions::default()).await;
    let waiting = connection.request(heartbeat());
    let ending = async { connection.close("the test ends it") };
    let (waited, ()) = tokio::join!(biased; waiting, ending);
    assert!(matches!(waited, Err(WireError::Disconnected { .. })));
    assert!(nobody_else_came(listener));
}
