//! Handing mails to a relay, in plain SMTP (RFC 5321).
//!
//! # Why without TLS
//!
//! Every TLS that a mail library offers compiles C or asks for a provider of cryptography, and this shop is free of both. So the
//! relay is one nearby, on the same host or in the same private network: Mailpit when trying things out, or a mail server of one's
//! own, which keeps a queue and speaks TLS to the world. For the same reason there is no login: a password would travel readably.
//!
//! # Why not exactly once
//!
//! Between the relay's 250, by which it takes a mail over, and the note of that in the store, this process may die; or the
//! connection may, while the 250 is on its way. Nobody here then knows whether the relay has the mail. SMTP has no transaction over
//! both and no question to ask afterwards, and RFC 5321 section 6.1 says of such a timeout only that it makes duplicates, and that
//! a receiver must keep it short. So there is a choice between losing a mail and sending it twice, and it is sent twice: with the same
//! Message-ID and the same bytes, by which a mailbox may know it.
//!
//! What can be done is to keep that gap small and everything else shut. A mail is noted as soon as it is taken over, while others are
//! still on their way, and none is begun while too many wait to be noted (`crate::post`); where only the store is away, the process
//! remembers what was taken over. That two events lead to two mails is excluded by the mail's document, whose id follows from the order.
//!
//! # What is tried again
//!
//! | what happens | the mail |
//! |---|---|
//! | no connection, no answer in time, or one that is no SMTP | waits, and is tried again without end |
//! | a reply 4xx, or 421 at any time | the same |
//! | a reply 5xx to the greeting or to EHLO, or 530: the relay wants nothing from us, or a login | the same, until somebody mends it |
//! | any other reply 5xx to one of the mail's own commands | has FAILED, with the relay's words |
//!
//! A mail that the relay puts off for ever is thus tried for ever, about once a second. Others go out meanwhile, but the offsets behind
//! its event are not committed, and once 500 events of its partition are under way with it, no more are begun: the lag shows it.

mod conversation;
mod url;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::Sender;
use tokio::time::Instant;

pub use url::{SmtpUrl, SmtpUrlError};

use crate::letter::Letter;
use crate::mail::{Attempt, MailId};
use conversation::Conversation;

/// Mails that are handed over on one connection.
const LETTERS: usize = 50;
/// Connections to the relay at the same time. Batches are handled beside each other, and share them.
const CONNECTIONS: usize = 8;
/// How many mails one after the other the relay puts off before the others are left for later: it is busy, and says so to each.
const PUT_OFF: usize = 3;

/// How long it counts what the relay was heard to say last: health is asked for several times a second.
const HEARD: Duration = Duration::from_secs(10);

/// How long a relay is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For a connection, and for the answer to a command. Default: 10 s, for a relay nearby.
    pub command: Duration,
    /// For the answer to a whole mail. Default: 60 s, since giving up here is what makes duplicates.
    pub acceptance: Duration,
    /// How long after it was begun a connection gets no further mail. Default: 60 s, so that one that is as slow as can be ends
    /// after 160 s.
    pub conversation: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            command: Duration::from_secs(10),
            acceptance: Duration::from_secs(60),
            conversation: Duration::from_secs(60),
        }
    }
}

/// The relay cannot be spoken to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RelayError(String);

impl service_kit::http::CheckError for RelayError {}

/// A relay. Clones are the same relay and share its connections.
#[derive(Debug, Clone)]
pub struct Relay {
    url: SmtpUrl,
    patience: Patience,
    connections: Arc<Semaphore>,
    heard: Arc<Mutex<Option<Heard>>>,
    /// Held by whoever greets, so that one does at a time.
    greeting: Arc<tokio::sync::Mutex<()>>,
}

/// Whether the relay answered, and when that was.
#[derive(Debug, Clone)]
struct Heard {
    at: Instant,
    outcome: Result<(), RelayError>,
}

impl Relay {
    /// The relay at this address. Nothing is connected yet.
    pub fn new(url: SmtpUrl, patience: Patience) -> Self {
        Self {
            url,
            patience,
            connections: Arc::new(Semaphore::new(CONNECTIONS)),
            heard: Arc::default(),
            greeting: Arc::default(),
        }
    }

