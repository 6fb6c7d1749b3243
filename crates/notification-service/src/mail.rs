//! A mail: one document an order and end, written once and from then on the same.
//!
//! ```text
//! (none) ──▶ QUEUED ──▶ SENT       the relay took it over
//!        │        └───▶ FAILED     the relay refused it for good
//!        └──▶ KEPT                 there is no relay: it is only shown here
//! ```

mod address;
mod text;

use std::fmt;
use std::str::FromStr;

use contracts::{
    CustomerId, OrderId, PaymentProcessed, PaymentStatus, ShipmentProcessed, ShipmentStatus,
    Timestamp,
};
use serde::{Deserialize, Serialize};
use service_kit::store::Document;

pub use address::{AddressError, CustomerDomain, Sender};
pub use text::one_line;

/// The database of this service.
pub const DATABASE: &str = "notification_db";

/// The end of an order that a mail tells of. In the order of their names, as their texts sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Kind {
    /// It was asked back before it was paid.
    Cancelled,
    /// Its payment was declined.
    Declined,
    /// What was paid is given back: it could not be had, or was asked back in time.
    Refunded,
    /// It is on its way.
    Shipped,
}

impl Kind {
    /// Every one of them.
    pub const ALL: [Self; 4] = [
        Self::Cancelled,
        Self::Declined,
        Self::Refunded,
        Self::Shipped,
    ];

    /// As it stands in an id and as the label of a metric.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Declined => "declined",
            Self::Refunded => "refunded",
            Self::Shipped => "shipped",
        }
    }
}

/// The id of a mail: `01a207bd-a9c0-7000-8000-000000000001.shipped`. It follows from the event, so an event that is handled
/// again finds the mail that it led to. Ids sort by the time of the order, and each can stand in a path and in a Message-ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MailId {
    /// Which order.
    pub order_id: OrderId,
    /// Which end of it.
    pub kind: Kind,
}

/// The text is no id of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an order's id, a dot, and one of cancelled, declined, refunded and shipped")]
pub struct MailIdError;

impl fmt::Display for MailId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.order_id, self.kind.as_str())
    }
}

impl FromStr for MailId {
    type Err = MailIdError;

    fn from_str(text: &str) -> Result<Self, MailIdError> {
        let (order_id, kind) = text.split_once('.').ok_or(MailIdError)?;
        let mut kinds = Kind::ALL.into_iter();
        Ok(Self {
            order_id: order_id.parse().map_err(|_| MailIdError)?,
            kind: kinds
                .find(|known| known.as_str() == kind)
                .ok_or(MailIdError)?,
        })
    }
}

impl TryFrom<String> for MailId {
    type Error = MailIdError;

    fn try_from(text: String) -> Result<Self, MailIdError> {
        text.parse()
    }
}

impl From<MailId> for String {
    fn from(id: MailId) -> Self {
        id.to_string()
    }
}

/// How far a mail is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// It is to be handed to the relay.
    Queued,
    /// The relay has taken it over.
    Sent,
    /// The relay has refused it for good.
    Failed,
    /// There was no relay to hand it to; nobody will.
    Kept,
}

impl State {
    /// As it is on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Sent => "SENT",
            Self::Failed => "FAILED",
            Self::Kept => "KEPT",
        }
    }
}

/// What stands on every mail.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Letterhead {
    /// Who sends it.
    pub from: Sender,
    /// Where customers have their mailboxes.
    pub domain: CustomerDomain,
}

/// A mail and what became of it. What is sent is what stands here, so it is the same each time, whatever the settings are by then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// Which mail.
    pub mail_id: MailId,
    /// The id by which a receiver knows a mail that comes twice (RFC 5322 section 3.6.4), without its angle brackets.
    pub message_id: String,
    /// Which order.
    pub order_id: OrderId,
    /// Which end of it.
    pub kind: Kind,
    /// Who gets it.
    pub customer_id: CustomerId,
    /// From which mailbox: `Orderflow <orders@orderflow.example>`.
    pub from: String,
    /// To which address.
    pub to: String,
    /// One line.
    pub subject: String,
    /// Lines, each with its line feed.
    pub text: String,
    /// How far it is.
    pub state: State,
    /// How often it was handed to the relay, as far as that could be noted.
    pub attempts: u32,
    /// What the relay said to it last, or why it did not get so far; none once it is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it was written; also its date.
    pub created_at: Timestamp,
    /// When the relay had taken it over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
}

/// What became of one attempt to hand a mail to the relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The relay has taken it over.
    Accepted,
    /// The relay has refused it for good; its words.
    Refused(String),
    /// It may pass another time; why not now. Whether the relay has it is not known where no answer came.
    PutOff(String),
}

impl Mail {
    /// The mail that a payment calls for; none where the order has not ended with it.
    pub fn of_payment(
        payment: &PaymentProcessed,
        letterhead: &Letterhead,
        now: Timestamp,
    ) -> Option<Self> {
        let kind = match payment.status {
            PaymentStatus::Completed => return None,
            PaymentStatus::Declined => Kind::Declined,
            PaymentStatus::Refunded => Kind::Refunded,
            PaymentStatus::Cancelled => Kind::Cancelled,
        };
        let id = MailId {
            order_id: payment.order_id,
            kind,
        };
        let text = text::of_payment(kind, payment);
        Some(Self::write(id, &payment.customer_id, text, letterhead, now))
    }

