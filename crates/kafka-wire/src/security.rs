//! How a connection is secured: what the caller decides.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ClientConfig;

/// Of so many listeners it is remembered that they have answered. Those beyond are asked once more why they hang up.
const MOST_FITS: usize = 1_000;

/// How a connection is encrypted and who the client says it is. Kafka calls the four combinations `PLAINTEXT`, `SSL`,
/// `SASL_PLAINTEXT` and `SASL_SSL`. Default: `PLAINTEXT`.
///
/// ```
/// use kafka_wire::{Sasl, Security};
///
/// let security = Security::default().with_sasl(Sasl::scram_sha_512("orders", "secret"));
/// assert!(!format!("{security:?}").contains("secret"));
/// ```
#[derive(Clone, Default)]
pub struct Security {
    tls: Option<Arc<ClientConfig>>,
    sasl: Option<Sasl>,
    /// Where it is known to be right; shared by all copies, and by none that is secured otherwise.
    fits: Arc<Mutex<HashSet<Arc<str>>>>,
}

impl Security {
    /// Encrypts with TLS.
    ///
    /// The configuration brings the provider of cryptography, the authorities that are trusted, and the client's own
    /// certificate where the broker asks for one. The name that the broker's certificate has to carry, and that is sent
    /// as SNI, is the host that is connected to: a bootstrap server's as it was given, another broker's as it is
    /// advertised.
    #[must_use]
    pub fn with_tls(mut self, config: Arc<ClientConfig>) -> Self {
        self.tls = Some(config);
        self.fits = Arc::default();
        self
    }

    /// Authenticates with SASL. Without TLS as well, PLAIN sends the password readable by everybody on the way.
    #[must_use]
    pub fn with_sasl(mut self, sasl: Sasl) -> Self {
        self.sasl = Some(sasl);
        self.fits = Arc::default();
        self
    }

    /// A listener has answered a client that is secured so.
    pub(crate) fn note_fit(&self, address: &Arc<str>) {
        let mut fits = self.fits.lock().unwrap_or_else(PoisonError::into_inner);
        if fits.len() < MOST_FITS {
            fits.insert(Arc::clone(address));
        }
    }

    /// Whether the listener has answered before: then it hangs up for another reason.
    pub(crate) fn fits(&self, address: &str) -> bool {
        let fits = self.fits.lock().unwrap_or_else(PoisonError::into_inner);
        fits.contains(address)
    }

    pub(crate) fn tls(&self) -> Option<&Arc<ClientConfig>> {
        self.tls.as_ref()
    }

    pub(crate) fn sasl(&self) -> Option<&Sasl> {
        self.sasl.as_ref()
    }

    /// Kafka's name of the combination (`security.protocol`).
    pub fn protocol(&self) -> &'static str {
        match (&self.tls, &self.sasl) {
            (None, None) => "PLAINTEXT",
            (Some(_), None) => "SSL",
            (None, Some(_)) => "SASL_PLAINTEXT",
            (Some(_), Some(_)) => "SASL_SSL",
        }
    }
}

/// Shows the protocol and the user, and neither the password nor what the TLS configuration holds.
impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Security")
            .field("protocol", &self.protocol())
            .field("sasl", &self.sasl)
            .finish_non_exhaustive()
    }
}

/// Who the client is, and how it proves it.
#[derive(Clone)]
pub struct Sasl {
    mechanism: SaslMechanism,
    username: Arc<str>,
    password: Arc<str>,
}

impl Sasl {
    /// A user and password that are sent as they are (RFC 4616).
    pub fn plain(username: &str, password: &str) -> Self {
        Self::new(SaslMechanism::Plain, username, password)
    }

    /// A user and password of which the broker learns only that the client knows it, and the client that the broker
    /// does (RFC 7677).
    pub fn scram_sha_256(username: &str, password: &str) -> Self {
        Self::new(SaslMechanism::ScramSha256, username, password)
    }

    /// Like [`Sasl::scram_sha_256`], with SHA-512.
    pub fn scram_sha_512(username: &str, password: &str) -> Self {
        Self::new(SaslMechanism::ScramSha512, username, password)
    }

    /// The mechanism, chosen at run time.
    pub fn new(mechanism: SaslMechanism, username: &str, password: &str) -> Self {
        Self {
            mechanism,
            username: Arc::from(username),
            password: Arc::from(password),
        }
    }

    /// How the client proves who it is.
    pub fn mechanism(&self) -> SaslMechanism {
        self.mechanism
    }

    /// Who the client is.
    pub fn username(&self) -> &str {
        &self.username
    }

    pub(crate) fn password(&self) -> &str {
        &self.password
    }
}

/// Hides the password.
impl fmt::Debug for Sasl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sasl")
            .field("mechanism", &self.mechanism)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// A mechanism of SASL. Displayed by the name that it has on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SaslMechanism {
    /// PLAIN (RFC 4616).
    Plain,
    /// SCRAM-SHA-256 (RFC 7677).
    ScramSha256,
    /// SCRAM-SHA-512.
    ScramSha512,
}

impl SaslMechanism {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl fmt::Display for SaslMechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_answered_a_client_has_not_answered_one_that_is_secured_otherwise() {
        let address = Arc::from("kafka:9092");
        let plain = Security::default();
        plain.note_fit(&address);
        assert!(plain.clone().fits(&address));
        assert!(
            !plain
                .clone()
                .with_sasl(Sasl::plain("alice", ""))
                .fits(&address)
        );
        let provider = Arc::new(rustls_graviola::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        assert!(!plain.with_tls(Arc::new(config)).fits(&address));
    }

    #[test]
    fn a_password_is_not_shown() {
        let sasl = Sasl::plain("alice", "open sesame");
        let security = Security::default().with_sasl(sasl.clone());
        let shown = format!("{sasl:?} {security:?} {security:#?}");
        assert!(!shown.contains("sesame"), "{shown}");
        assert!(
            shown.contains("alice") && shown.contains("SASL_PLAINTEXT"),
            "{shown}"
        );
    }
}
