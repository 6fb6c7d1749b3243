//! A connection against a broker that answers as each test tells it to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use kafka_wire::messages::api_versions_response::ApiVersion;
use kafka_wire::messages::{
    ApiVersionsResponse, HeartbeatRequest, HeartbeatResponse, RequestHeader, ResponseHeader,
};
use kafka_wire::{
    ApiRequest, ConnectOptions, Connection, Decodable, Encodable, HeaderVersion, WireError, api,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const HEARTBEAT: i16 = 12;
const API_VERSIONS: i16 = 18;

/// What the broker does with a request that is not ApiVersions.
#[derive(Clone, Copy)]
enum Behaviour {
    Answer,
    /// With so many milliseconds of throttle, and one less in each answer of the connection.
    Throttle(i32),
    StaySilent,
    HangUp,
    SendGarbage,
}

async fn broker(behaviour: Behaviour) -> String {
    broker_speaking(
        behaviour,
        api::TABLE
            .iter()
            .map(|row| (row.key, row.min_version, row.max_version))
            .collect(),
    )
    .await
}

async fn broker_speaking(behaviour: Behaviour, versions: Vec<(i16, i16, i16)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, behaviour, versions.clone()));
        }
    });
    address
}

async fn serve(mut stream: TcpStream, behaviour: Behaviour, versions: Vec<(i16, i16, i16)>) {
    let mut answered = 0;
    while let Ok(length) = stream.read_u32().await {
        let mut frame = vec![0; length as usize];
        stream.read_exact(&mut frame).await.unwrap();
        let (key, version) = (
            i16::from_be_bytes([frame[0], frame[1]]),
            i16::from_be_bytes([frame[2], frame[3]]),
        );
        let mut body = Bytes::from(frame);
        if key == API_VERSIONS {
            let header =
                RequestHeader::decode(&mut body, if version >= 3 { 2 } else { 1 }).unwrap();
            let keys = versions
                .iter()
                .map(|(key, min, max)| {
                    ApiVersion::default()
                        .with_api_key(*key)
                        .with_min_version(*min)
                        .with_max_version(*max)
                })
                .collect();
            let response = ApiVersionsResponse::default().with_api_keys(keys);
            answer(&mut stream, header.correlation_id, &response, version).await;
            continue;
        }
        assert_eq!(key, HEARTBEAT);
        let header = RequestHeader::decode(&mut body, 2).unwrap();
        let request = HeartbeatRequest::decode(&mut body, version).unwrap();
        match behaviour {
            // The answer carries the request's generation, so that a mix-up shows.
            Behaviour::Answer => {
                let generation = i16::try_from(request.generation_id).unwrap();
                let response = HeartbeatResponse::default().with_error_code(generation);
                answer(&mut stream, header.correlation_id, &response, version).await;
            }
            Behaviour::Throttle(ms) => {
                let response = HeartbeatResponse::default().with_throttle_time_ms(ms - answered);
                answered += 1;
                answer(&mut stream, header.correlation_id, &response, version).await;
            }
            Behaviour::StaySilent => {}
            Behaviour::HangUp => return,
            Behaviour::SendGarbage => {
                let mut frame = header.correlation_id.to_be_bytes().to_vec();
                frame.extend([0, 1]); // an empty tag section, then a body of one byte
                stream.write_u32(frame.len() as u32).await.unwrap();
                stream.write_all(&frame).await.unwrap();
            }
        }
    }
}

async fn answer<R: Encodable + HeaderVersion>(
    stream: &mut TcpStream,
    correlation_id: i32,
    response: &R,
    version: i16,
) {
    let mut frame = BytesMut::new();
    let header = ResponseHeader::default().with_correlation_id(correlation_id);
    header
        .encode(&mut frame, R::header_version(version))
        .unwrap();
    response.encode(&mut frame, version).unwrap();
    stream.write_u32(frame.remaining() as u32).await.unwrap();
    stream.write_all(&frame).await.unwrap();
}

fn options() -> ConnectOptions {
    ConnectOptions {
        request_timeout: Duration::from_secs(20),
        ..ConnectOptions::default()
    }
}

fn heartbeat(generation: i32) -> HeartbeatRequest {
    HeartbeatRequest::default().with_generation_id(generation)
}

#[tokio::test]
async fn requests_are_pipelined_and_each_gets_its_own_answer() {
    let connection = Arc::new(
        Connection::open(&broker(Behaviour::Answer).await, &options())
            .await
            .unwrap(),
    );
    let requests = (0..100).map(|generation| {
        let connection = Arc::clone(&connection);
        tokio::spawn(async move {
            let answer = connection.request(heartbeat(generation)).await.unwrap();
            i32::from(answer.error_code)
        })
    });
    for (request, expected) in requests.collect::<Vec<_>>().into_iter().zip(0..) {
        assert_eq!(request.await.unwrap(), expected);
    }
    assert!(!connection.is_closed());
}

