//! The TLS handshake, and what its failures mean.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, Error as RustlsError};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::WireError;

/// Why there is no TLS session with a broker, as far as it can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsProblem {
    /// The broker hung up in the middle of the handshake: what a plaintext listener of Kafka does, and a broker that stops.
    HungUp,
    /// What answered is not TLS.
    NotTls,
    /// The client was told to speak plaintext, and the listener speaks TLS.
    TlsExpected,
    /// No authority that the client trusts has signed the broker's certificate.
    UntrustedCertificate,
    /// The certificate is for other hosts than the one that was connected to.
    WrongHostName,
    /// The certificate is out of date, revoked, or not one for a server.
    InvalidCertificate,
    /// The broker refused the client, for want of a certificate of the client's for example.
    Refused,
    /// Anything else.
    Other,
}

impl TlsProblem {
    /// Whether another attempt may end otherwise without a change of the configuration.
    pub fn may_pass(self) -> bool {
        matches!(self, Self::HungUp)
    }
}

impl fmt::Display for TlsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HungUp => {
                "the broker hung up in the handshake; it is stopping, or the port is for plaintext"
            }
            Self::NotTls => "the answer is not TLS; the port is likely for plaintext",
            Self::TlsExpected => "the port is for TLS, and the client is configured for plaintext",
            Self::UntrustedCertificate => {
                "no trusted authority has signed the broker's certificate"
            }
            Self::WrongHostName => "the broker's certificate is for another host name",
            Self::InvalidCertificate => "the broker's certificate is not valid",
            Self::Refused => "the broker refused the client; it may want a client certificate",
            Self::Other => "the handshake failed",
        })
    }
}

/// Makes a TLS session of a connection to `host:port`.
pub(crate) async fn connect(
    tcp: TcpStream,
    config: &Arc<ClientConfig>,
    address: &Arc<str>,
) -> Result<TlsStream<TcpStream>, WireError> {
    let host = host_of(address);
    let name = ServerName::try_from(host.to_owned()).map_err(|_| WireError::Connect {
        address: Arc::clone(address),
        reason: format!("{host:?} is not a name that a certificate can have"),
    })?;
    TlsConnector::from(Arc::clone(config))
        .connect(name, tcp)
        .await
        .map_err(|error| {
            // An operating system's error in between is a connection that broke, as it would be a moment later.
            let (problem, reason) = problem_of(&error).unwrap_or_else(|| {
                let problem = match error.kind() {
                    io::ErrorKind::Other | io::ErrorKind::InvalidData => TlsProblem::Other,
                    _ => TlsProblem::HungUp,
                };
                (problem, error.to_string())
            });
            WireError::Tls {
                address: Arc::clone(address),
                problem,
                reason,
            }
        })
}

/// What rustls says about a stream's error, if it is rustls that says it.
pub(crate) fn problem_of(error: &io::Error) -> Option<(TlsProblem, String)> {
    let rustls = error.get_ref()?.downcast_ref::<RustlsError>()?;
    let problem = match rustls {
        RustlsError::InvalidCertificate(certificate) => match certificate {
            CertificateError::UnknownIssuer => TlsProblem::UntrustedCertificate,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                TlsProblem::WrongHostName
            }
            _ => TlsProblem::InvalidCertificate,
        },
        RustlsError::InvalidMessage(_) => TlsProblem::NotTls,
        RustlsError::AlertReceived(_) => TlsProblem::Refused,
        _ => TlsProblem::Other,
    };
    Some((problem, rustls.to_string()))
}

/// Whether bytes that a listener sends first are a TLS record: an alert or a piece of a handshake, of version 3.x. As the
/// length of an answer to ApiVersions they would be over 300 MB.
pub(crate) fn looks_like_tls(first: &[u8]) -> bool {
    matches!(first, [0x15 | 0x16, 0x03, ..])
}

/// The host of `host:port`; of an IPv6 address, without its brackets.
fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_certificate_is_the_host() {
        assert_eq!(host_of("kafka-1.example.com:9093"), "kafka-1.example.com");
        assert_eq!(host_of("127.0.0.1:9093"), "127.0.0.1");
        assert_eq!(host_of("[::1]:9093"), "::1");
    }

    #[test]
    fn an_answer_of_kafka_is_not_taken_for_tls() {
        assert!(looks_like_tls(&[0x15, 0x03, 0x03, 0x00, 0x02]));
        assert!(!looks_like_tls(&[0x00, 0x00, 0x01, 0x40]));
        assert!(!looks_like_tls(&[0x15]));
    }
}
