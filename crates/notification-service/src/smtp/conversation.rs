//! One connection to the relay: greeting, mails one after the other, farewell. Every wait in it is bounded.
//!
//! The commands are given one by one: the library's own way to send a mail bounds no wait, hangs up on each refusal, and does not say
//! whose refusal it was.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Quit, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::{Patience, RelayError, SmtpUrl};
use crate::letter::Letter;
use crate::mail::{Attempt, one_line};

/// For the answer to QUIT: everything is said, and what was accepted waits to be noted.
const FAREWELL: Duration = Duration::from_millis(500);
/// Characters of the relay's words that are kept.
const LONGEST_WORDS: usize = 500;

/// A connection whose greeting is done.
pub(super) struct Conversation {
    connection: AsyncSmtpConnection,
    patience: Patience,
    /// When it takes too long.
    until: Instant,
    /// Why it cannot go on.
    broken: Option<RelayError>,
}

/// Why a step did not succeed.
enum Trouble {
    /// The relay said no: its code and its words.
    Reply(u16, String),
    /// There was no answer, or none that can be read; or the relay hangs up.
    Broken(String),
}

impl Conversation {
    /// Connects and says who is there.
    pub(super) async fn begin(url: &SmtpUrl, patience: Patience) -> Result<Self, RelayError> {
        let until = Instant::now() + patience.conversation;
        let stream = within(patience.command, TcpStream::connect(url.address()))
            .await
            .and_then(|connected| connected.map_err(|error| error.to_string()));
        let stream = stream.map_err(|reason| RelayError(format!("{url}: {reason}")))?;
        // Each command waits for the answer to the one before, and so would its last packet (RFC 896).
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection to the relay delays what is small");
        }
        // Its address is all that is known of this host, and a relay nearby does not look at it.
        let hello = ClientId::default();
        let greeting = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello);
        // Two answers, the greeting's and EHLO's.
        let greeted = within(patience.command * 2, greeting)
            .await
            .and_then(|greeted| greeted.map_err(|error| words(&error)));
        Ok(Self {
            connection: greeted.map_err(|reason| RelayError(format!("{url}: {reason}")))?,
            patience,
            until,
            broken: None,
        })
    }

    /// Whether no further mail is to be begun on it.
    pub(super) fn is_long(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Whether it can go on.
    pub(super) fn goes_on(&mut self) -> Result<(), RelayError> {
        self.broken.take().map_or(Ok(()), Err)
    }

    /// Hands one mail over.
    pub(super) async fn hand_over(&mut self, letter: &Letter) -> Attempt {
        let trouble = match self.try_to_hand_over(letter).await {
            Ok(()) => return Attempt::Accepted,
            Err(trouble) => trouble,
        };
        match trouble {
            Trouble::Broken(reason) => {
                self.broken = Some(RelayError(reason.clone()));
                Attempt::PutOff(reason)
            }
            Trouble::Reply(code, words) => {
                // So that the next mail begins anew, whatever of this one was taken.
                if let Err(Trouble::Broken(reason)) = self.command(Rset).await {
                    self.broken = Some(RelayError(reason));
                }
                if is_final(code) {
                    Attempt::Refused(words)
                } else {
                    Attempt::PutOff(words)
                }
            }
        }
    }

    /// Says farewell. What comes of it changes nothing.
    pub(super) async fn end(&mut self) {
        let _ = timeout(FAREWELL, self.connection.command(Quit)).await;
    }

    async fn try_to_hand_over(&mut self, letter: &Letter) -> Result<(), Trouble> {
        let from = letter.envelope.from().cloned();
        self.command(Mail::new(from, Vec::new())).await?;
        for to in letter.envelope.to() {
            self.command(Rcpt::new(to.clone(), Vec::new())).await?;
        }
        self.command(Data).await?;
        // What is sent behind the message begins with a line's end of its own.
        let message = &letter.message;
        let message = message.strip_suffix(b"\r\n").unwrap_or(message);
        let accepted = self.connection.message(message);
        let accepted = within(self.patience.acceptance, accepted).await;
        judged(accepted)
    }

    async fn command(&mut self, command: impl Display) -> Result<(), Trouble> {
        let answer = within(self.patience.command, self.connection.command(command)).await;
        judged(answer)
    }
}

/// What a reply 5xx to a mail's command is about: the mail, unless the relay wants somebody to log in first (RFC 4954 section 6).
fn is_final(code: u16) -> bool {
    (500..600).contains(&code) && code != 530
}

fn judged<T>(answer: Result<Result<T, Error>, String>) -> Result<(), Trouble> {
    let error = match answer {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) => error,
        Err(late) => return Err(Trouble::Broken(late)),
    };
    match error.status().map(u16::from) {
        // The relay closes the connection after that one (RFC 5321 section 3.8).
        Some(421) | None => Err(Trouble::Broken(words(&error))),
        Some(code) => Err(Trouble::Reply(code, words(&error))),
    }
}

/// What the relay said, code first, or what happened instead.
fn words(error: &Error) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string);
    let text = match (error.status(), source) {
        (Some(code), Some(words)) => format!("{code} {words}"),
        _ => error.to_string(),
    };
    one_line(&text, LONGEST_WORDS)
}

async fn within<T>(time: Duration, step: impl Future<Output = T>) -> Result<T, String> {
    let late = |_| format!("no answer within {} s", time.as_secs_f32());
    timeout(time, step).await.map_err(late)
}
