//! Finding out what kind of listener it is that hangs up.
//!
//! Kafka does not say why it ends a connection that was opened with the wrong security. Whether it is the configuration, for which
//! trying again is of no use, or a broker that stops is told by asking it in the other way, on a connection of its own. It is asked
//! what everybody may ask, and nothing of what the client would tell a broker that it trusts.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::SaslHandshakeRequest;
use kafka_protocol::protocol::StrBytes;
use rskafka::messenger::Messenger;
use tokio::time::timeout;

use crate::api::Carried;
use crate::closing::Closing;
use crate::connection::ConnectOptions;
use crate::dial;
use crate::security::SaslMechanism;
use crate::stream::{self, Transport, WireStream};
use crate::tls;
use crate::versions;

/// How long it may take. An error is not worth a longer wait to be explained.
const BOUND: Duration = Duration::from_secs(1);
/// The most that a listener needs to say about versions and mechanisms.
const LARGEST_ANSWER: usize = 1024 * 1024;

/// Whether a listener that did not speak TLS speaks Kafka's protocol in plaintext, as far as it can be told within this time.
pub(crate) async fn speaks_plaintext(
    address: &Arc<str>,
    client_id: &Arc<str>,
    within: Duration,
) -> bool {
    let asking = async {
        let tcp = dial::connect(address).await.ok()?;
        let mut messenger = messenger(Transport::Plain(tcp), client_id);
        versions::agree(&mut messenger).await.ok()
    };
    matches!(timeout(BOUND.min(within), asking).await, Ok(Some(_)))
}

/// The mechanisms of a listener for SASL; nothing of another, or where it cannot be told.
pub(crate) async fn sasl_mechanisms(
    address: &Arc<str>,
    options: &ConnectOptions,
) -> Option<Vec<String>> {
    let asking = async {
        let tcp = dial::connect(address).await.ok()?;
        let transport = match options.security.tls() {
            Some(config) => {
                Transport::Tls(Box::new(tls::connect(tcp, config, address).await.ok()?))
            }
            None => Transport::Plain(tcp),
        };
        let mut messenger = messenger(transport, &options.client_id);
        versions::agree(&mut messenger).await.ok()?;
        // Any mechanism will do: a listener without SASL refuses to talk about them at all, with ILLEGAL_SASL_STATE.
        let name = StrBytes::from_static_str(SaslMechanism::Plain.name());
        let question = Carried(SaslHandshakeRequest::default().with_mechanism(name));
        let answer = messenger.request(question).await.ok()?.0;
        match ResponseError::try_from_code(answer.error_code) {
            None | Some(ResponseError::UnsupportedSaslMechanism) => Some(answer.mechanisms),
            Some(_) => None,
        }
    };
    let offered = timeout(BOUND, asking).await.ok()??;
    Some(offered.iter().map(|m| m.to_string()).collect())
}

fn messenger(transport: Transport, client_id: &Arc<str>) -> Messenger<WireStream> {
    let stream = stream::wrap(transport, Arc::new(Closing::default()));
    Messenger::new(stream, LARGEST_ANSWER, Arc::clone(client_id))
}
