//! Ids: of orders, and those that follow from an order and never change when a step is redone.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};
use uuid::{Builder, Uuid, Version};

use crate::{Timestamp, text};

/// The namespace of every derived id (RFC 9562 section 5.5); changing it changes all of them.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f72_6465_7266_4c6f_b77a_9d0c_1e5a_42f3);

/// The text is not an id of that kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be {expected}")]
pub struct IdError {
    expected: &'static str,
}

/// The id of an order: a UUID of version 7 (RFC 9562), so ids sort by the time they were made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(Uuid);

/// The id of an event: a UUID of version 5 of the order and the step, so a redone step has the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Uuid);

/// The id of an order's shipment: a UUID of version 5 of the order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShipmentId(Uuid);

/// A step of an order: the topic and the status that it reached there. An order takes each once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// The topic that tells of the step.
    pub topic: &'static str,
    /// The status that it tells of.
    pub status: &'static str,
}

impl OrderId {
    /// An id made at `time`, with 74 of the bits of `random`.
    pub fn new(time: Timestamp, random: [u8; 10]) -> Self {
        // A timestamp is never negative and fits in 48 bits.
        Self(Builder::from_unix_timestamp_millis(time.millis() as u64, &random).into_uuid())
    }

    /// The sixteen bytes of the UUID.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl EventId {
    /// The id of the event that tells of this step of this order.
    pub fn of(order: OrderId, step: Step) -> Self {
        Self(derive(order, &format!("{}/{}", step.topic, step.status)))
    }

    /// The sixteen bytes of the UUID.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl ShipmentId {
    /// The id of the shipment of this order.
    pub fn of(order: OrderId) -> Self {
        Self(derive(order, "shipment"))
    }
}

/// An id that follows from the order and `what`.
pub(crate) fn derive(order: OrderId, what: &str) -> Uuid {
    let mut name = order.as_bytes().to_vec();
    name.extend_from_slice(what.as_bytes());
    Uuid::new_v5(&NAMESPACE, &name)
}

/// Only the hyphenated form is read, so an id has one spelling but for its case.
fn parse_uuid(
    text: &str,
    version: Option<Version>,
    expected: &'static str,
) -> Result<Uuid, IdError> {
    let id = Uuid::try_parse(text)
        .ok()
        .filter(|_| text.len() == 36)
        .ok_or(IdError { expected })?;
    let right = version.is_none()
        || (id.get_version() == version && id.get_variant() == uuid::Variant::RFC4122);
    right.then_some(id).ok_or(IdError { expected })
}

macro_rules! uuid_text {
    ($name:ident, $version:expr, $expected:literal) => {
        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_uuid(text, $version, $expected).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        // Always the text, also in formats for machines: an id is looked up by hand there.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer
                    .serialize_str(self.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                text::parse(deserializer, $expected)
            }
        }
    };
}

uuid_text!(OrderId, Some(Version::SortRand), "a UUID of version 7");
uuid_text!(EventId, None, "a UUID");
uuid_text!(ShipmentId, None, "a UUID");

/// `TRK-` and eight characters that follow from the order; letters and digits that cannot be taken
/// for one another (Crockford's base 32: no I, L, O, U).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackingNumber([u8; 8]);

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl TrackingNumber {
    /// The tracking number of this order: 40 bits, so two orders of a million share one with even odds
    /// of about 1 in 3. It is shown to people and is no key.
    pub fn of(order: OrderId) -> Self {
        let bits = derive(order, "tracking").as_u128();
        Self(std::array::from_fn(|at| {
            ALPHABET[(bits >> (5 * at)) as usize & 31]
        }))
    }
}

impl FromStr for TrackingNumber {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        text.strip_prefix("TRK-")
            .and_then(|characters| <[u8; 8]>::try_from(characters.as_bytes()).ok())
            .filter(|characters| {
                characters
                    .iter()
                    .all(|character| ALPHABET.contains(character))
            })
            .map(Self)
            .ok_or(IdError {
                expected: "TRK- and eight letters and digits",
            })
    }
}

impl fmt::Display for TrackingNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TRK-")?;
        self.0
            .iter()
            .try_for_each(|character| write!(f, "{}", char::from(*character)))
    }
}

impl fmt::Debug for TrackingNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for TrackingNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TrackingNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::parse(deserializer, "TRK- and eight letters and digits")
    }
}

#[cfg(test)]
mod tests {
    use super::{EventId, OrderId, ShipmentId, Step, TrackingNumber};
    use crate::Timestamp;

    fn order(fill: u8) -> OrderId {
        OrderId::new(Timestamp::from_millis(1_700_000_000_000), [fill; 10])
    }

    #[test]
    fn an_order_id_is_a_version_7_uuid_in_one_spelling() {
        let id = order(0xab);
        assert_eq!(id.to_string(), "018bcfe5-6800-7bab-abab-abababababab");
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in [
            "",
            "018bcfe568007babababababababab00",
            "{018bcfe5-6800-7bab-abab-abababababab}",
            "018bcfe5-6800-4bab-abab-abababababab",
            "018bcfe5-6800-7bab-0bab-abababababab",
        ] {
            assert!(text.parse::<OrderId>().is_err(), "{text}");
        }
        assert!(
            OrderId::new(Timestamp::from_millis(1), [0xff; 10])
                < OrderId::new(Timestamp::from_millis(2), [0; 10])
        );
    }

    #[test]
    fn derived_ids_are_the_same_each_time_and_differ_by_order_and_step() {
        let paid = Step {
            topic: "payment_processed",
            status: "COMPLETED",
        };
        let refunded = Step {
            topic: "payment_processed",
            status: "REFUNDED",
        };
        // Written down, because a change here would make redone steps look like new ones.
        assert_eq!(
            EventId::of(order(1), paid).to_string(),
            "aaacd0ea-ce49-56b9-a069-96dc5f424da1"
        );
        assert_eq!(
            ShipmentId::of(order(1)).to_string(),
            "cbe016d1-2178-5e41-ac9e-ee854033f6a6"
        );
        assert_eq!(TrackingNumber::of(order(1)).to_string(), "TRK-5VJRB1FQ");
        assert_ne!(EventId::of(order(1), paid), EventId::of(order(1), refunded));
        assert_ne!(EventId::of(order(1), paid), EventId::of(order(2), paid));
        let tracking = TrackingNumber::of(order(2));
        assert_eq!(tracking.to_string().parse(), Ok(tracking));
        assert!("TRK-ABCDEFGI".parse::<TrackingNumber>().is_err());
        assert!("TRK-ABC".parse::<TrackingNumber>().is_err());
    }
}
