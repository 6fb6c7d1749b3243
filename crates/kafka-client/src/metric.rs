//! What is measured, through the [`metrics`] facade: whoever wants to see it installs a recorder of his choice, before he makes
//! the client, since counters of records keep the recorder that there was when their partition came.
//!
//! | name | kind | labels | what |
//! |---|---|---|---|
//! | [`REQUEST_DURATION`] | histogram, seconds | `api`, `broker` | from a request's call to its answer or failure, a throttle that it waits for included |
//! | [`REQUEST_ERRORS`] | counter | `api`, `broker` | requests that got no answer, also for not being sent: throttled for too long, or no version in common |
//! | [`CONNECTIONS`] | counter | `broker` | connections opened |
//! | [`THROTTLE`] | histogram, seconds | `api` | how long a broker asked to be spared (KIP-219), any of its answers |
//! | [`PRODUCED_RECORDS`], [`PRODUCED_BYTES`] | counter | `topic` | acknowledged; bytes as on the wire, compressed |
//! | [`PRODUCED_BATCH_BYTES`], [`PRODUCED_BATCH_RECORDS`] | histogram | `topic` | size of an acknowledged batch |
//! | [`PRODUCE_RETRIES`] | counter | `topic` | batches that have to be sent again |
//! | [`CONSUMED_RECORDS`] | counter | `topic`, `partition` | handed out by `poll` |
//! | [`FETCHED_BYTES`] | counter | `topic`, `partition` | received, as on the wire, compressed |
//! | [`LAG`] | gauge | `client_id`, `group`, `topic`, `partition` | max(end − max(position, log start), 0) of a partition that is held; 0 once it is not |
//! | [`COMMIT_DURATION`] | histogram, seconds | `group` | from a commit's request to its answer |
//! | [`REBALANCES`] | counter | `group` | generations that this member came to be in |
//! | [`ASSIGNED`] | gauge | `client_id`, `group` | partitions held |
//! | [`STALLS`] | counter | `topic`, `partition` | partitions that did not move and were started anew |
//!
//! What several clients of a process count in the same series adds up. Gauges do not, so those have the client's id, by which the
//! members of a group are told apart: clients that may be in one group should have different ones.

use std::sync::Arc;

use kafka_wire::batch::BatchHeader;
pub use kafka_wire::metric::{CONNECTIONS, REQUEST_DURATION, REQUEST_ERRORS, THROTTLE};
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

use crate::topic_partition::TopicPartition;

/// See the [table](self).
pub const PRODUCED_RECORDS: &str = "kafka_producer_records_total";
/// See the [table](self).
pub const PRODUCED_BYTES: &str = "kafka_producer_bytes_total";
/// See the [table](self).
pub const PRODUCED_BATCH_BYTES: &str = "kafka_producer_batch_bytes";
/// See the [table](self).
pub const PRODUCED_BATCH_RECORDS: &str = "kafka_producer_batch_records";
/// See the [table](self).
pub const PRODUCE_RETRIES: &str = "kafka_producer_retries_total";
/// See the [table](self).
pub const CONSUMED_RECORDS: &str = "kafka_consumer_records_total";
/// See the [table](self).
pub const FETCHED_BYTES: &str = "kafka_consumer_fetched_bytes_total";
/// See the [table](self).
pub const LAG: &str = "kafka_consumer_lag";
/// See the [table](self).
pub const COMMIT_DURATION: &str = "kafka_consumer_commit_duration_seconds";
/// See the [table](self).
pub const REBALANCES: &str = "kafka_consumer_rebalances_total";
/// See the [table](self).
pub const ASSIGNED: &str = "kafka_consumer_assigned_partitions";
/// See the [table](self).
pub const STALLS: &str = "kafka_consumer_stalls_total";

