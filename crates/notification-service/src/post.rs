//! Where both reactions bring their mails: store, hand over, note. What the relay has taken over is noted while others are handed over.

use std::collections::BTreeMap;

use contracts::{Timestamp, names};
use metrics::{counter, describe_counter};
use parking_lot::Mutex;
use service_kit::clock::SharedClock;
use service_kit::reaction::ReactionError;
use service_kit::store::Collection;
use tokio::sync::mpsc::{self, Receiver};

use crate::letter::Letter;
use crate::mail::{Attempt, Letterhead, Mail, MailId, State};
use crate::smtp::Relay;

/// Attempts to hand a mail to the relay, by `kind` (`shipped`, `refunded`, `declined`, `cancelled`) and `outcome`: `sent`, `failed`
/// where it is refused for good, `put_off` where it is tried again; or `kept`, where there is no relay.
pub const MAILS: &str = "orderflow_mails_total";

/// Attempts that wait to be noted, and as many that are being noted. It bounds how many mails go out again after a crash.
const UNNOTED: usize = 32;
/// Attempts that are remembered while the store is away.
const MOST_UNNOTED: usize = 10_000;

/// The mails, and the way out.
#[derive(Debug)]
pub struct PostOffice {
    mails: Collection<Mail>,
    relay: Option<Relay>,
    letterhead: Letterhead,
    clock: SharedClock,
    unnoted: Unnoted,
}

impl PostOffice {
    /// Over these mails. They go to `relay`, and are only kept where there is none; `clock` tells when they were written and sent.
    pub fn new(
        mails: Collection<Mail>,
        relay: Option<Relay>,
        letterhead: Letterhead,
        clock: SharedClock,
    ) -> Self {
        Self {
            mails,
            relay,
            letterhead,
            clock,
            unnoted: Unnoted::default(),
        }
    }

    /// What stands on every mail.
    pub fn letterhead(&self) -> &Letterhead {
        &self.letterhead
    }

    /// Now, by its clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Sees to it that each of these is stored, and taken over or refused by the relay if there is one.
    ///
    /// Each is stored before it is handed over, and one that is there already, queued, is what is handed over: what an event led
    /// to once is not written anew. Handed in again after whatever went wrong, it goes on from there.
    ///
    /// # Errors
    ///
    /// What the store says, and [`ReactionError::Away`] while any of them waits for the relay.
    pub async fn post(&self, mails: Vec<Mail>) -> Result<(), ReactionError> {
        let Some(relay) = &self.relay else {
            return self.keep(mails).await;
        };
        let mut queued = self.stored(mails).await?;
        queued.retain(|_, mail| mail.state == State::Queued);
        let mut known = self.unnoted.of(&queued);
        queued.retain(|id, _| !known.contains_key(id));
        // Those that were tried least go first, so that one that the relay puts off again and again holds up no other.
        let mut queued: Vec<Mail> = queued.into_values().collect();
        queued.sort_by_key(|mail| mail.attempts);
        let mut letters = Vec::with_capacity(queued.len());
        for mail in queued {
            match Letter::of(&mail) {
                Ok(letter) => letters.push((mail.mail_id, letter)),
                Err(error) => {
                    let why = format!("it cannot be written as a message: {error}");
                    known.insert(mail.mail_id, Attempt::Refused(why));
                }
            }
        }
        self.note(known).await?;
        let (told, heard) = mpsc::channel(UNNOTED);
        let (handed, noted) = tokio::join!(relay.hand_over(letters, told), self.note_all(heard));
        let put_off = noted?;
        match handed.err().map(|away| away.to_string()).or(put_off) {
            None => Ok(()),
            Some(reason) => Err(ReactionError::Away {
                what: "the SMTP relay",
                reason,
            }),
        }
    }

    /// Without a relay. What was queued while there was one is kept here, too, since nobody would hand it over any more.
    async fn keep(&self, mails: Vec<Mail>) -> Result<(), ReactionError> {
        let kept = mails.into_iter().map(Mail::kept).collect();
        let stored = self.stored(kept).await?;
        let in_state = |state| {
            let those = stored.values().filter(move |mail| mail.state == state);
            those.map(|mail| mail.mail_id)
        };
        self.mails
            .change_many(in_state(State::Queued), Mail::keep)
            .await?;
        for id in in_state(State::Kept).chain(in_state(State::Queued)) {
            count(id, "kept");
        }
        Ok(())
    }

