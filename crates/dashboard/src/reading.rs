//! Reads a piece of a partition once, without a group.

use std::ops::{ControlFlow, Range};
use std::time::Duration;

use kafka_client::{
    Admin, Client, ClientError, ConsumerConfig, ConsumerError, OffsetAt, OffsetReset, RecordView,
    StartAt, TopicPartition,
};
use service_kit::http::Problem;
use tokio::time::Instant;

/// Records that are taken out of the reader's memory at once.
const POLL: usize = 500;
/// How often it is looked whether the reader has passed offsets that have no records.
const LOOK: Duration = Duration::from_millis(100);

/// The most bytes that a topic's name may have (Kafka's `Topic.validate`).
pub(crate) const LONGEST_TOPIC: usize = 249;

/// How a reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// At the end of the piece.
    AtEnd,
    /// Whoever looked at the records has had enough.
    Enough,
    /// The time was up.
    Late,
}

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Consumer(#[from] ConsumerError),
    #[error("no answer within {0:?}")]
    Late(Duration),
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        Self::unavailable(format!("Kafka does not tell: {error}"))
    }
}

/// Where a partition's log begins and ends; none if there is no such topic or partition.
pub(crate) async fn extent(
    admin: &Admin,
    place: &TopicPartition,
    patience: Duration,
) -> Result<Option<Range<i64>>, ReadError> {
    if place.topic.len() > LONGEST_TOPIC {
        return Ok(None);
    }
    let asking = async {
        let described = admin.describe_topics(&[&place.topic]).await?;
        let topic = described.into_iter().next().map(|(_, topic)| topic);
        let is_there = match topic {
            Some(Ok(topic)) => topic
                .partitions
                .iter()
                .any(|found| found.partition == place.partition),
            Some(Err(error)) if error.is_retriable() && !is_unknown(&error) => {
                return Err(error.into());
            }
            Some(Err(_)) | None => false,
        };
        if !is_there {
            return Ok(None);
        }
        let places = [place.clone()];
        let (starts, ends) = tokio::try_join!(
            admin.list_offsets(&places, OffsetAt::Earliest),
            admin.list_offsets(&places, OffsetAt::Latest)
        )?;
        let (Some((_, start)), Some((_, end))) =
            (starts.into_iter().next(), ends.into_iter().next())
        else {
            return Ok(None);
        };
        let (start, end) = (start?.offset, end?.offset);
        Ok(Some(start.unwrap_or_default()..end.unwrap_or_default()))
    };
    // In a box, since it is large.
    tokio::time::timeout(patience, Box::pin(asking))
        .await
        .map_err(|_| ReadError::Late(patience))?
}

/// Whether it is about a topic or a partition that is not there.
pub(crate) fn is_unknown(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::UnknownPartition { .. }
            | ClientError::Broker {
                code: kafka_client::ResponseError::UnknownTopicOrPartition
                    | kafka_client::ResponseError::InvalidTopicException,
                ..
            }
    )
}

/// Hands the records of a piece to `each`, in their order, until it has had enough or `deadline` is over. `ahead` bounds the bytes
/// that are fetched at once.
pub(crate) async fn read(
    client: &Client,
    place: &TopicPartition,
    piece: Range<i64>,
    ahead: usize,
    deadline: Instant,
    mut each: impl FnMut(RecordView<'_>) -> ControlFlow<()>,
) -> Result<Ended, ReadError> {
    if piece.is_empty() {
        return Ok(Ended::AtEnd);
    }
    let config = ConsumerConfig {
        auto_offset_reset: OffsetReset::Earliest,
        partition_max_bytes: i32::try_from(ahead).unwrap_or(i32::MAX),
        partition_buffer_bytes: ahead,
        ..ConsumerConfig::default()
    };
    let start = StartAt::Offset(piece.start);
    let mut consumers = client.consume(config, [(place.clone(), start)])?;
    let Some(consumer) = consumers.first_mut() else {
        return Ok(Ended::AtEnd);
    };
    // Offsets may be missing at the end, so the position tells when it is reached, and not the last record.
    while consumer.position().is_none_or(|next| next < piece.end) {
        let now = Instant::now();
        if now >= deadline {
            return Ok(Ended::Late);
        }
        let polled = tokio::time::timeout(LOOK.min(deadline - now), consumer.poll(POLL)).await;
        let Ok(records) = polled else {
            continue;
        };
        let Some(records) = records? else {
            return Ok(Ended::Late);
        };
        for record in records.iter().take_while(|it| it.offset < piece.end) {
            if each(record).is_break() {
                return Ok(Ended::Enough);
            }
        }
    }
    Ok(Ended::AtEnd)
}
