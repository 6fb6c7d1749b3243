//! The settings of `orderflow reset-offsets`.

use std::str::FromStr;

use clap::Args;
use contracts::Timestamp;

use super::Kafka;

/// Which offsets, and to where.
#[derive(Debug, Clone, Args)]
pub struct ResetOffsets {
    /// Whose offsets.
    #[arg(long)]
    pub group: String,
    /// Where the group is to read on: earliest, latest, an offset, or the first record since a time as RFC 3339 writes it. What lies
    /// outside of a partition's log is its nearest end.
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "earliest|latest|OFFSET|TIMESTAMP"
    )]
    pub to: ResetTo,
    /// Only of this topic; without it, of every topic that the group has committed an offset of and that is still there.
    #[arg(long)]
    pub topic: Option<String>,
    /// Only of this partition of the topic.
    #[arg(long, requires = "topic", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(0..))]
    pub partition: Option<i32>,
    /// Print what would be set, and set nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Which Kafka.
    #[command(flatten)]
    pub kafka: Kafka,
}

/// A place in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetTo {
    /// The first record that is there.
    Earliest,
    /// Behind the last record.
    Latest,
    /// This offset.
    Offset(i64),
    /// The first record that is not older.
    Time(Timestamp),
}

/// The text names no place in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be earliest, latest, an offset from 0, or a time like 2026-11-26T08:00:00Z")]
pub struct ResetToError;

impl FromStr for ResetTo {
    type Err = ResetToError;

    fn from_str(text: &str) -> Result<Self, ResetToError> {
        match text {
            "earliest" => return Ok(Self::Earliest),
            "latest" => return Ok(Self::Latest),
            _ => {}
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(Self::Offset).map_err(|_| ResetToError);
        }
        text.parse().map(Self::Time).map_err(|_| ResetToError)
    }
}

#[cfg(test)]
mod tests {
    use super::{ResetTo, ResetToError};

    #[test]
    fn a_place_is_a_word_an_offset_or_a_time() {
        let time = "2026-11-26T08:00:00+01:00";
        for (text, meant) in [
            ("earliest", Ok(ResetTo::Earliest)),
            ("latest", Ok(ResetTo::Latest)),
            ("0", Ok(ResetTo::Offset(0))),
            ("42", Ok(ResetTo::Offset(42))),
            (time, Ok(ResetTo::Time(time.parse().unwrap()))),
            ("", Err(ResetToError)),
            ("-1", Err(ResetToError)),
            ("newest", Err(ResetToError)),
            ("99999999999999999999", Err(ResetToError)),
            ("2026-11-26", Err(ResetToError)),
        ] {
            assert_eq!(text.parse::<ResetTo>(), meant, "{text}");
        }
    }
}