#[tokio::test]
async fn a_missed_deadline_names_broker_and_api_and_ends_the_connection() {
    let address = broker(Behaviour::StaySilent).await;
    let connection = Arc::new(Connection::open(&address, &options()).await.unwrap());
    let waiting = tokio::spawn({
        let connection = Arc::clone(&connection);
        async move { connection.request(heartbeat(1)).await }
    });
    let error = connection
        .request_within(heartbeat(2), Duration::from_millis(50))
        .await
        .unwrap_err();
    assert!(
        matches!(
            &error,
            WireError::RequestTimeout {
                api: "Heartbeat",
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains(&address), "{error}");
    assert!(connection.is_closed());
    // Those that wait on the same connection learn it at once and not at their own deadline.
    assert!(matches!(
        waiting.await.unwrap(),
        Err(WireError::Disconnected { .. })
    ));
    assert!(matches!(
        connection.request(heartbeat(3)).await,
        Err(WireError::Disconnected { .. })
    ));
}

#[tokio::test]
async fn a_broker_is_spared_for_as_long_as_it_asks() {
    let address = broker(Behaviour::Throttle(200)).await;
    let connection = Connection::open(&address, &options()).await.unwrap();
    let began = Instant::now();
    let mut asked = Duration::ZERO;
    for _ in 0..3 {
        let answer = connection.request(heartbeat(1)).await.unwrap();
        assert!(began.elapsed() >= asked);
        asked += Duration::from_millis(u64::try_from(answer.throttle_time_ms).unwrap());
    }
    assert_eq!(asked, Duration::from_millis(200 + 199 + 198));
}

#[tokio::test]
async fn a_request_that_cannot_wait_for_so_long_is_not_sent_and_the_connection_stays() {
    let address = broker(Behaviour::Throttle(3_600_000)).await;
    let connection = Connection::open(&address, &options()).await.unwrap();
    connection.request(heartbeat(1)).await.unwrap();
    let error = connection
        .request_within(heartbeat(2), Duration::from_millis(50))
        .await
        .unwrap_err();
    let throttled = matches!(
        error,
        WireError::Throttled {
            api: "Heartbeat",
            ..
        }
    );
    assert!(throttled, "{error}");
    assert!(error.to_string().contains(&address), "{error}");
    assert!(!connection.is_closed());
    // Whoever waits learns of the end of the connection at once.
    let waiting = connection.request(heartbeat(3));
    let ending = async { connection.close("the test ends it") };
    let (waited, ()) = tokio::join!(biased; waiting, ending);
    assert!(matches!(waited, Err(WireError::Disconnected { .. })));
}

#[tokio::test]
async fn a_broker_that_hangs_up_fails_the_request_and_is_noticed_without_one() {
    let connection = Connection::open(&broker(Behaviour::HangUp).await, &options())
        .await
        .unwrap();
    assert!(matches!(
        connection.request(heartbeat(1)).await,
        Err(WireError::Disconnected { .. })
    ));
    connection.closed().await;
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_an_error() {
    let connection = Connection::open(&broker(Behaviour::SendGarbage).await, &options())
        .await
        .unwrap();
    let error = connection.request(heartbeat(1)).await.unwrap_err();
    assert!(
        matches!(
            &error,
            WireError::Malformed {
                api: "Heartbeat",
                ..
            }
        ),
        "{error}"
    );
    assert!(connection.is_closed());
}

#[tokio::test]
async fn a_broker_without_a_common_version_is_named_and_the_connection_stays() {
    let address = broker_speaking(Behaviour::Answer, vec![(HEARTBEAT, 100, 101)]).await;
    let connection = Connection::open(&address, &options()).await.unwrap();
    let error = connection.request(heartbeat(1)).await.unwrap_err();
    assert!(
        matches!(
            &error,
            WireError::UnsupportedVersion {
                api: "Heartbeat",
                ..
            }
        ),
        "{error}"
    );
    assert!(!connection.is_closed());
    assert_eq!(HeartbeatRequest::KEY, HEARTBEAT);
}

#[tokio::test]
async fn nothing_listening_is_said_at_once_and_silence_within_the_timeout() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap().to_string();
    // Accepted by the kernel, answered by nobody.
    let quick = ConnectOptions {
        connect_timeout: Duration::from_millis(50),
        ..options()
    };
    let error = Connection::open(&address, &quick).await.unwrap_err();
    assert!(
        matches!(&error, WireError::ConnectTimeout { .. }),
        "{error}"
    );
    drop(free);
    let error = Connection::open(&address, &options()).await.unwrap_err();
    assert!(matches!(&error, WireError::Connect { .. }), "{error}");
    assert!(error.to_string().contains(&address), "{error}");
}
