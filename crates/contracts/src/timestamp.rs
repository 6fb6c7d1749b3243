//! A moment, to the millisecond.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use crate::text;

const DAY: i64 = 24 * 60 * 60 * 1000;

/// A moment in UTC, in whole milliseconds, from 1970 to the end of 9999; its text is RFC 3339,
/// `2026-11-23T09:30:00.000Z`, everywhere, and sorts as the moments do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The text is not a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a time such as 2026-11-23T09:30:00.000Z, from 1970 to 9999")]
pub struct TimestampError;

impl Timestamp {
    /// 1970-01-01T00:00:00.000Z.
    pub const MIN: Self = Self(0);
    /// 9999-12-31T23:59:59.999Z.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// That many milliseconds after 1970 began; what lies outside the range becomes its end.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// Milliseconds since 1970 began; never negative.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// So many days of 24 hours later; at most [`Timestamp::MAX`].
    pub fn plus_days(self, days: u32) -> Self {
        self.plus_millis(i64::from(days).saturating_mul(DAY))
    }

    /// So many milliseconds later, or earlier where negative; stays in the range.
    pub fn plus_millis(self, millis: i64) -> Self {
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this; negative where `earlier` is later.
    pub fn millis_since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }
}

impl From<DateTime<Utc>> for Timestamp {
    /// Drops what is finer than a millisecond.
    fn from(time: DateTime<Utc>) -> Self {
        Self::from_millis(time.timestamp_millis())
    }
}

impl From<Timestamp> for DateTime<Utc> {
    fn from(time: Timestamp) -> Self {
        // The range of a timestamp lies well inside chrono's.
        DateTime::from_timestamp_millis(time.0).unwrap_or_default()
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    /// Reads RFC 3339 with any offset; drops what is finer than a millisecond.
    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let time = DateTime::parse_from_rfc3339(text).map_err(|_| TimestampError)?;
        let millis = time.timestamp_millis();
        (Self::MIN.0..=Self::MAX.0)
            .contains(&millis)
            .then_some(Self(millis))
            .ok_or(TimestampError)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&DateTime::<Utc>::from(*self).to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::parse(deserializer, "a time such as 2026-11-23T09:30:00.000Z")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Timestamp;

    #[test]
    fn text_is_utc_with_milliseconds() {
        let time: Timestamp = "2026-11-23T10:30:00.1239+01:00".parse().unwrap();
        assert_eq!(time.to_string(), "2026-11-23T09:30:00.123Z");
        assert_eq!(
            "2024-02-29T00:00:00Z"
                .parse::<Timestamp>()
                .unwrap()
                .to_string(),
            "2024-02-29T00:00:00.000Z"
        );
        for text in [
            "",
            "2026-11-23",
            "2025-02-29T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "10000-01-01T00:00:00Z",
            "1",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn three_days_on_holds_at_the_end_of_a_month_and_of_time() {
        let last: Timestamp = "2026-12-30T23:59:59.999Z".parse().unwrap();
        assert_eq!(last.plus_days(3).to_string(), "2027-01-02T23:59:59.999Z");
        let leap: Timestamp = "2028-02-27T12:00:00Z".parse().unwrap();
        assert_eq!(leap.plus_days(3).to_string(), "2028-03-01T12:00:00.000Z");
        assert_eq!(Timestamp::MAX.plus_days(u32::MAX), Timestamp::MAX);
    }

    proptest! {
        #[test]
        fn every_moment_survives_its_text(millis in 0..=Timestamp::MAX.millis()) {
            let time = Timestamp::from_millis(millis);
            prop_assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
        }
    }
}