/// Tells the recorder that is installed what each of these is, for those that show it.
pub fn describe() {
    describe_histogram!(
        REQUEST_DURATION,
        Unit::Seconds,
        "from a request's call to its answer or failure, with its wait for a throttle"
    );
    describe_counter!(
        REQUEST_ERRORS,
        "requests that got no answer, or were not sent"
    );
    describe_counter!(CONNECTIONS, "connections opened");
    describe_histogram!(
        THROTTLE,
        Unit::Seconds,
        "how long a broker asked to be spared"
    );
    describe_counter!(PRODUCED_RECORDS, "records acknowledged");
    describe_counter!(
        PRODUCED_BYTES,
        Unit::Bytes,
        "bytes of acknowledged batches, compressed"
    );
    describe_histogram!(
        PRODUCED_BATCH_BYTES,
        Unit::Bytes,
        "size of an acknowledged batch"
    );
    describe_histogram!(PRODUCED_BATCH_RECORDS, "records of an acknowledged batch");
    describe_counter!(PRODUCE_RETRIES, "batches that have to be sent again");
    describe_counter!(CONSUMED_RECORDS, "records handed out by poll");
    describe_counter!(FETCHED_BYTES, Unit::Bytes, "bytes fetched, compressed");
    describe_gauge!(
        LAG,
        "offsets between the position and the end of a partition that is held"
    );
    describe_histogram!(
        COMMIT_DURATION,
        Unit::Seconds,
        "from a commit's request to its answer"
    );
    describe_counter!(REBALANCES, "generations that this member came to be in");
    describe_gauge!(ASSIGNED, "partitions held");
    describe_counter!(STALLS, "partitions that did not move and were started anew");
}

/// Notes an acknowledged batch.
pub(crate) fn produced(topic: &Arc<str>, batch: &[u8]) {
    let topic = || Arc::clone(topic);
    let records = BatchHeader::read(batch).map_or(0, |header| header.record_count.unsigned_abs());
    let bytes = batch.len();
    metrics::counter!(PRODUCED_RECORDS, "topic" => topic()).increment(u64::from(records));
    metrics::counter!(PRODUCED_BYTES, "topic" => topic()).increment(bytes as u64);
    metrics::histogram!(PRODUCED_BATCH_RECORDS, "topic" => topic()).record(records);
    metrics::histogram!(PRODUCED_BATCH_BYTES, "topic" => topic()).record(bytes as f64);
}

/// Notes a batch that has to be sent again.
pub(crate) fn produce_again(topic: &Arc<str>) {
    metrics::counter!(PRODUCE_RETRIES, "topic" => Arc::clone(topic)).increment(1);
}

/// Notes how many partitions a member holds.
pub(crate) fn assigned(client_id: &Arc<str>, group: &Arc<str>, partitions: usize) {
    let (client_id, group) = (Arc::clone(client_id), Arc::clone(group));
    metrics::gauge!(ASSIGNED, "client_id" => client_id, "group" => group).set(partitions as f64);
}

/// What is measured of one partition that is read. The handles are kept: they are used once a poll, which may be once a record.
#[derive(Debug)]
pub(crate) struct PartitionMeters {
    pub(crate) records: metrics::Counter,
    pub(crate) fetched_bytes: metrics::Counter,
    pub(crate) stalls: metrics::Counter,
    lag: metrics::Gauge,
}

impl PartitionMeters {
    pub(crate) fn new(id: &TopicPartition, client_id: &Arc<str>, group: Option<&Arc<str>>) -> Self {
        let topic = || Arc::clone(&id.topic);
        let partition = || id.partition.to_string();
        let group: Arc<str> = group.map_or_else(|| Arc::from(""), Arc::clone);
        Self {
            records: metrics::counter!(CONSUMED_RECORDS, "topic" => topic(), "partition" => partition()),
            fetched_bytes: metrics::counter!(FETCHED_BYTES, "topic" => topic(), "partition" => partition()),
            stalls: metrics::counter!(STALLS, "topic" => topic(), "partition" => partition()),
            lag: metrics::gauge!(LAG, "client_id" => Arc::clone(client_id), "group" => group, "topic" => topic(), "partition" => partition()),
        }
    }

    /// Unknown before the first fetch, and then not told.
    pub(crate) fn lag(&self, lag: Option<i64>) {
        if let Some(lag) = lag {
            self.lag.set(lag as f64);
        }
    }
}
