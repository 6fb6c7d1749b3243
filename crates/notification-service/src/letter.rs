//! A mail as it travels: an envelope, and a message in the format of RFC 5322.

use std::time::{Duration, UNIX_EPOCH};

use lettre::Message;
use lettre::address::Envelope;
use lettre::message::header::{ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0};

use crate::mail::Mail;

/// What is handed to the relay. It follows from the mail alone, so that a mail that goes out twice is twice the same, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    pub(crate) envelope: Envelope,
    pub(crate) message: Vec<u8>,
}

/// The mail cannot be written as a message: somebody has changed its document by hand.
#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    /// Its sender or its receiver is none.
    #[error("an address of it cannot be read: {0}")]
    Address(#[from] lettre::address::AddressError),
    /// The rest of it.
    #[error(transparent)]
    Message(#[from] lettre::error::Error),
}

impl Letter {
    /// The message of a mail, in ASCII: what is not is encoded, so no relay needs an extension for it.
    ///
    /// # Errors
    ///
    /// [`LetterError`]; trying again is no help.
    pub fn of(mail: &Mail) -> Result<Self, LetterError> {
        let millis = u64::try_from(mail.created_at.millis()).unwrap_or_default();
        // RFC 3834: so that no program answers.
        let automatic = HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        );
        let message = Message::builder()
            .date(UNIX_EPOCH + Duration::from_millis(millis))
            .from(mail.from.parse()?)
            .to(mail.to.parse()?)
            .message_id(Some(format!("<{}>", mail.message_id)))
            .subject(mail.subject.as_str())
            .raw_header(automatic)
            .header(MIME_VERSION_1_0)
            .header(ContentType::TEXT_PLAIN)
            .body(mail.text.clone())?;
        Ok(Self {
            envelope: message.envelope().clone(),
            message: message.formatted(),
        })
    }

    /// The message: headers, an empty line, the text.
    pub fn message(&self) -> &[u8] {
        &self.message
    }
}
