//! From whom a mail is and to whom it goes.
//!
//! The events name a customer by an id and have no address, so the address is made from the id: `CUST-42@customers.example`.

use std::fmt;
use std::str::FromStr;

use contracts::CustomerId;
use lettre::Address;
use lettre::message::Mailbox;
use uuid::Uuid;

/// The namespace of what stands for ids that are no local part; changing it changes these customers' addresses.
const NAMESPACE: Uuid = Uuid::from_u128(0x6d61_696c_626f_4786_9d1e_2b5c_71a3_c0de);
/// The longest local part, in bytes (RFC 5321 section 4.5.3.1.1).
const LONGEST: usize = 64;
/// The longest domain, in bytes: an address has at most 254.
const LONGEST_DOMAIN: usize = 254 - 1 - LONGEST;
/// What an atom has beside letters and digits (RFC 5322 section 3.2.3), and what of it an id may have that is kept as it is.
const ATEXT: &str = "!#$%&'*+-/=?^_`{|}~";
const KEPT: &str = "-_";
/// How much of an id is kept that is no local part, so that people recognise it.
const LEGIBLE: usize = 24;

/// Why a text is no address of the kind that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is no mailbox.
    #[error(
        "must be an address such as orders@orderflow.example, a name before it in front of <…>"
    )]
    Mailbox,
    /// It is no domain.
    #[error("must be a domain such as customers.example, in ASCII")]
    Domain,
}

/// Who sends the mails: an address, and a name before it if wanted. Default: `Orderflow <orders@orderflow.example>`.
///
/// The address is in ASCII, so that no relay needs SMTPUTF8 (RFC 6531); an international domain is given in its ASCII form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender(Mailbox);

impl Sender {
    /// The domain of the address, in which Message-IDs are made.
    pub fn domain(&self) -> &str {
        self.0.email.domain()
    }
}

impl Default for Sender {
    fn default() -> Self {
        // Both parts are legal, so the address is made without being parsed.
        let email = Address::new_dangerous("orders", "orderflow.example");
        Self(Mailbox::new(Some("Orderflow".to_owned()), email))
    }
}

impl FromStr for Sender {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let mailbox: Mailbox = text.parse().map_err(|_| AddressError::Mailbox)?;
        let (user, name) = (mailbox.email.user(), mailbox.name.as_deref());
        let atoms = user.len() <= LONGEST && user.split('.').all(|atom| is_word(atom, ATEXT));
        let printable = !name.unwrap_or_default().chars().any(char::is_control);
        if atoms && is_domain(mailbox.email.domain()) && printable {
            Ok(Self(mailbox))
        } else {
            Err(AddressError::Mailbox)
        }
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The domain in which every customer has a mailbox. Default: `customers.example`, which is nobody's (RFC 2606).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerDomain(String);

impl CustomerDomain {
    /// The address of a customer.
    pub fn address_of(&self, customer: &CustomerId) -> String {
        format!("{}@{}", local_part(customer), self.0)
    }
}

impl Default for CustomerDomain {
    fn default() -> Self {
        Self("customers.example".to_owned())
    }
}

impl FromStr for CustomerDomain {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if is_domain(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(AddressError::Domain)
        }
    }
}

impl fmt::Display for CustomerDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id itself where it can be one: words of letters, digits, hyphens and underscores, with single dots between them. Of any other
/// id, what of it is legal, `=` and a UUID of the whole of it; no id that is kept as it is has that sign, so no two customers
/// share an address. Ids that differ in case only have addresses that do so, too.
fn local_part(customer: &CustomerId) -> String {
    let id = customer.as_str();
    if id.len() <= LONGEST && id.split('.').all(|word| is_word(word, KEPT)) {
        return id.to_owned();
    }
    let legal = id
        .chars()
        .filter(|c| is_word(c.encode_utf8(&mut [0; 4]), KEPT));
    let legible: String = legal.take(LEGIBLE).collect();
    let whole = Uuid::new_v5(&NAMESPACE, id.as_bytes());
    format!("{legible}={}", whole.simple())
}

/// Whether a text has letters, digits and these signs, and at least one of them.
fn is_word(text: &str, signs: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || signs.contains(c);
    !text.is_empty() && text.chars().all(legal)
}

/// Whether it is the name of a host (RFC 1123 section 2.1), so short that every address in it fits (RFC 5321 section 4.5.3.1.3).
fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        is_word(label, "-") && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= LONGEST_DOMAIN && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(id: &str) -> String {
        CustomerDomain::default().address_of(&id.parse().unwrap())
    }

    #[test]
    fn an_id_that_can_be_a_local_part_is_one_and_any_other_is_told_apart_by_a_uuid() {
        for id in ["CUST-42", "jane.doe", "a_b", &"x".repeat(64)] {
            assert_eq!(address(id), format!("{id}@customers.example"));
        }
        // Written down, since a change here would send a customer's mails somewhere else.
        assert_eq!(
            address("Jürgen <j@x>"),
            "Jrgenjx=1b10982a32f55184941cbc5f08e84cde@customers.example"
        );
        let others = [".a", "a.", "a..b", "a b", "a@b", "é", "=", &"x".repeat(65)];
        let mut made: Vec<String> = others.iter().map(|id| address(id)).collect();
        for address in &made {
            assert!(address.parse::<Address>().is_ok(), "{address}");
        }
        made.sort_unstable();
        made.dedup();
        assert_eq!(made.len(), others.len());
    }

    #[test]
    fn a_sender_and_a_domain_are_read_or_refused() {
        let sender: Sender = "Der Laden <laden@shop.example>".parse().unwrap();
        assert_eq!(sender.to_string(), "Der Laden <laden@shop.example>");
        assert_eq!(sender.domain(), "shop.example");
        for text in [
            "\"Doe, \\\"J\\\"\" <j.doe@shop.example>",
            "Läden <a+b@shop.example>",
            "a@b",
        ] {
            let sender: Sender = text.parse().unwrap();
            assert_eq!(sender.to_string().parse(), Ok(sender));
        }
        assert_eq!(Sender::default().to_string().parse(), Ok(Sender::default()));
        for wrong in [
            "",
            "shop",
            "a@b@c",
            "é@shop.example",
            "a@shop.example\r\nBcc: b@c.example",
        ] {
            assert_eq!(
                wrong.parse::<Sender>(),
                Err(AddressError::Mailbox),
                "{wrong:?}"
            );
        }
        let domain: CustomerDomain = "mail.example".parse().unwrap();
        assert_eq!(domain.to_string(), "mail.example");
        let long = format!("{}.example", "x.".repeat(100));
        for wrong in ["", "a b", "a@b", "münchen.example", "x\r\n", &long] {
            assert_eq!(
                wrong.parse::<CustomerDomain>(),
                Err(AddressError::Domain),
                "{wrong:?}"
            );
        }
    }
}