    /// The mail that a shipment calls for; none where it is not on its way. Of one that was stopped, the payment tells.
    pub fn of_shipment(
        shipment: &ShipmentProcessed,
        letterhead: &Letterhead,
        now: Timestamp,
    ) -> Option<Self> {
        let id = MailId {
            order_id: shipment.order_id,
            kind: Kind::Shipped,
        };
        let text = text::of_shipment(shipment);
        (shipment.status == ShipmentStatus::Shipped)
            .then(|| Self::write(id, &shipment.customer_id, text, letterhead, now))
    }

    fn write(
        mail_id: MailId,
        customer_id: &CustomerId,
        text: String,
        letterhead: &Letterhead,
        now: Timestamp,
    ) -> Self {
        Self {
            mail_id,
            message_id: format!("{mail_id}@{}", letterhead.from.domain()),
            order_id: mail_id.order_id,
            kind: mail_id.kind,
            customer_id: customer_id.clone(),
            from: letterhead.from.to_string(),
            to: letterhead.domain.address_of(customer_id),
            subject: text::subject(mail_id),
            text,
            state: State::Queued,
            attempts: 0,
            error: None,
            created_at: now,
            sent_at: None,
        }
    }

    /// The same where there is no relay to hand it to.
    #[must_use]
    pub fn kept(self) -> Self {
        Self {
            state: State::Kept,
            ..self
        }
    }

    /// Keeps it here if it is queued; false if it is not.
    pub fn keep(&mut self) -> bool {
        let queued = self.state == State::Queued;
        if queued {
            self.state = State::Kept;
        }
        queued
    }

    /// Notes what became of an attempt; false if that changes nothing any more. That the relay has taken it over is a fact,
    /// whatever another process has noted meanwhile.
    pub fn note(&mut self, attempt: &Attempt, now: Timestamp) -> bool {
        let open = match attempt {
            Attempt::Accepted => self.state != State::Sent,
            Attempt::Refused(_) | Attempt::PutOff(_) => self.state == State::Queued,
        };
        if !open {
            return false;
        }
        self.attempts = self.attempts.saturating_add(1);
        match attempt {
            Attempt::Accepted => {
                self.state = State::Sent;
                self.error = None;
                self.sent_at = Some(now);
            }
            Attempt::Refused(words) => {
                self.state = State::Failed;
                self.error = Some(words.clone());
            }
            Attempt::PutOff(reason) => self.error = Some(reason.clone()),
        }
        true
    }
}

impl Document for Mail {
    type Id = MailId;
    const COLLECTION: &'static str = "mails";

    fn id(&self) -> MailId {
        self.mail_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queued() -> Mail {
        let payment = PaymentProcessed {
            order_id: OrderId::new(Timestamp::from_millis(1), [7; 10]),
            customer_id: "C001".parse().unwrap(),
            amount: "59.98".parse().unwrap(),
            status: PaymentStatus::Declined,
            reason: None,
            items: Vec::new(),
            shipping_address: "1 Main Street".parse().unwrap(),
            timestamp: Timestamp::from_millis(1),
        };
        let letterhead = Letterhead::default();
        Mail::of_payment(&payment, &letterhead, Timestamp::from_millis(2)).unwrap()
    }

    #[test]
    fn an_id_is_its_text_and_sorts_as_that_does() {
        let order = |fill| OrderId::new(Timestamp::from_millis(1), [fill; 10]);
        let mut ids: Vec<MailId> = [0x00, 0x9f, 0xf9]
            .into_iter()
            .flat_map(|fill| {
                Kind::ALL.map(|kind| MailId {
                    order_id: order(fill),
                    kind,
                })
            })
            .collect();
        ids.reverse();
        ids.sort_by_key(ToString::to_string);
        assert!(ids.is_sorted());
        for id in ids {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        let order = order(7);
        for wrong in [
            "",
            "shipped",
            &format!("{order}"),
            &format!("{order}.SHIPPED"),
            &format!("{order}.paid"),
        ] {
            assert_eq!(wrong.parse::<MailId>(), Err(MailIdError), "{wrong}");
        }
    }

    #[test]
    fn what_the_relay_has_taken_over_is_sent_whatever_else_was_noted() {
        let (now, later) = (Timestamp::from_millis(5), Timestamp::from_millis(6));
        let refused = Attempt::Refused("550 no".to_owned());
        let put_off = Attempt::PutOff("451 later".to_owned());
        let mut mail = queued();
        assert!(mail.note(&put_off, now) && mail.state == State::Queued);
        assert_eq!(
            (mail.attempts, mail.error.as_deref()),
            (1, Some("451 later"))
        );
        assert!(mail.note(&refused, now) && mail.state == State::Failed);
        assert!(!mail.note(&put_off, now) && !mail.note(&refused, now) && !mail.keep());
        assert_eq!((mail.attempts, mail.error.as_deref()), (2, Some("550 no")));
        assert!(mail.note(&Attempt::Accepted, later) && mail.state == State::Sent);
        assert_eq!(
            (mail.attempts, mail.error.as_deref(), mail.sent_at),
            (3, None, Some(later))
        );
        let sent = mail.clone();
        for attempt in [Attempt::Accepted, refused, put_off] {
            assert!(!mail.note(&attempt, now));
        }
        assert!(!mail.keep());
        assert_eq!(mail, sent);
    }

    #[test]
    fn a_mail_without_a_relay_is_kept_and_stays_so() {
        let mut mail = queued();
        assert!(mail.keep());
        assert_eq!(mail, queued().kept());
        assert!(!mail.keep());
    }
}
