//! What is sent.

/// A record to be sent; everything in it is borrowed and encoded at once.
///
/// ```
/// # use kafka_client::ProducerRecord;
/// let record = ProducerRecord::new("order_placed").key(b"order-1").value(b"{}");
/// # assert_eq!(record.topic, "order_placed");
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct ProducerRecord<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition; `None` leaves the choice to the key (murmur2, as in Java) or, without a key, to the producer, which
    /// fills a batch for one partition before it takes another (KIP-480).
    pub partition: Option<i32>,
    /// The key, which may be null.
    pub key: Option<&'a [u8]>,
    /// The value; null is a tombstone in a compacted topic.
    pub value: Option<&'a [u8]>,
    /// Headers, in order. Names may repeat, values may be null.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
    /// Milliseconds since 1970; `None` is now.
    pub timestamp: Option<i64>,
}

impl<'a> ProducerRecord<'a> {
    /// An empty record for this topic.
    pub fn new(topic: &'a str) -> Self {
        Self {
            topic,
            ..Self::default()
        }
    }

    /// With this key.
    #[must_use]
    pub fn key(mut self, key: &'a [u8]) -> Self {
        self.key = Some(key);
        self
    }

    /// With this value.
    #[must_use]
    pub fn value(mut self, value: &'a [u8]) -> Self {
        self.value = Some(value);
        self
    }

    /// With these headers.
    #[must_use]
    pub fn headers(mut self, headers: &'a [(&'a str, Option<&'a [u8]>)]) -> Self {
        self.headers = headers;
        self
    }

    /// For this partition.
    #[must_use]
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// With this timestamp, in milliseconds since 1970.
    #[must_use]
    pub fn timestamp(mut self, timestamp: i64) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    pub(crate) fn without_topic(&self) -> TopicRecord<'a> {
        TopicRecord {
            partition: self.partition,
            key: self.key,
            value: self.value,
            headers: self.headers,
            timestamp: self.timestamp,
        }
    }
}

/// A record for a topic that is known already: see [`TopicProducer`](super::TopicProducer). The fields are those of [`ProducerRecord`].
#[derive(Debug, Clone, Copy, Default)]
pub struct TopicRecord<'a> {
    /// The partition, or the key's or producer's choice.
    pub partition: Option<i32>,
    /// The key, which may be null.
    pub key: Option<&'a [u8]>,
    /// The value, which may be null.
    pub value: Option<&'a [u8]>,
    /// Headers, in order.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
    /// Milliseconds since 1970; `None` is now.
    pub timestamp: Option<i64>,
}

/// Length, attributes, timestamp and offset deltas, and the lengths of key, value and headers take at most this.
const OVERHEAD: usize = 5 + 1 + 10 + 5 + 5 + 5 + 5;

impl TopicRecord<'_> {
    /// At least the bytes that the record adds to a batch.
    pub(crate) fn size_bound(&self) -> usize {
        let body = self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len);
        let headers: usize = self
            .headers
            .iter()
            .map(|(key, value)| 10 + key.len() + value.map_or(0, <[u8]>::len))
            .sum();
        OVERHEAD + body + headers
    }
}