    /// What is in the store of these now. A batch may have the same event twice.
    async fn stored(&self, mails: Vec<Mail>) -> Result<BTreeMap<MailId, Mail>, ReactionError> {
        let mails: BTreeMap<MailId, Mail> =
            mails.into_iter().map(|mail| (mail.mail_id, mail)).collect();
        let stored = self
            .mails
            .insert_or_get(mails.into_values().collect())
            .await?;
        Ok(stored
            .into_iter()
            .map(|mail| (mail.mail_id, mail))
            .collect())
    }

    /// Notes what is heard, as much at a time as has come together; returns why one of them is put off, if any is.
    async fn note_all(
        &self,
        mut heard: Receiver<(MailId, Attempt)>,
    ) -> Result<Option<String>, ReactionError> {
        let (mut outcome, mut put_off, mut some) = (Ok(()), None, Vec::new());
        while heard.recv_many(&mut some, UNNOTED).await > 0 {
            for (_, attempt) in &some {
                if let (Attempt::PutOff(reason), None) = (attempt, &put_off) {
                    put_off = Some(reason.clone());
                }
            }
            let attempts = some.drain(..).collect();
            if outcome.is_err() {
                self.unnoted.keep(attempts);
                continue;
            }
            outcome = self.note(attempts).await;
            if outcome.is_err() {
                // No further mail is begun; of those under way it is still heard.
                heard.close();
            }
        }
        outcome.map(|()| put_off)
    }

    async fn note(&self, attempts: BTreeMap<MailId, Attempt>) -> Result<(), ReactionError> {
        let now = self.clock.now();
        let note = |mail: &mut Mail| {
            let attempt = attempts.get(&mail.mail_id);
            attempt.is_some_and(|attempt| mail.note(attempt, now))
        };
        let noted = self.mails.change_many(attempts.keys().copied(), note).await;
        let noted = match noted {
            Ok(noted) => noted,
            Err(error) => {
                self.unnoted.keep(attempts);
                return Err(error.into());
            }
        };
        self.unnoted.forget(&attempts);
        for (id, attempt) in &attempts {
            match attempt {
                Attempt::Accepted => count(*id, "sent"),
                Attempt::PutOff(_) => count(*id, "put_off"),
                Attempt::Refused(words) => {
                    count(*id, "failed");
                    let to = noted.get(id).map(|mail| mail.to.as_str());
                    tracing::error!(mail = %id, to, words, "the relay refuses a mail for good");
                }
            }
        }
        Ok(())
    }
}

/// What the relay has answered for good and the store could not note. The batch is handed in again, and must not send it again.
#[derive(Debug, Default)]
struct Unnoted(Mutex<BTreeMap<MailId, Attempt>>);

impl Unnoted {
    fn keep(&self, attempts: BTreeMap<MailId, Attempt>) {
        let mut kept = self.0.lock();
        // A partition that was taken away leaves its mails behind, and its next owner has noted them.
        if kept.len() >= MOST_UNNOTED {
            kept.clear();
        }
        let put_off = |attempt: &Attempt| matches!(attempt, Attempt::PutOff(_));
        kept.extend(
            attempts
                .into_iter()
                .filter(|(_, attempt)| !put_off(attempt)),
        );
    }

    fn of(&self, mails: &BTreeMap<MailId, Mail>) -> BTreeMap<MailId, Attempt> {
        let kept = self.0.lock();
        let of = kept.iter().filter(|(id, _)| mails.contains_key(id));
        of.map(|(id, attempt)| (*id, attempt.clone())).collect()
    }

    fn forget(&self, attempts: &BTreeMap<MailId, Attempt>) {
        let mut kept = self.0.lock();
        kept.retain(|id, _| !attempts.contains_key(id));
    }
}

/// Tells the recorder that is installed what is counted here.
pub(crate) fn describe() {
    describe_counter!(
        MAILS,
        "attempts to hand a mail to the relay, or mails that are kept where there is none"
    );
}

fn count(mail: MailId, outcome: &'static str) {
    let kind = mail.kind.as_str();
    counter!(MAILS, "service" => names::NOTIFICATION_SERVICE, "kind" => kind, "outcome" => outcome)
        .increment(1);
}
