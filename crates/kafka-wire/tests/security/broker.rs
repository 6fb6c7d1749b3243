//! A listener that is as secure as a test wants it, or pretends to be.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kafka_wire::messages::api_versions_response::ApiVersion;
use kafka_wire::messages::{
    ApiKey, ApiVersionsResponse, HeartbeatRequest, HeartbeatResponse, RequestHeader,
    ResponseHeader, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest,
    SaslHandshakeResponse,
};
use kafka_wire::rustls::pki_types::pem::PemObject;
use kafka_wire::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use kafka_wire::rustls::server::WebPkiClientVerifier;
use kafka_wire::rustls::{ClientConfig, RootCertStore, ServerConfig};
use kafka_wire::{Decodable, Encodable, HeaderVersion, ResponseError, StrBytes, api};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const CERTIFICATE: &[u8] = include_bytes!("../fixtures/localhost.pem");
const KEY: &[u8] = include_bytes!("../fixtures/localhost.key.pem");
const STRANGER: &[u8] = include_bytes!("../fixtures/stranger.pem");

const LARGEST_REQUEST: u32 = 1024 * 1024;

/// What an answer's error code has of each authentication; the rest is the request's generation.
pub(crate) const AUTHENTICATED: i16 = 100;

/// What the broker does when SaslAuthenticate comes.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Sasl {
    /// The listener has no SASL: everybody may ask for everything.
    None,
    /// The listener has no SASL, and hangs up on everybody.
    Absent,
    /// The listener has no SASL for the first connection, and PLAIN for all others.
    SinceTheSecond,
    /// PLAIN only, with alice and her secret.
    Plain,
    /// PLAIN only, for sessions that the client has to renew; the broker takes each anew, or only the first.
    Sessions { renewed: bool },
    /// PLAIN only, and never an answer.
    PlainSilent,
    /// SCRAM-SHA-256 that asks for so many iterations, and then forges its proof.
    Forged { iterations: u64 },
    /// Offers SCRAM-SHA-256 and answers the first and the last message with these.
    Scripted([&'static str; 2]),
}

/// What the first bytes meet.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Surface {
    Plaintext,
    Tls,
    TlsForKnownClients,
    /// Takes the first bytes and hangs up, whatever they are.
    HangsUp,
    /// The same, and is silent to all after the first.
    HangsUpOnce,
    /// Answers whatever comes with a line of text.
    Talks,
    Silent,
}

fn certificate(pem: &[u8]) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem).unwrap()
}

fn roots(pem: &[u8]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(pem)).unwrap();
    roots
}

/// A client that trusts the broker's certificate, or only the stranger's.
pub(crate) fn client(trusting: bool) -> Arc<ClientConfig> {
    let trusted = if trusting { CERTIFICATE } else { STRANGER };
    let config = ClientConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(trusted))
        .with_no_client_auth();
    Arc::new(config)
}

