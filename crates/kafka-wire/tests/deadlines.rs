//! Deadlines of requests, and who ends a connection. The broker is played by each test itself, an answer at a time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::ErrorKind;
use std::time::Duration;

use bytes::BytesMut;
use kafka_wire::messages::api_versions_response::ApiVersion;
use kafka_wire::messages::{
    ApiKey, ApiVersionsResponse, HeartbeatRequest, HeartbeatResponse, RequestHeader, ResponseHeader,
};
use kafka_wire::{ConnectOptions, Connection, Decodable, Encodable, HeaderVersion, WireError, api};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

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

    /// Whether nothing comes for so long.
    async fn hears_nothing_for(&mut self, time: Duration) -> bool {
        timeout(time, self.next()).await.is_err()
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

    async fn answer_heartbeat(&mut self, asked: &Asked, throttle: Duration) {
        let throttle = i32::try_from(throttle.as_millis()).unwrap();
        let response = HeartbeatResponse::default().with_throttle_time_ms(throttle);
        self.answer(asked, &response).await;
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

#[tokio::test]
async fn a_request_under_way_has_the_time_for_which_the_broker_reads_nothing_besides() {
    let deadline = Duration::from_millis(500);
    let (connection, mut peer, _listener) = open(ConnectOptions::default()).await;
    let first = connection.request(heartbeat());
    let second = connection.request_within(heartbeat(), deadline);
    let broker = async {
        let asked = [peer.next().await, peer.next().await];
        peer.answer_heartbeat(&asked[0], Duration::from_secs(60))
            .await;
        assert!(peer.hears_nothing_for(deadline * 3).await);
        peer.answer_heartbeat(&asked[1], Duration::ZERO).await;
    };
    let (first, second, ()) = tokio::join!(biased; first, second, broker);
    first.unwrap();
    second.unwrap();
    assert!(!connection.is_closed());
}

#[tokio::test]
async fn the_time_for_an_answer_counts_from_the_sending() {
    let (connection, mut peer, _listener) = open(ConnectOptions::default()).await;
    let client = async {
        connection.request(heartbeat()).await.unwrap();
        let deadline = Duration::from_millis(1_200);
        connection.request_within(heartbeat(), deadline).await
    };
    let broker = async {
        let asked = peer.next().await;
        peer.answer_heartbeat(&asked, Duration::from_millis(900))
            .await;
        let asked = peer.next().await;
        // Counted from the call, its deadline passes meanwhile.
        assert!(peer.hears_nothing_for(Duration::from_millis(600)).await);
        peer.answer_heartbeat(&asked, Duration::ZERO).await;
    };
    let (answered, ()) = tokio::join!(client, broker);
    answered.unwrap();
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

fn small() -> ConnectOptions {
    ConnectOptions {
        max_response_bytes: 1024,
        ..ConnectOptions::default()
    }
}

#[tokio::test]
async fn an_oversized_answer_ends_the_connection_once_it_is_read() {
    let (connection, mut peer, _listener) = open(small()).await;
    let broker = async {
        peer.next().await;
        peer.0.write_u32(5_000).await.unwrap();
        peer.0.write_all(&[0; 5_000]).await.unwrap();
    };
    let (answered, ()) = tokio::join!(connection.request(heartbeat()), broker);
    let error = answered.unwrap_err();
    assert!(matches!(error, WireError::Disconnected { .. }), "{error}");
    assert!(error.to_string().contains("1024"), "{error}");
    assert!(connection.is_closed());
}

#[tokio::test]
async fn an_oversized_answer_that_does_not_end_misses_the_deadline() {
    let (connection, mut peer, _listener) = open(small()).await;
    let broker = async {
        peer.next().await;
        peer.0.write_u32(u32::MAX >> 1).await.unwrap();
    };
    let request = connection.request_within(heartbeat(), Duration::from_millis(300));
    let (answered, ()) = tokio::join!(request, broker);
    let error = answered.unwrap_err();
    assert!(matches!(error, WireError::RequestTimeout { .. }), "{error}");
    assert!(connection.is_closed());
}
