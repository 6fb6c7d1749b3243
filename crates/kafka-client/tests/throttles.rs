//! A broker that throttles a client (KIP-219), with any of its answers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use kafka_broker::{ApiKey, Broker, BrokerConfig, Fault, FaultAction};
use kafka_client::{
    Client, ClientConfig, ConfigOp, ConfigResource, GroupConfig, GroupEvent, NewTopic, OffsetAt,
    OffsetReset, PartitionConsumer, ProducerConfig, ProducerRecord, TopicPartition, metric,
};
use kafka_wire::api;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

const TOPIC: &str = "throttled";
const GROUP: &str = "throttled";
const THROTTLE: Duration = Duration::from_millis(4);

async fn nodes(nodes: usize) -> Broker {
    let config = BrokerConfig {
        listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); nodes],
        ..BrokerConfig::default()
    };
    Broker::start(config).await.unwrap()
}

fn client(broker: &Broker) -> Client {
    Client::new(ClientConfig::new(&broker.bootstrap_servers())).unwrap()
}

fn first() -> TopicPartition {
    TopicPartition::new(TOPIC, 0)
}

/// The throttles that were noted, in seconds, by API.
fn noted(snapshotter: &Snapshotter) -> BTreeMap<String, Vec<f64>> {
    let snapshot = snapshotter.snapshot().into_vec().into_iter();
    let of_throttle = snapshot.filter(|(key, ..)| key.key().name() == metric::THROTTLE);
    of_throttle
        .map(|(key, _, _, value)| {
            let api = key.key().labels().find(|label| label.key() == "api");
            let DebugValue::Histogram(values) = value else {
                panic!("{value:?}");
            };
            let values = values.iter().map(|value| value.0).collect();
            (api.unwrap().value().to_owned(), values)
        })
        .collect()
}

#[tokio::test]
async fn every_answer_with_a_throttle_is_noted_and_everything_goes_on() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().unwrap();
    let broker = nodes(2).await;
    broker
        .faults()
        .inject(Fault::new(FaultAction::Throttle(THROTTLE)));
    let client = client(&broker);

    administrate_before(&client).await;
    let producer = client.producer(ProducerConfig::default());
    produce(&client, 0..10).await;
    consume(&broker, &client).await;
    producer.close(Duration::from_secs(10)).await.unwrap();
    administrate_after(&client).await;

    let noted = noted(&snapshotter);
    let sasl = [ApiKey::SaslHandshake, ApiKey::SaslAuthenticate].map(|key| key as i16);
    let apis = api::TABLE.iter().filter(|row| !sasl.contains(&row.key));
    for name in apis.map(|row| row.name).chain(["ApiVersions"]) {
        let values = noted.get(name).map(Vec::as_slice).unwrap_or_default();
        let noted = values.contains(&THROTTLE.as_secs_f64());
        assert!(noted, "{name}: {values:?}");
    }
}

async fn administrate_before(client: &Client) {
    let admin = client.admin();
    admin
        .ensure_topics(&[NewTopic::new(TOPIC, 1, 2)])
        .await
        .unwrap();
    admin.create_partitions(&[(TOPIC, 2)]).await.unwrap();
    admin.describe_cluster().await.unwrap();
    let resource = ConfigResource::Topic(TOPIC.to_owned());
    admin.describe_configs(&resource).await.unwrap();
    let change = ("retention.ms", ConfigOp::Set("1000000".to_owned()));
    admin.alter_configs(&resource, &[change]).await.unwrap();
}

async fn produce(client: &Client, values: std::ops::Range<u8>) {
    let producer = client.producer(ProducerConfig::default());
    for value in values {
        let value = [value];
        let record = ProducerRecord::new(TOPIC).partition(0).value(&value);
        producer.send(&record).await.unwrap().await.unwrap();
    }
}

/// Reads in a group over a change of the leader, commits, stays for some heartbeats, and leaves.
async fn consume(broker: &Broker, client: &Client) {
    let mut config = GroupConfig::new(GROUP, [TOPIC]);
    config.consumer.auto_offset_reset = OffsetReset::Earliest;
    config.heartbeat_interval = Duration::from_millis(20);
    let mut group = client.consumer_group(config).unwrap();
    let mut held = Vec::new();
    while held.len() < 2 {
        let Some(GroupEvent::Assigned(partition)) = group.next().await else {
            panic!("there are two partitions");
        };
        held.push(partition);
    }
    held.sort_by_key(PartitionConsumer::partition);
    read(&mut held[0], 10).await;
    for node in [1, 2] {
        broker.move_leader(TOPIC, 0, node).unwrap();
    }
    produce(client, 10..20).await;
    read(&mut held[0], 10).await;
    held[0].commit(20).await.unwrap();
    let inspect = broker.inspect();
    let heartbeats = || inspect.requests(ApiKey::Heartbeat);
    let before = heartbeats();
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    while heartbeats() < before + 3 {
        ticks.tick().await;
    }
    drop(held);
    group.close(Duration::from_secs(10)).await.unwrap();
}

async fn read(partition: &mut PartitionConsumer, mut records: usize) {
    while records > 0 {
        records -= partition.poll(records).await.unwrap().unwrap().len();
    }
}

async fn administrate_after(client: &Client) {
    let admin = client.admin();
    admin
        .list_offsets(&[first()], OffsetAt::Latest)
        .await
        .unwrap();
    admin.list_groups().await.unwrap();
    admin.describe_groups(&[GROUP]).await;
    admin.group_offsets(GROUP).await.unwrap();
    admin.delete_group_offsets(GROUP, &[first()]).await.unwrap();
    admin.delete_groups(&[GROUP]).await;
    admin.delete_records(&[(first(), 3)]).await.unwrap();
    admin.delete_topics(&[TOPIC]).await.unwrap();
}

#[tokio::test]
async fn nothing_is_asked_of_a_broker_that_wants_to_be_spared() {
    let broker = nodes(1).await;
    let admin = client(&broker).admin();
    let throttle = Duration::from_millis(150);
    for key in [ApiKey::DescribeCluster, ApiKey::ListGroups] {
        let fault = Fault::new(FaultAction::Throttle(throttle)).on(key).times(1);
        broker.faults().inject(fault);
    }
    let began = Instant::now();
    // Each of these but the last has the next one wait.
    admin.describe_cluster().await.unwrap();
    admin.list_groups().await.unwrap();
    admin.list_groups().await.unwrap();
    assert!(began.elapsed() >= throttle * 2, "{:?}", began.elapsed());
}
