//! Looks through partitions for the records of one order.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use kafka_client::{Admin, Client, ClientError, OffsetAt, RecordView, TopicPartition};
use tokio::time::Instant;

use crate::reading::{Ended, ReadError, read};

/// The most records that are read of a topic, those not counted that are older than the order.
const MOST_RECORDS: usize = 50_000;
/// The most that are told of a topic: an order has a handful.
const MOST_FOUND: usize = 100;
/// The most partitions of a topic that are read.
const MOST_PARTITIONS: usize = 64;
/// Bytes that are fetched at once.
const AHEAD: usize = 1 << 20;

/// What is searched for, and until when.
#[derive(Debug)]
pub(super) struct Search<'a> {
    pub(super) client: &'a Client,
    /// When the order was placed, in milliseconds since 1970.
    pub(super) created_at: i64,
    pub(super) deadline: Instant,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Found<T> {
    pub(super) items: Vec<T>,
    /// Whether that is all.
    pub(super) whole: bool,
}

impl<T> Found<T> {
    /// Nothing, and that is all, or it is not known what more there is.
    pub(super) fn nothing(whole: bool) -> Self {
        Self {
            items: Vec::new(),
            whole,
        }
    }
}

impl Search<'_> {
    /// What `pick` takes of the records of these partitions of a topic, from the first that is not older than `since` to the end that
    /// there is now. What fails is logged, and what was found until then is told.
    pub(super) async fn through<T>(
        &self,
        places: Vec<TopicPartition>,
        since: i64,
        pick: impl Fn(&TopicPartition, RecordView<'_>) -> Option<T>,
    ) -> Found<T> {
        let mut found = Found::nothing(places.len() <= MOST_PARTITIONS);
        let mut seen = 0;
        let places = &places[..places.len().min(MOST_PARTITIONS)];
        let admin = self.client.admin();
        let pieces = pieces(&admin, places, since);
        // In a box, since it is large.
        let pieces = match tokio::time::timeout_at(self.deadline, Box::pin(pieces)).await {
            Ok(Ok(pieces)) => pieces,
            Ok(Err(error)) => {
                tracing::debug!(%error, "the offsets of an order's events cannot be learned");
                return Found::nothing(false);
            }
            Err(_) => return Found::nothing(false),
        };
        for (place, first, end) in pieces {
            let each = |record: RecordView<'_>| {
                seen += usize::from(record.timestamp >= self.created_at);
                found.items.extend(pick(&place, record));
                if seen >= MOST_RECORDS || found.items.len() >= MOST_FOUND {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            };
            match self.read(&place, first, end, each).await {
                Ok(Ended::AtEnd) => {}
                Ok(Ended::Enough | Ended::Late) => {
                    found.whole = false;
                    return found;
                }
                Err(error) => {
                    tracing::debug!(%error, %place, "the events of an order cannot be read");
                    found.whole = false;
                }
            }
        }
        found
    }

    async fn read(
        &self,
        place: &TopicPartition,
        first: i64,
        end: i64,
        each: impl FnMut(RecordView<'_>) -> ControlFlow<()>,
    ) -> Result<Ended, ReadError> {
        let reading = read(self.client, place, first..end, AHEAD, self.deadline, each);
        // It ends by itself in time, unless the reader cannot even be made.
        let last = self.deadline + Duration::from_millis(100);
        tokio::time::timeout_at(last, Box::pin(reading))
            .await
            .unwrap_or(Ok(Ended::Late))
    }
}

/// From where to where each partition has records that are not older than `since`; without those that have none.
async fn pieces(
    admin: &Admin,
    places: &[TopicPartition],
    since: i64,
) -> Result<Vec<(TopicPartition, i64, i64)>, ClientError> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let (ends, firsts) = tokio::try_join!(
        admin.list_offsets(places, OffsetAt::Latest),
        admin.list_offsets(places, OffsetAt::Timestamp(since.max(0)))
    )?;
    let mut end_of = BTreeMap::new();
    for (place, end) in ends {
        end_of.insert(place, end?.offset.unwrap_or_default());
    }
    let mut pieces = Vec::with_capacity(places.len());
    for (place, first) in firsts {
        let end = end_of.get(&place).copied().unwrap_or_default();
        if let Some(first) = first?.offset.filter(|first| *first < end) {
            pieces.push((place, first, end));
        }
    }
    Ok(pieces)
}
