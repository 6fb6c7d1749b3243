//! Brokers that take nobody in: one talks about versions and mechanisms, and refuses every password; one wants TLS.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kafka_wire::messages::api_versions_response::ApiVersion;
use kafka_wire::messages::{
    ApiKey, ApiVersionsResponse, RequestHeader, ResponseHeader, SaslAuthenticateResponse,
    SaslHandshakeResponse,
};
use kafka_wire::{Decodable, Encodable, HeaderVersion, ResponseError, StrBytes, api};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub(crate) struct Stranger {
    pub(crate) address: String,
    refused: Arc<AtomicUsize>,
}

impl Stranger {
    /// Wants to know who the client is, in plaintext.
    pub(crate) async fn for_sasl() -> Self {
        Self::start(|stream, refused| tokio::spawn(serve(stream, refused))).await
    }

    /// Wants TLS, and tells whoever begins otherwise with an alert, as Kafka does.
    pub(crate) async fn for_tls() -> Self {
        Self::start(|mut stream, _| {
            tokio::spawn(async move {
                // A record's type, its version 1.2 and length; fatal, internal_error.
                const ALERT: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 80];
                let _ = stream.read_u32().await;
                let _ = stream.write_all(&ALERT).await;
                // What is left unread when a connection is closed would have it reset, and the alert lost with it.
                let _ = stream.read_to_end(&mut Vec::new()).await;
            })
        })
        .await
    }

    async fn start(serve: fn(TcpStream, Arc<AtomicUsize>) -> JoinHandle<()>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let refused = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&refused);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serve(stream, Arc::clone(&counted));
            }
        });
        Self { address, refused }
    }

    /// How often somebody tried.
    pub(crate) fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, refused: Arc<AtomicUsize>) {
    while let Ok(length) = stream.read_u32().await {
        let mut frame = vec![0; length as usize];
        if stream.read_exact(&mut frame).await.is_err() {
            return;
        }
        let key = i16::from_be_bytes([frame[0], frame[1]]);
        let version = i16::from_be_bytes([frame[2], frame[3]]);
        let api = ApiKey::try_from(key).unwrap();
        let header_version = api.request_header_version(version);
        let header = RequestHeader::decode(&mut frame.as_slice(), header_version).unwrap();
        let id = header.correlation_id;
        let answer = match api {
            ApiKey::ApiVersions => encoded(id, version, &versions()),
            ApiKey::SaslHandshake => {
                let offered = vec![StrBytes::from_static_str("PLAIN")];
                let answer = SaslHandshakeResponse::default().with_mechanisms(offered);
                encoded(id, version, &answer)
            }
            ApiKey::SaslAuthenticate => {
                refused.fetch_add(1, Ordering::SeqCst);
                let answer = SaslAuthenticateResponse::default()
                    .with_error_code(ResponseError::SaslAuthenticationFailed.code())
                    .with_error_message(Some(StrBytes::from_static_str("never heard of you")));
                encoded(id, version, &answer)
            }
            _ => return,
        };
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
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

fn encoded<R: Encodable + HeaderVersion>(id: i32, version: i16, response: &R) -> Vec<u8> {
    let mut frame = Vec::new();
    ResponseHeader::default()
        .with_correlation_id(id)
        .encode(&mut frame, R::header_version(version))
        .unwrap();
    response.encode(&mut frame, version).unwrap();
    let mut whole = u32::try_from(frame.len()).unwrap().to_be_bytes().to_vec();
    whole.extend_from_slice(&frame);
    whole
}
