//! The SASL exchange of a connection: SaslHandshake, then SaslAuthenticate until both sides are satisfied (KIP-43, KIP-152).
//!
//! The mechanisms are those of `rsasl`, which rskafka uses as well. The exchange is not rskafka's own (`do_sasl`), since
//! that drops what the broker says about a failure, which mechanisms it offers, and how long the session lasts.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use kafka_protocol::protocol::StrBytes;
use rsasl::config::SASLConfig;
use rsasl::prelude::{Mechname, SASLClient, SessionError};
use rskafka::messenger::Messenger;

use crate::api::{ApiRequest, Carried};
use crate::error::WireError;
use crate::security::{Sasl, SaslMechanism};
use crate::stream::WireStream;

/// How often a broker may have the password hashed. The least is Kafka's own bound, also of its clients (KIP-84): fewer make
/// it cheap to guess the password for who stands between. The most keeps a broker from occupying the client.
const SCRAM_ITERATIONS: std::ops::RangeInclusive<u32> = 4096..=200_000;

/// Proves to the broker who the client is. Returns how long the broker takes that as proven, if not for ever (KIP-368).
pub(crate) async fn authenticate(
    messenger: &Messenger<WireStream>,
    sasl: &Sasl,
    address: &Arc<str>,
) -> Result<Option<Duration>, WireError> {
    let exchange = Exchange {
        messenger,
        address,
        mechanism: sasl.mechanism(),
    };
    exchange.handshake().await?;
    let failed = |e: &dyn std::fmt::Display| exchange.failed(e.to_string());
    let config =
        SASLConfig::with_credentials(None, sasl.username().to_owned(), sasl.password().to_owned())
            .map_err(|e| failed(&e))?;
    let name = Mechname::parse(sasl.mechanism().name().as_bytes()).map_err(|e| failed(&e))?;
    let mut session = SASLClient::new(config)
        .start_suggested(&[name])
        .map_err(|e| failed(&e))?;
    let mut challenge: Option<Bytes> = None;
    let mut lifetime = None;
    loop {
        if let Some(challenge) = &challenge {
            exchange.check_challenge(challenge)?;
        }
        let mut answer = Cursor::new(Vec::new());
        let state = session
            .step(challenge.as_deref(), &mut answer)
            .map_err(|e| exchange.step_failed(&e))?;
        if state.has_sent_message() {
            let (next, session_lifetime) = exchange.tell(answer.into_inner()).await?;
            challenge = Some(next);
            lifetime = session_lifetime;
        }
        if state.is_finished() {
            return Ok(lifetime);
        }
    }
}

struct Exchange<'a> {
    messenger: &'a Messenger<WireStream>,
    address: &'a Arc<str>,
    mechanism: SaslMechanism,
}

impl Exchange<'_> {
    async fn handshake(&self) -> Result<(), WireError> {
        let name = self.mechanism.name();
        let request =
            SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(name));
        let without_sasl = || self.failed("the listener does not use SASL".to_owned());
        let answer = match self.request(request).await {
            // A broker that does not know the request at all has no listener for it.
            Err(WireError::UnsupportedVersion { .. }) => return Err(without_sasl()),
            answered => answered?,
        };
        match ResponseError::try_from_code(answer.error_code) {
            None => Ok(()),
            Some(ResponseError::UnsupportedSaslMechanism) => Err(WireError::MechanismNotOffered {
                address: Arc::clone(self.address),
                mechanism: self.mechanism,
                offered: answer.mechanisms.iter().map(|m| m.to_string()).collect(),
            }),
            Some(ResponseError::IllegalSaslState) => Err(without_sasl()),
            Some(code) => Err(self.failed(code.to_string())),
        }
    }

    /// Sends a message of the mechanism's. Returns the broker's, and how long the session lasts.
    async fn tell(&self, bytes: Vec<u8>) -> Result<(Bytes, Option<Duration>), WireError> {
        let request = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from(bytes));
        let answer = self.request(request).await?;
        let Some(code) = ResponseError::try_from_code(answer.error_code) else {
            let lifetime = u64::try_from(answer.session_lifetime_ms)
                .ok()
                .filter(|ms| *ms > 0)
                .map(Duration::from_millis);
            return Ok((answer.auth_bytes, lifetime));
        };
        let reason = match answer.error_message.filter(|m| !m.is_empty()) {
            Some(message) => message.to_string(),
            None => code.to_string(),
        };
        Err(if code == ResponseError::SaslAuthenticationFailed {
            WireError::Authentication {
                address: Arc::clone(self.address),
                mechanism: self.mechanism,
                reason,
            }
        } else {
            self.failed(reason)
        })
    }

    async fn request<R: ApiRequest>(&self, request: R) -> Result<R::Response, WireError> {
        match self.messenger.request(Carried(request)).await {
            Ok(answer) => Ok(answer.0),
            Err(e) => Err(WireError::from_request(e, self.address, R::NAME)),
        }
    }

    /// Refuses what a SCRAM server may not send: a message that is not `x=…,x=…` (on which `rsasl` panics), and a first message
    /// (`r=…,s=…,i=4096`) that asks for too little or too much work.
    fn check_challenge(&self, challenge: &[u8]) -> Result<(), WireError> {
        if self.mechanism == SaslMechanism::Plain {
            return Ok(());
        }
        if !is_attributes(challenge) {
            return Err(self.failed("the broker's message is not one of SCRAM's".to_owned()));
        }
        if !challenge.starts_with(b"r=") {
            return Ok(());
        }
        let iterations = iterations(challenge);
        if iterations.is_some_and(|i| SCRAM_ITERATIONS.contains(&i)) {
            return Ok(());
        }
        Err(self.failed(format!(
            "the broker wants {} iterations, not {} to {}",
            iterations.map_or_else(|| "an unknown number of".to_owned(), |i| i.to_string()),
            SCRAM_ITERATIONS.start(),
            SCRAM_ITERATIONS.end()
        )))
    }

    fn step_failed(&self, error: &SessionError) -> WireError {
        self.failed(match error {
            SessionError::MutualAuthenticationFailed => {
                "the broker could not prove that it knows the password".to_owned()
            }
            other => other.to_string(),
        })
    }

    fn failed(&self, reason: String) -> WireError {
        WireError::Sasl {
            address: Arc::clone(self.address),
            mechanism: self.mechanism,
            reason,
        }
    }
}

/// Whether a message is one letter, `=` and a value, again and again, with commas between (RFC 5802).
fn is_attributes(message: &[u8]) -> bool {
    message
        .split(|byte| *byte == b',')
        .all(|attribute| matches!(attribute, [letter, b'=', ..] if letter.is_ascii_alphabetic()))
}

/// The attribute `i` of a SCRAM server's first message (RFC 5802).
fn iterations(server_first: &[u8]) -> Option<u32> {
    let attribute = server_first
        .split(|byte| *byte == b',')
        .find_map(|attribute| attribute.strip_prefix(b"i="))?;
    std::str::from_utf8(attribute).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_iterations_are_read_as_rfc_5802_writes_them() {
        assert_eq!(
            iterations(b"r=abci=7,s=QSXCR+Q6sek8bf92,i=4096"),
            Some(4096)
        );
        assert_eq!(
            iterations(b"r=abc,s=QSXCR+Q6sek8bf92,i=4096,x=1"),
            Some(4096)
        );
        assert_eq!(iterations(b"r=abc,s=QSXCR+Q6sek8bf92,i=99999999999"), None);
        assert_eq!(iterations(b"r=abc,s=i="), None);
    }
}