    /// Where it is.
    pub fn url(&self) -> &SmtpUrl {
        &self.url
    }

    /// Hands these over, on a few connections beside each other, and tells what became of each as soon as that is known. Each attempt is
    /// bounded in time, by [`Patience`].
    ///
    /// A mail is begun when there is room to tell of it. Where nobody listens any more no further one is.
    ///
    /// # Errors
    ///
    /// [`RelayError`]: why some were not tried.
    pub async fn hand_over(
        &self,
        letters: Vec<(MailId, Letter)>,
        told: Sender<(MailId, Attempt)>,
    ) -> Result<(), RelayError> {
        let parts: Vec<_> = letters.chunks(LETTERS).map(<[_]>::to_vec).collect();
        let mut parts = stream::iter(parts)
            .map(|part| self.hand_over_part(part, told.clone()))
            .buffer_unordered(CONNECTIONS);
        let mut outcome = Ok(());
        while let Some(part) = parts.next().await {
            outcome = outcome.and(part);
        }
        outcome
    }

    /// Whether the relay answers, as was heard within the last 10 s: it took mails over, or could not be reached for them. Where
    /// nothing was heard, it is greeted: connected to, told who is there, and left. That goes on when the caller does not wait for
    /// it, and so is not begun anew by the next one who asks.
    ///
    /// # Errors
    ///
    /// [`RelayError`]: why it does not.
    pub async fn answers(&self) -> Result<(), RelayError> {
        if let Some(outcome) = self.heard() {
            return outcome;
        }
        let relay = self.clone();
        let greeting = tokio::spawn(async move {
            let _alone = relay.greeting.lock().await;
            if let Some(outcome) = relay.heard() {
                return outcome;
            }
            relay.begin().await?.end().await;
            Ok(())
        });
        let stopped = |_| Err(RelayError("greeting it was cut off".to_owned()));
        greeting.await.unwrap_or_else(stopped)
    }

    fn heard(&self) -> Option<Result<(), RelayError>> {
        let heard = self.heard.lock();
        let recent = heard.as_ref().filter(|heard| heard.at.elapsed() < HEARD);
        recent.map(|heard| heard.outcome.clone())
    }

    fn hear(&self, outcome: Result<(), RelayError>) {
        let at = Instant::now();
        *self.heard.lock() = Some(Heard { at, outcome });
    }

    async fn begin(&self) -> Result<Conversation, RelayError> {
        let begun = Conversation::begin(&self.url, self.patience).await;
        self.hear(begun.as_ref().map(drop).map_err(Clone::clone));
        begun
    }

    async fn hand_over_part(
        &self,
        letters: Vec<(MailId, Letter)>,
        told: Sender<(MailId, Attempt)>,
    ) -> Result<(), RelayError> {
        // It is never closed; and waiting here ends, since each conversation does.
        let Ok(_connection) = self.connections.acquire().await else {
            return Ok(());
        };
        let mut conversation = self.begin().await?;
        let (mut begun, mut put_off) = (false, 0);
        for (id, letter) in letters {
            let Ok(room) = told.reserve().await else {
                break;
            };
            // Behind the first, so that a slow relay gets at least one a time.
            if begun && conversation.is_long() {
                return Err(RelayError("it takes too long over its mails".to_owned()));
            }
            begun = true;
            let attempt = conversation.hand_over(&letter).await;
            if attempt == Attempt::Accepted {
                self.hear(Ok(()));
            }
            room.send((id, attempt.clone()));
            conversation.goes_on()?;
            match attempt {
                Attempt::Accepted | Attempt::Refused(_) => put_off = 0,
                Attempt::PutOff(_) if put_off + 1 < PUT_OFF => put_off += 1,
                Attempt::PutOff(words) => {
                    let reason = format!("it puts off one mail after the other: {words}");
                    return Err(RelayError(reason));
                }
            }
        }
        conversation.end().await;
        Ok(())
    }
}