fn acceptor(known_clients: bool) -> TlsAcceptor {
    let provider = Arc::new(rustls_graviola::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = if known_clients {
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots(CERTIFICATE)), provider)
                .build()
                .unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let config = builder
        .with_single_cert(vec![certificate(CERTIFICATE)], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Starts a broker and returns its port, on 127.0.0.1.
pub(crate) async fn start(surface: Surface, sasl: Sasl) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut surface, mut sasl) = (surface, sasl);
        while let Ok((mut stream, _)) = listener.accept().await {
            let later = match sasl {
                Sasl::SinceTheSecond => Sasl::Plain,
                same => same,
            };
            let sasl = std::mem::replace(&mut sasl, later);
            let later = match surface {
                Surface::HangsUpOnce => Surface::Silent,
                same => same,
            };
            let surface = std::mem::replace(&mut surface, later);
            tokio::spawn(async move {
                match surface {
                    Surface::Plaintext => serve(stream, sasl).await,
                    Surface::Tls | Surface::TlsForKnownClients => {
                        let acceptor = acceptor(surface == Surface::TlsForKnownClients);
                        if let Ok(stream) = acceptor.accept(stream).await {
                            serve(stream, sasl).await;
                        }
                    }
                    Surface::HangsUp | Surface::HangsUpOnce => drop(stream.read_u32().await),
                    Surface::Talks => {
                        stream.write_all(b"220 mail ready\r\n").await.unwrap();
                        let _ = stream.read_to_end(&mut Vec::new()).await;
                    }
                    Surface::Silent => drop(stream.read_to_end(&mut Vec::new()).await),
                }
            });
        }
    });
    port
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, sasl: Sasl) {
    let mut known = matches!(sasl, Sasl::None | Sasl::SinceTheSecond);
    let mut authentications = 0;
    while let Ok(length) = stream.read_u32().await {
        // As Kafka does; the first bytes of a TLS handshake are such a length.
        if length > LARGEST_REQUEST {
            return;
        }
        let mut frame = vec![0; length as usize];
        if stream.read_exact(&mut frame).await.is_err() {
            return;
        }
        let key = i16::from_be_bytes([frame[0], frame[1]]);
        let version = i16::from_be_bytes([frame[2], frame[3]]);
        let api = ApiKey::try_from(key).unwrap();
        let mut body = Bytes::from(frame);
        let header = RequestHeader::decode(&mut body, api.request_header_version(version)).unwrap();
        let answer = match api {
            ApiKey::ApiVersions => encoded(header, version, &versions()),
            ApiKey::SaslHandshake => {
                // From here on nothing else may come.
                known = false;
                let request = SaslHandshakeRequest::decode(&mut body, version).unwrap();
                encoded(header, version, &handshake(sasl, &request.mechanism))
            }
            ApiKey::SaslAuthenticate if sasl == Sasl::PlainSilent => continue,
            ApiKey::SaslAuthenticate => {
                let request = SaslAuthenticateRequest::decode(&mut body, version).unwrap();
                authentications += 1;
                let mut response = authenticate(sasl, &request.auth_bytes);
                if let Sasl::Sessions { renewed } = sasl {
                    response.session_lifetime_ms = 200;
                    if authentications > 1 && !renewed {
                        response.error_code = ResponseError::SaslAuthenticationFailed.code();
                    }
                }
                known = response.error_code == 0;
                encoded(header, version, &response)
            }
            ApiKey::Heartbeat if known => {
                let request = HeartbeatRequest::decode(&mut body, version).unwrap();
                // The generation, so that a mix-up shows, and how often the client has authenticated.
                let generation = i16::try_from(request.generation_id).unwrap();
                let response = HeartbeatResponse::default()
                    .with_error_code(authentications * AUTHENTICATED + generation);
                encoded(header, version, &response)
            }
            _ => return,
        };
        stream.write_all(&answer).await.unwrap();
        stream.flush().await.unwrap();
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

fn handshake(sasl: Sasl, wanted: &str) -> SaslHandshakeResponse {
    let offered = match sasl {
        Sasl::None | Sasl::Absent | Sasl::SinceTheSecond => {
            let code = ResponseError::IllegalSaslState.code();
            return SaslHandshakeResponse::default().with_error_code(code);
        }
        Sasl::Plain | Sasl::PlainSilent | Sasl::Sessions { .. } => "PLAIN",
        Sasl::Forged { .. } | Sasl::Scripted(_) => "SCRAM-SHA-256",
    };
    let response =
        SaslHandshakeResponse::default().with_mechanisms(vec![StrBytes::from_static_str(offered)]);
    if wanted == offered {
        response
    } else {
        response.with_error_code(ResponseError::UnsupportedSaslMechanism.code())
    }
}

fn authenticate(sasl: Sasl, bytes: &[u8]) -> SaslAuthenticateResponse {
    let response = SaslAuthenticateResponse::default();
    if !matches!(sasl, Sasl::Forged { .. } | Sasl::Scripted(_)) {
        if bytes == b"\0alice\0secret" {
            return response;
        }
        return response
            .with_error_code(ResponseError::SaslAuthenticationFailed.code())
            .with_error_message(Some(StrBytes::from_static_str("who are you, alice?")));
    }
    let text = std::str::from_utf8(bytes).unwrap();
    // A nonce may hold any printable character but a comma, `p=` too.
    let attribute = |name| text.split(',').find_map(|a| a.strip_prefix(name));
    let nonce = attribute("r=").unwrap();
    let last = attribute("p=").is_some();
    let answer = match sasl {
        Sasl::Scripted([first, _]) if !last => first.replace("NONCE", nonce),
        Sasl::Scripted([_, answer]) => answer.to_owned(),
        Sasl::Forged { iterations } if !last => {
            format!("r={nonce}more,s=QSXCR+Q6sek8bf92,i={iterations}")
        }
        _ => format!("v={}=", "A".repeat(43)),
    };
    response.with_auth_bytes(Bytes::from(answer))
}

fn encoded<R: Encodable + HeaderVersion>(
    request: RequestHeader,
    version: i16,
    response: &R,
) -> Vec<u8> {
    let mut frame = BytesMut::new();
    ResponseHeader::default()
        .with_correlation_id(request.correlation_id)
        .encode(&mut frame, R::header_version(version))
        .unwrap();
    response.encode(&mut frame, version).unwrap();
    let mut whole = u32::try_from(frame.len()).unwrap().to_be_bytes().to_vec();
    whole.extend_from_slice(&frame);
    whole
}
