//! What an operator sees through the `metrics` facade.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_broker::{ApiKey, Broker, BrokerConfig, Fault, FaultAction};
use kafka_client::{
    Client, ClientConfig, GroupConfig, GroupEvent, GroupPhase, GroupStatus, NewTopic, OffsetReset,
    ProducerConfig, ProducerRecord, metric,
};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Name and labels, as an operator writes them: `name{label=value,…}`.
type Seen = BTreeMap<String, DebugValue>;

fn seen(snapshotter: &Snapshotter) -> Seen {
    snapshotter
        .snapshot()
        .into_vec()
        .into_iter()
        .map(|(key, _, _, value)| {
            let (_, key) = key.into_parts();
            let labels: Vec<String> = key
                .labels()
                .filter(|label| label.key() != "broker")
                .map(|label| format!("{}={}", label.key(), label.value()))
                .collect();
            (format!("{}{{{}}}", key.name(), labels.join(",")), value)
        })
        .collect()
}

fn count(seen: &Seen, name: &str) -> u64 {
    match seen.get(name) {
        Some(DebugValue::Counter(count)) => *count,
        other => panic!("{name}: {other:?}; there are {:#?}", seen.keys()),
    }
}

fn gauge(seen: &Seen, name: &str) -> f64 {
    match seen.get(name) {
        Some(DebugValue::Gauge(value)) => value.0,
        other => panic!("{name}: {other:?}; there are {:#?}", seen.keys()),
    }
}

fn values(seen: &Seen, name: &str) -> Vec<f64> {
    match seen.get(name) {
        Some(DebugValue::Histogram(values)) => values.iter().map(|value| value.0).collect(),
        other => panic!("{name}: {other:?}; there are {:#?}", seen.keys()),
    }
}

fn client_of(broker: &Broker, id: &str) -> Client {
    let config = ClientConfig::new(&broker.bootstrap_servers());
    let client_id = Arc::from(id);
    Client::new(ClientConfig {
        client_id,
        ..config
    })
    .unwrap()
}

// One test: a process has one recorder.
#[tokio::test]
async fn records_requests_commits_and_lag_are_measured() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().unwrap();
    metric::describe();
    let broker = Broker::start(BrokerConfig::default()).await.unwrap();
    let client = client_of(&broker, "first");
    let admin = client.admin();
    admin
        .ensure_topics(&[NewTopic::new("measured", 1, -1)])
        .await
        .unwrap();

    let throttle = Fault::new(FaultAction::Throttle(Duration::from_millis(1)));
    broker
        .faults()
        .inject(throttle.on(ApiKey::Produce).times(1));
    let producer = client.producer(ProducerConfig::default());
    let records = (0..10).map(|_| ProducerRecord::new("measured").value(b"0123456789"));
    producer.send_all(records).await.unwrap();

    let mut config = GroupConfig::new("measurers", ["measured"]);
    config.consumer.auto_offset_reset = OffsetReset::Earliest;
    let mut group = client.consumer_group(config.clone()).unwrap();
    let Some(GroupEvent::Assigned(mut partition)) = group.next().await else {
        panic!("no partition");
    };
    let mut read = 0;
    while read < 7 {
        read += partition.poll(7 - read).await.unwrap().unwrap().len();
    }
    partition.commit(7).await.unwrap();

    let before = seen(&snapshotter);
    assert_eq!(
        count(&before, "kafka_producer_records_total{topic=measured}"),
        10
    );
    assert!(count(&before, "kafka_producer_bytes_total{topic=measured}") > 100);
    let batches = values(&before, "kafka_producer_batch_records{topic=measured}");
    assert_eq!(batches.iter().sum::<f64>(), 10.0);
    assert_eq!(
        values(&before, "kafka_throttle_seconds{api=Produce}"),
        [0.001]
    );
    assert_eq!(
        count(
            &before,
            "kafka_consumer_records_total{topic=measured,partition=0}"
        ),
        7
    );
    assert!(
        count(
            &before,
            "kafka_consumer_fetched_bytes_total{topic=measured,partition=0}"
        ) > 100
    );
    assert_eq!(
        gauge(
            &before,
            "kafka_consumer_lag{client_id=first,group=measurers,topic=measured,partition=0}"
        ),
        3.0
    );
    assert_eq!(
        values(
            &before,
            "kafka_consumer_commit_duration_seconds{group=measurers}"
        )
        .len(),
        1
    );
    assert_eq!(
        count(&before, "kafka_consumer_rebalances_total{group=measurers}"),
        1
    );
    assert_eq!(
        gauge(
            &before,
            "kafka_consumer_assigned_partitions{client_id=first,group=measurers}"
        ),
        1.0
    );
    assert_eq!(
        values(&before, "kafka_request_duration_seconds{api=JoinGroup}").len(),
        2
    );
    assert!(!values(&before, "kafka_request_duration_seconds{api=Produce}").is_empty());

    // Of two members in one process each tells what it holds, and not what the other one does.
    drop(partition);
    let other = client_of(&broker, "second").consumer_group(config).unwrap();
    for member in [&group, &other] {
        let mut status = member.handle().watch();
        let together = |s: &GroupStatus| s.phase == GroupPhase::Stable && s.generation >= Some(2);
        let reached = tokio::time::timeout(PATIENCE, status.wait_for(together)).await;
        reached.unwrap().unwrap();
    }
    let both = seen(&snapshotter);
    let held = |client: &str| {
        let labels = format!("{{client_id={client},group=measurers}}");
        gauge(
            &both,
            &format!("kafka_consumer_assigned_partitions{labels}"),
        )
    };
    assert_eq!(held("first") + held("second"), 1.0);

    other.close(PATIENCE).await.unwrap();
    group.close(PATIENCE).await.unwrap();
    let after = seen(&snapshotter);
    assert_eq!(
        gauge(
            &after,
            "kafka_consumer_lag{client_id=first,group=measurers,topic=measured,partition=0}"
        ),
        0.0
    );
    assert_eq!(
        gauge(
            &after,
            "kafka_consumer_assigned_partitions{client_id=first,group=measurers}"
        ),
        0.0
    );
}
