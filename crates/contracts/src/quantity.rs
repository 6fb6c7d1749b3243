//! How many of a product.

use std::fmt;
use std::num::NonZeroU32;

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

/// How many pieces of a product are ordered: from 1 to [`Quantity::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(NonZeroU32);

/// The number of pieces is not one that can be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number from 1 to {}", Quantity::MAX)]
pub struct QuantityError;

impl Quantity {
    /// 1,000,000 pieces: far above any order, and small enough that no sum of them overflows.
    pub const MAX: u32 = 1_000_000;

    /// That many pieces; an error for 0 and above [`Quantity::MAX`].
    pub fn new(pieces: u32) -> Result<Self, QuantityError> {
        NonZeroU32::new(pieces)
            .filter(|pieces| pieces.get() <= Self::MAX)
            .map(Self)
            .ok_or(QuantityError)
    }

    /// The number of pieces.
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.get())
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a whole number from 1 to {}", Quantity::MAX)
            }

            fn visit_u64<E: serde::de::Error>(self, pieces: u64) -> Result<Quantity, E> {
                let pieces = u32::try_from(pieces).map_err(|_| E::custom(QuantityError))?;
                Quantity::new(pieces).map_err(E::custom)
            }

            fn visit_i64<E: serde::de::Error>(self, pieces: i64) -> Result<Quantity, E> {
                u64::try_from(pieces)
                    .map_err(|_| E::custom(QuantityError))
                    .and_then(|pieces| self.visit_u64(pieces))
            }
        }

        deserializer.deserialize_u32(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::Quantity;

    #[test]
    fn only_a_whole_number_from_one_is_a_quantity() {
        assert_eq!(serde_json::from_str::<Quantity>("2").unwrap().get(), 2);
        assert_eq!(
            serde_json::to_string(&Quantity::new(7).unwrap()).unwrap(),
            "7"
        );
        for text in [
            "0",
            "-1",
            "1.5",
            "1000001",
            "99999999999999999999",
            "\"2\"",
            "null",
        ] {
            let refused = serde_json::from_str::<Quantity>(text)
                .unwrap_err()
                .to_string();
            assert!(
                refused.contains("a whole number from 1 to 1000000"),
                "{text}: {refused}"
            );
        }
    }
}
