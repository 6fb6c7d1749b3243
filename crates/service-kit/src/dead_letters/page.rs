//! The letters of a group, a page at a time.

use std::fmt;
use std::str::FromStr;

use super::desk::{Desk, DeskError, Letter, Most};

/// Bytes of keys and values after which a page ends, however few its letters: a letter has up to a megabyte.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// Which letter: `TOPIC-PARTITION@OFFSET`. Letters are in the order of these.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LetterId {
    /// The topic of dead letters.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// The letter's offset there.
    pub offset: i64,
}

/// The text names no letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the next of another page")]
pub struct LetterIdError;

impl FromStr for LetterId {
    type Err = LetterIdError;

    fn from_str(text: &str) -> Result<Self, LetterIdError> {
        let parse = || {
            let (place, offset) = text.rsplit_once('@')?;
            let (topic, partition) = place.rsplit_once('-')?;
            Some(Self {
                topic: topic.to_owned(),
                partition: partition.parse().ok()?,
                offset: offset.parse().ok().filter(|offset| *offset >= 0)?,
            })
        };
        parse().ok_or(LetterIdError)
    }
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}@{}", self.topic, self.partition, self.offset)
    }
}

impl LetterId {
    fn of(letter: &Letter) -> Self {
        Self {
            topic: letter.place.topic.to_string(),
            partition: letter.place.partition,
            offset: letter.offset,
        }
    }

    /// From where on a partition is read that begins at `start`; none if all of it comes before.
    fn behind(&self, topic: &str, partition: i32, start: i64) -> Option<i64> {
        match (topic, partition).cmp(&(&self.topic, self.partition)) {
            std::cmp::Ordering::Less => None,
            std::cmp::Ordering::Equal => Some(start.max(self.offset.saturating_add(1))),
            std::cmp::Ordering::Greater => Some(start),
        }
    }
}

impl Desk {
    /// The first `limit` letters of a group that are behind `after`, by topic, partition and offset, and the last of them if
    /// there are others behind it. There are less where they are large: 4 MiB end a page.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub async fn page(
        &self,
        group: &str,
        after: Option<&LetterId>,
        limit: usize,
    ) -> Result<(Vec<Letter>, Option<LetterId>), DeskError> {
        let mut letters: Vec<Letter> = Vec::new();
        let mut bytes = 0;
        // One more than asked for says whether there is more.
        let most = limit.saturating_add(1);
        for topic in self.topics(Some(group)).await? {
            if after.is_some_and(|after| topic < after.topic) {
                continue;
            }
            for (place, start, end) in self.extent(&topic).await? {
                let from = match after {
                    None => Some(start),
                    Some(after) => after.behind(&topic, place.partition, start),
                };
                let Some(from) = from.filter(|from| *from < end) else {
                    continue;
                };
                if bytes >= MOST_BYTES {
                    let next = letters.last().map(LetterId::of);
                    return Ok((letters, next));
                }
                let room = Most {
                    letters: most - letters.len(),
                    bytes: MOST_BYTES - bytes,
                };
                let read = self.read(&place, from, end, room).await?;
                bytes += read.iter().map(Letter::size).sum::<usize>();
                let left_out = read.last().is_some_and(|last| last.offset + 1 < end);
                letters.extend(read);
                if letters.len() > limit || (bytes >= MOST_BYTES && left_out) {
                    letters.truncate(limit);
                    let next = letters.last().map(LetterId::of);
                    return Ok((letters, next));
                }
            }
        }
        Ok((letters, None))
    }
}

#[cfg(test)]
mod tests {
    use super::LetterId;

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let id = LetterId {
            topic: "order_placed.payment-service.dlq".to_owned(),
            partition: 2,
            offset: 17,
        };
        let text = "order_placed.payment-service.dlq-2@17";
        assert_eq!((id.to_string().as_str(), text.parse()), (text, Ok(id)));
        for wrong in ["", "17", "a@17", "a-b@17", "a-2@", "a-2@-1"] {
            assert!(wrong.parse::<LetterId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_behind_an_id_begins_behind_its_offset() {
        let id: LetterId = "b-1@17".parse().unwrap();
        for (topic, partition, start, from) in [
            ("a", 7, 0, None),
            ("b", 0, 0, None),
            ("b", 1, 0, Some(18)),
            ("b", 1, 20, Some(20)),
            ("b", 2, 3, Some(3)),
            ("c", 0, 3, Some(3)),
        ] {
            assert_eq!(
                id.behind(topic, partition, start),
                from,
                "{topic}-{partition}"
            );
        }
    }
}
