//! What the tests say often.

use bytes::Bytes;
use kafka_broker::{ApiKey, Broker, BrokerConfig};
use kafka_wire::batch::{BatchBuilder, batches};
use kafka_wire::compression::Compression;
use kafka_wire::messages as m;
use kafka_wire::{ConnectOptions, Connection, StrBytes};

pub(crate) async fn start() -> Broker {
    start_with(BrokerConfig::default()).await
}

pub(crate) async fn start_with(config: BrokerConfig) -> Broker {
    Broker::start(config).await.expect("the broker starts")
}

pub(crate) async fn connect(broker: &Broker) -> Connection {
    connect_to(broker, 1).await
}

pub(crate) async fn connect_to(broker: &Broker, node: i32) -> Connection {
    let address = broker.addr(node).expect("the node is there").to_string();
    Connection::open(&address, &ConnectOptions::default())
        .await
        .expect("the node accepts connections")
}

pub(crate) fn s(string: &str) -> StrBytes {
    StrBytes::from_string(string.to_owned())
}

pub(crate) fn topic(name: &str) -> m::TopicName {
    m::TopicName(s(name))
}

pub(crate) fn group(name: &str) -> m::GroupId {
    m::GroupId(s(name))
}

/// A batch of records with these values and the timestamps 1000, 1001, …
pub(crate) fn batch(values: &[&str]) -> Bytes {
    stamped_batch(values, -1, -1, -1)
}

/// A batch of an idempotent producer.
pub(crate) fn stamped_batch(values: &[&str], producer_id: i64, epoch: i16, sequence: i32) -> Bytes {
    let mut builder = BatchBuilder::with_capacity(1024);
    for (timestamp, value) in (1000..).zip(values) {
        builder.append(timestamp, None, Some(value.as_bytes()), &[]);
    }
    let mut sealed = builder.seal(Compression::None).expect("no codec");
    sealed.stamp(producer_id, epoch, sequence);
    sealed.into_bytes()
}

pub(crate) fn produce_request(
    name: &str,
    partition: i32,
    records: Option<Bytes>,
) -> m::ProduceRequest {
    use m::produce_request::{PartitionProduceData, TopicProduceData};
    let data = PartitionProduceData::default()
        .with_index(partition)
        .with_records(records);
    m::ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(1000)
        .with_topic_data(vec![
            TopicProduceData::default()
                .with_name(topic(name))
                .with_partition_data(vec![data]),
        ])
}

/// Error code and base offset.
pub(crate) async fn produce(
    connection: &Connection,
    name: &str,
    partition: i32,
    records: Bytes,
) -> (i16, i64) {
    let response = connection
        .request(produce_request(name, partition, Some(records)))
        .await
        .expect("produce is answered");
    let answer = &response.responses[0].partition_responses[0];
    (answer.error_code, answer.base_offset)
}

pub(crate) fn fetch_request(name: &str, partition: i32, offset: i64) -> m::FetchRequest {
    use m::fetch_request::{FetchPartition, FetchTopic};
    let wanted = FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1024 * 1024);
    m::FetchRequest::default()
        .with_replica_id(m::BrokerId(-1))
        .with_min_bytes(1)
        .with_max_bytes(10 * 1024 * 1024)
        .with_topics(vec![
            FetchTopic::default()
                .with_topic(topic(name))
                .with_partitions(vec![wanted]),
        ])
}

/// The only partition of a fetch's answer.
pub(crate) fn fetched(response: &m::FetchResponse) -> &m::fetch_response::PartitionData {
    &response.responses[0].partitions[0]
}

/// Offset and value of every record.
pub(crate) fn records(bytes: &Bytes) -> Vec<(i64, String)> {
    let mut all = Vec::new();
    for batch in batches(bytes.clone()) {
        let batch = batch.expect("whole batches").open(1 << 20).expect("sound");
        for record in batch.records() {
            let record = record.expect("sound");
            let value = record.value.expect("a value");
            all.push((record.offset, String::from_utf8_lossy(value).into_owned()));
        }
    }
    all
}

/// Returns once this many requests of an API have come in.
pub(crate) async fn wait_for_requests(broker: &Broker, api: ApiKey, requests: u64) {
    while broker.inspect().requests(api) < requests {
        tokio::task::yield_now().await;
    }
}
