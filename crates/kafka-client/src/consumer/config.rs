//! What a consumer is told about reading.

use std::sync::Arc;
use std::time::Duration;

use crate::error::ClientError;

/// Where to start when there is no committed offset, or when it is outside of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OffsetReset {
    /// At the oldest record that there is.
    Earliest,
    /// Behind the newest record.
    #[default]
    Latest,
    /// At the first record of the last so long, by its timestamp and this process's clock; behind the newest record where
    /// there is none (KIP-1106).
    ByDuration(Duration),
    /// At the first record that has this timestamp or a later one, in milliseconds since 1970; behind the newest record where
    /// there is none. Must not be negative.
    Timestamp(i64),
    /// Nowhere: polling the partition fails with [`ConsumerError::NoOffset`](crate::ConsumerError::NoOffset) until
    /// somebody seeks.
    Error,
}

/// Which records of transactions are seen (KIP-98).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IsolationLevel {
    /// All of them, also those of transactions that were aborted or are still open.
    #[default]
    ReadUncommitted,
    /// Those of committed transactions, and none behind the first that is still open.
    ReadCommitted,
}

impl IsolationLevel {
    pub(crate) fn code(self) -> i8 {
        match self {
            Self::ReadUncommitted => 0,
            Self::ReadCommitted => 1,
        }
    }
}

/// How records are fetched and how many of them wait in memory.
#[derive(Debug, Clone)]
pub struct ConsumerConfig {
    /// Where to start without a committed offset. Default: [`OffsetReset::Latest`], as in Kafka's clients.
    pub auto_offset_reset: OffsetReset,
    /// Default: [`IsolationLevel::ReadUncommitted`], as in Kafka's clients.
    pub isolation_level: IsolationLevel,
    /// A broker answers a fetch once it has this many bytes. Default: 1, so a record is handed out as soon as it is there.
    pub fetch_min_bytes: i32,
    /// A broker answers a fetch after this even with nothing. Default: 500 ms.
    pub fetch_max_wait: Duration,
    /// The most bytes of one answer, over all its partitions; a first batch that is larger still comes whole (KIP-74).
    /// Default: 50 MiB.
    pub fetch_max_bytes: i32,
    /// The most bytes of one partition in one answer; a first batch that is larger still comes whole (KIP-74).
    /// Default: 1 MiB.
    pub partition_max_bytes: i32,
    /// A partition with this many bytes waiting in memory is not fetched until some are polled, so it holds less than this
    /// and two answers more: the one that came last and the one that is being polled. Default: 2 MiB.
    pub partition_buffer_bytes: usize,
    /// A partition that does not move for so long, although it should, is logged, counted
    /// ([`STALLS`](crate::metric::STALLS)) and fetched anew on new connections. At least twice
    /// [`fetch_max_wait`](Self::fetch_max_wait) passes before that. Default: 60 s.
    pub stall_timeout: Duration,
    /// Where this client stands: brokers may name a replica of the same rack to fetch from (KIP-392). Default: none.
    pub client_rack: Option<Arc<str>>,
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            auto_offset_reset: OffsetReset::default(),
            isolation_level: IsolationLevel::default(),
            fetch_min_bytes: 1,
            fetch_max_wait: Duration::from_millis(500),
            fetch_max_bytes: 50 * 1024 * 1024,
            partition_max_bytes: 1024 * 1024,
            partition_buffer_bytes: 2 * 1024 * 1024,
            stall_timeout: Duration::from_secs(60),
            client_rack: None,
        }
    }
}

impl ConsumerConfig {
    pub(crate) fn check(&self) -> Result<(), ClientError> {
        let wrong = |what: &str| Err(ClientError::Config(what.to_owned()));
        if matches!(self.auto_offset_reset, OffsetReset::Timestamp(time) if time < 0) {
            return wrong("the timestamp of auto_offset_reset is negative");
        }
        if self.fetch_min_bytes < 0 {
            return wrong("fetch_min_bytes is negative");
        }
        if self.fetch_max_bytes < 1 || self.partition_max_bytes < 1 {
            return wrong("fetch_max_bytes and partition_max_bytes must be at least 1");
        }
        if self.partition_buffer_bytes < 1 {
            return wrong("partition_buffer_bytes must be at least 1");
        }
        if self.fetch_max_wait > Duration::from_secs(300) {
            return wrong("fetch_max_wait is over 5 minutes");
        }
        Ok(())
    }
}
