//! An exact amount of money.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::Quantity;
use crate::decimal::{self, Fault};

/// An amount of money, never negative, in whole cents.
///
/// In JSON it is a number with two decimals, `59.98`; its text is read digit by digit, so no float
/// rounds it. In formats for machines (BSON) it is the number of cents as a 64-bit integer, `5998`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(i64);

/// Why something is not an amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// It is no number, or a number in quotes.
    #[error("must be a number such as 59.98")]
    NotANumber,
    /// It is below zero.
    #[error("must not be negative")]
    Negative,
    /// It has a part smaller than a cent.
    #[error("must have at most two decimals")]
    SubCent,
    /// It is above [`Money::MAX`].
    #[error("must not be above {}", Money::MAX)]
    TooLarge,
}

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// 9999999999999.99: fifteen digits, the most that every reader of JSON keeps, also one that
    /// reads numbers as 64-bit floats, as browsers do.
    pub const MAX: Self = Self(999_999_999_999_999);

    /// That many cents; an error below zero and above [`Money::MAX`].
    pub const fn from_cents(cents: i64) -> Result<Self, MoneyError> {
        if cents < 0 {
            Err(MoneyError::Negative)
        } else if cents > Self::MAX.0 {
            Err(MoneyError::TooLarge)
        } else {
            Ok(Self(cents))
        }
    }

    /// The amount in cents.
    pub const fn cents(self) -> i64 {
        self.0
    }

    /// The sum, or none above [`Money::MAX`].
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0
            .checked_add(other.0)
            .and_then(|cents| Self::from_cents(cents).ok())
    }

    /// The difference, or none below zero.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0
            .checked_sub(other.0)
            .and_then(|cents| Self::from_cents(cents).ok())
    }

    /// So many times the amount, or none above [`Money::MAX`].
    pub fn checked_mul(self, times: Quantity) -> Option<Self> {
        self.0
            .checked_mul(times.get().into())
            .and_then(|cents| Self::from_cents(cents).ok())
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

impl FromStr for Money {
    type Err = MoneyError;

    /// Reads a number in JSON's grammar: `59.98`, `60`, `5.998e1`.
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        match decimal::hundredths(text, 15) {
            Ok(cents) => Self::from_cents(cents),
            Err(Fault::NotANumber) => Err(MoneyError::NotANumber),
            Err(Fault::Negative) => Err(MoneyError::Negative),
            Err(Fault::TooFine) => Err(MoneyError::SubCent),
            Err(Fault::TooLong) => Err(MoneyError::TooLarge),
        }
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            RawValue::from_string(self.to_string())
                .map_err(S::Error::custom)?
                .serialize(serializer)
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = Box::<RawValue>::deserialize(deserializer)?;
            text.get().parse().map_err(D::Error::custom)
        } else {
            Self::from_cents(i64::deserialize(deserializer)?).map_err(D::Error::custom)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Money, MoneyError};
    use crate::Quantity;

    fn money(text: &str) -> Money {
        text.parse().unwrap()
    }

    #[test]
    fn json_is_a_number_with_two_decimals() {
        assert_eq!(serde_json::to_string(&money("59.98")).unwrap(), "59.98");
        assert_eq!(serde_json::to_string(&money("60")).unwrap(), "60.00");
        assert_eq!(
            serde_json::from_str::<Money>("59.98").unwrap().cents(),
            5998
        );
        assert_eq!(
            serde_json::from_value::<Money>(serde_json::json!(59.98))
                .unwrap()
                .cents(),
            5998
        );
        assert_eq!(
            serde_json::to_value(money("59.98")).unwrap(),
            serde_json::json!(59.98)
        );
    }

    #[test]
    fn what_is_no_amount_is_refused_with_its_reason() {
        for (text, error) in [
            ("\"59.98\"", MoneyError::NotANumber),
            ("null", MoneyError::NotANumber),
            ("[1]", MoneyError::NotANumber),
            ("-0.01", MoneyError::Negative),
            ("0.001", MoneyError::SubCent),
            ("29.990000000000000001", MoneyError::SubCent),
            ("1e300", MoneyError::TooLarge),
            ("10000000000000.00", MoneyError::TooLarge),
        ] {
            let refused = serde_json::from_str::<Money>(text).unwrap_err().to_string();
            assert!(refused.starts_with(&error.to_string()), "{text}: {refused}");
        }
    }

    #[test]
    fn arithmetic_stays_in_range() {
        assert_eq!(
            money("29.99").checked_mul(Quantity::new(2).unwrap()),
            Some(money("59.98"))
        );
        assert_eq!(Money::MAX.checked_add(money("0.01")), None);
        assert_eq!(Money::MAX.checked_mul(Quantity::new(2).unwrap()), None);
        assert_eq!(Money::ZERO.checked_sub(money("0.01")), None);
        assert_eq!(Money::from_cents(-1), Err(MoneyError::Negative));
        assert_eq!(Money::from_cents(i64::MAX), Err(MoneyError::TooLarge));
    }

    proptest! {
        #[test]
        fn every_amount_survives_json(cents in 0..=Money::MAX.cents()) {
            let amount = Money::from_cents(cents).unwrap();
            let json = serde_json::to_string(&amount).unwrap();
            prop_assert_eq!(serde_json::from_str::<Money>(&json).unwrap(), amount);
            // A reader that goes through a float, as a browser does, sees the same cents.
            let float: f64 = json.parse().unwrap();
            prop_assert_eq!(format!("{float:.2}"), json);
        }

        #[test]
        fn shifting_the_point_changes_nothing(cents in 0..=Money::MAX.cents(), shift in -20_i32..20) {
            let text = format!("{cents}e-2");
            prop_assert_eq!(text.parse::<Money>().unwrap().cents(), cents);
            let padded = if shift >= 0 {
                format!("{cents}{}e-{}", "0".repeat(shift as usize), shift + 2)
            } else {
                format!("{}.{:02}{}", cents / 100, cents % 100, "0".repeat(-shift as usize))
            };
            prop_assert_eq!(padded.parse::<Money>().unwrap().cents(), cents);
        }

        #[test]
        fn no_text_panics(text in "[-+0-9.eE]{0,40}|.{0,20}") {
            if let Ok(amount) = text.parse::<Money>() {
                prop_assert_eq!(amount.to_string().parse::<Money>().unwrap(), amount);
            }
        }
    }
}
