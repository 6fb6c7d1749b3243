//! Texts with a rule: product ids, customer ids, addresses. And the one way in which this crate
//! reads a value from a string.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// Why a text is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// It is empty or only spaces.
    #[error("must not be empty")]
    Empty,
    /// It is longer than allowed.
    #[error("must have at most {max} characters")]
    TooLong {
        /// The most characters allowed.
        max: usize,
    },
    /// It has a character that is not allowed.
    #[error("must have only {allowed}")]
    Character {
        /// What is allowed instead.
        allowed: &'static str,
    },
}

struct Rule {
    max: usize,
    allowed: &'static str,
    accepts: fn(char) -> bool,
}

impl Rule {
    fn check(&self, text: &str) -> Result<(), TextError> {
        if text.trim().is_empty() {
            Err(TextError::Empty)
        } else if text.chars().count() > self.max {
            Err(TextError::TooLong { max: self.max })
        } else if !text.chars().all(self.accepts) {
            Err(TextError::Character {
                allowed: self.allowed,
            })
        } else {
            Ok(())
        }
    }
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $rule:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = TextError;

            fn from_str(text: &str) -> Result<Self, TextError> {
                const RULE: Rule = $rule;
                RULE.check(text)?;
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                parse(deserializer, "a text")
            }
        }
    };
}

text! {
    /// Which product: up to 64 letters, digits, `-`, `_` and `.`, so that it can stand in a path.
    ProductId,
    Rule {
        max: 64,
        allowed: "letters, digits, '-', '_' and '.'",
        accepts: |c| c.is_ascii_alphanumeric() || "-_.".contains(c),
    }
}

text! {
    /// Who ordered: up to 128 characters on one line.
    CustomerId,
    Rule { max: 128, allowed: "printable characters", accepts: |c| !c.is_control() }
}

text! {
    /// Where an order goes: up to 500 characters, more lines allowed.
    ShippingAddress,
    Rule { max: 500, allowed: "printable characters and line breaks", accepts: |c| !c.is_control() || "\r\n\t".contains(c) }
}

/// Reads a string and makes a `T` of it; an error says what `T` says.
pub(crate) fn parse<'de, D, T>(deserializer: D, expecting: &'static str) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    struct Parse<T>(&'static str, PhantomData<T>);

    impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Parse<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }

    deserializer.deserialize_str(Parse(expecting, PhantomData))
}

#[cfg(test)]
mod tests {
    use super::{CustomerId, ProductId, ShippingAddress, TextError};

    #[test]
    fn each_text_has_its_rule() {
        assert_eq!("P001".parse::<ProductId>().unwrap().as_str(), "P001");
        assert_eq!(" ".parse::<ProductId>(), Err(TextError::Empty));
        assert!(matches!(
            "P/1".parse::<ProductId>(),
            Err(TextError::Character { .. })
        ));
        assert_eq!(
            "x".repeat(65).parse::<ProductId>(),
            Err(TextError::TooLong { max: 64 })
        );
        assert_eq!(
            "é".repeat(128)
                .parse::<CustomerId>()
                .unwrap()
                .as_str()
                .chars()
                .count(),
            128
        );
        assert!(matches!(
            "a\nb".parse::<CustomerId>(),
            Err(TextError::Character { .. })
        ));
        assert!("1 Main St\n12345 Town".parse::<ShippingAddress>().is_ok());
        assert!("a\0b".parse::<ShippingAddress>().is_err());
        assert!(
            serde_json::from_str::<ProductId>("1")
                .unwrap_err()
                .to_string()
                .contains("expected a text")
        );
    }
}
