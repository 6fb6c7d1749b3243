//! The admin end to end: the same scenarios on the embedded broker and on a real Kafka.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod faults;

use std::time::Duration;

use kafka_broker::{Broker, BrokerConfig};
use kafka_client::{
    Admin, Client, ClientConfig, ClientError, ConfigOp, ConfigResource, Ensured, GroupConfig,
    GroupEvent, NewTopic, OffsetAt, OffsetReset, PerItem, ProducerConfig, ProducerRecord,
    ResponseError, TopicPartition,
};
use uuid::Uuid;

struct Bed {
    client: Client,
    admin: Admin,
    broker: Option<Broker>,
}

impl Bed {
    fn new(servers: &str, broker: Option<Broker>) -> Self {
        let mut config = ClientConfig::new(servers);
        config.request_timeout = Duration::from_secs(20);
        let client = Client::new(config).unwrap();
        Self {
            admin: client.admin(),
            client,
            broker,
        }
    }

    async fn embedded() -> Self {
        let broker = Broker::start(BrokerConfig::default()).await.unwrap();
        let servers = broker.bootstrap_servers();
        Self::new(&servers, Some(broker))
    }

    fn real() -> Self {
        let servers = std::env::var("KAFKA_BOOTSTRAP_SERVERS")
            .expect("KAFKA_BOOTSTRAP_SERVERS names a running Kafka; see deploy/testbed");
        Self::new(&servers, None)
    }

    async fn topic(&self, partitions: i32) -> String {
        let name = name("admin");
        self.admin
            .ensure_topics(&[NewTopic::new(&name, partitions, 1)])
            .await
            .unwrap();
        name
    }

    /// Writes records with the timestamps 1000, 2000, … into partition 0.
    async fn fill(&self, topic: &str, count: i64) {
        let producer = self.client.producer(ProducerConfig::default());
        let records = (1..=count).map(|n| {
            ProducerRecord::new(topic)
                .partition(0)
                .timestamp(n * 1000)
                .value(b"v")
        });
        producer.send_all(records).await.unwrap();
    }
}

fn name(what: &str) -> String {
    format!("{what}-{}", Uuid::new_v4().simple())
}

fn code<T: std::fmt::Debug>(result: &Result<T, ClientError>) -> Option<ResponseError> {
    match result {
        Err(ClientError::Broker { code, .. }) => Some(*code),
        _ => None,
    }
}

fn only<K, T>(mut items: PerItem<K, T>) -> Result<T, ClientError> {
    assert_eq!(items.len(), 1);
    items.remove(0).1
}

macro_rules! on_every_broker {
    ($($scenario:ident)+) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $scenario() {
                crate::$scenario(&crate::Bed::embedded().await).await;
            })+
        }

        mod real {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs KAFKA_BOOTSTRAP_SERVERS: eval \"$(deploy/testbed/up)\" && cargo test -p kafka-client --test admin -- --ignored"]
            async fn $scenario() {
                crate::$scenario(&crate::Bed::real()).await;
            })+
        }
    };
}

on_every_broker! {
    topics_are_made_described_grown_and_deleted
    offsets_are_found_by_place_and_time
    offsets_of_a_group_are_set_reset_and_show_as_lag
    what_comes_where_a_group_has_committed_nothing_is_lag
    groups_are_listed_described_and_deleted
    records_are_deleted
    configurations_are_read_and_altered
    the_cluster_is_described
}

async fn topics_are_made_described_grown_and_deleted(bed: &Bed) {
    let topic = name("admin");
    let new = NewTopic::new(&topic, 2, 1).config("cleanup.policy", "compact");
    let missing = only(bed.admin.describe_topics(&[&topic]).await.unwrap());
    assert_eq!(code(&missing), Some(ResponseError::UnknownTopicOrPartition));
    assert_eq!(
        bed.admin
            .ensure_topics(std::slice::from_ref(&new))
            .await
            .unwrap(),
        [(topic.clone(), Ensured::Created)]
    );
    assert_eq!(
        bed.admin
            .ensure_topics(std::slice::from_ref(&new))
            .await
            .unwrap(),
        [(topic.clone(), Ensured::AlreadyThere)]
    );
    let again = only(bed.admin.create_topics(&[new]).await.unwrap());
    assert_eq!(code(&again), Some(ResponseError::TopicAlreadyExists));

    only(bed.admin.create_partitions(&[(&topic, 5)]).await.unwrap()).unwrap();
    let fewer = only(bed.admin.create_partitions(&[(&topic, 3)]).await.unwrap());
    assert_eq!(code(&fewer), Some(ResponseError::InvalidPartitions));
    // The brokers learn of it one after the other.
    let grown = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let found = only(bed.admin.describe_topics(&[&topic]).await.unwrap()).unwrap();
            if found.partitions.len() == 5 {
                return found;
            }
        }
    })
    .await
    .unwrap();
    assert!(grown.partitions.iter().all(|p| p.leader.is_some()));
    let listed = bed.admin.list_topics().await.unwrap();
    assert!(
        listed
            .iter()
            .any(|t| *t.name == *topic && t.partitions == 5)
    );

    only(bed.admin.delete_topics(&[&topic]).await.unwrap()).unwrap();
    let gone = only(bed.admin.delete_topics(&[&topic]).await.unwrap());
    assert_eq!(code(&gone), Some(ResponseError::UnknownTopicOrPartition));
}

async fn offsets_are_found_by_place_and_time(bed: &Bed) {
    let topic = bed.topic(2).await;
    bed.fill(&topic, 10).await;
    let both = [
        TopicPartition::new(&*topic, 0),
        TopicPartition::new(&*topic, 1),
    ];
    for (at, first, second) in [
        (OffsetAt::Earliest, Some(0), Some(0)),
        (OffsetAt::Latest, Some(10), Some(0)),
        (OffsetAt::Timestamp(3000), Some(2), None),
        (OffsetAt::Timestamp(3001), Some(3), None),
        (OffsetAt::Timestamp(99_000), None, None),
    ] {
        let found = bed.admin.list_offsets(&both, at).await.unwrap();
        let offsets: Vec<_> = found
            .into_iter()
            .map(|(partition, found)| (partition.partition, found.unwrap().offset))
            .collect();
        assert_eq!(offsets, [(0, first), (1, second)], "{at:?}");
    }
    let beyond = TopicPartition::new(&*topic, 7);
    let unknown = only(
        bed.admin
            .list_offsets(&[beyond], OffsetAt::Latest)
            .await
            .unwrap(),
    );
    assert!(matches!(
        unknown,
        Err(ClientError::UnknownPartition { partition: 7, .. })
    ));
}

async fn offsets_of_a_group_are_set_reset_and_show_as_lag(bed: &Bed) {
    let topic = bed.topic(2).await;
    bed.fill(&topic, 10).await;
    let group = name("group");
    assert!(bed.admin.group_offsets(&group).await.unwrap().is_empty());
    assert!(bed.admin.lag(&group).await.unwrap().is_empty());

    let both = [
        TopicPartition::new(&*topic, 0),
        TopicPartition::new(&*topic, 1),
    ];
    let offsets = [(both[0].clone(), 4), (both[1].clone(), 0)];
    for (_, result) in bed
        .admin
        .alter_group_offsets(&group, &offsets)
        .await
        .unwrap()
    {
        result.unwrap();
    }
    let committed = bed.admin.group_offsets(&group).await.unwrap();
    let committed: Vec<_> = committed.values().map(|c| c.offset).collect();
    assert_eq!(committed, [4, 0]);
    let some = bed
        .admin
        .group_offsets_of(&group, &both[..1])
        .await
        .unwrap();
    assert_eq!(some[&both[0]].offset, 4);

    let rows = bed.admin.lag(&group).await.unwrap();
    let rows: Vec<_> = rows
        .iter()
        .map(|r| {
            (
                r.partition,
                r.committed,
                r.log_start,
                r.end,
                r.lag,
                r.member.clone(),
            )
        })
        .collect();
    assert_eq!(
        rows,
        [(0, Some(4), 0, 10, 6, None), (1, Some(0), 0, 0, 0, None)]
    );

    for (to, first) in [
        (OffsetAt::Timestamp(8000), 7),
        (OffsetAt::Timestamp(99_000), 10),
        (OffsetAt::Earliest, 0),
    ] {
        let set = bed
            .admin
            .reset_group_offsets(&group, &both, to)
            .await
            .unwrap();
        let set: Vec<_> = set.into_iter().map(|(_, offset)| offset.unwrap()).collect();
        assert_eq!(set, [first, 0], "{to:?}");
        assert_eq!(
            bed.admin.group_offsets(&group).await.unwrap()[&both[0]].offset,
            first
        );
    }
}

/// A member that committed only where there was something to read, and left.
async fn what_comes_where_a_group_has_committed_nothing_is_lag(bed: &Bed) {
    let topic = bed.topic(2).await;
    bed.fill(&topic, 3).await;
    let group = name("group");
    let mut config = GroupConfig::new(&*group, [&*topic]);
    config.consumer.auto_offset_reset = OffsetReset::Earliest;
    let mut member = bed.client.consumer_group(config).unwrap();
    let mut held = Vec::new();
    while held.len() < 2 {
        let event = tokio::time::timeout(Duration::from_secs(30), member.next()).await;
        match event.expect("is assigned what there is") {
            Some(GroupEvent::Assigned(partition)) => held.push(partition),
            other => panic!("{other:?}"),
        }
    }
    held.sort_by_key(|partition| partition.topic_partition().partition);
    held[0].commit(2).await.unwrap();
    held.clear();
    member.close(Duration::from_secs(10)).await.unwrap();

    let record = ProducerRecord::new(&topic).partition(1).value(b"v");
    let producer = bed.client.producer(ProducerConfig::default());
    producer.send(&record).await.unwrap().await.unwrap();
    let rows = bed.admin.lag(&group).await.unwrap();
    let rows: Vec<_> = rows
        .iter()
        .map(|row| (row.partition, row.committed, row.lag, row.member.clone()))
        .collect();
    assert_eq!(rows, [(0, Some(2), 1, None), (1, None, 1, None)]);
}

async fn groups_are_listed_described_and_deleted(bed: &Bed) {
    let topic = bed.topic(1).await;
    let group = name("group");
    let offsets = [(TopicPartition::new(&*topic, 0), 0)];
    only(
        bed.admin
            .alter_group_offsets(&group, &offsets)
            .await
            .unwrap(),
    )
    .unwrap();
    let listed = bed.admin.list_groups().await.unwrap();
    assert!(listed.iter().any(|g| g.group == group), "{listed:?}");
    let described = only(bed.admin.describe_groups(&[&group]).await).unwrap();
    assert_eq!((&*described.state, described.members.len()), ("Empty", 0));

    let partition = [offsets[0].0.clone()];
    only(
        bed.admin
            .delete_group_offsets(&group, &partition)
            .await
            .unwrap(),
    )
    .unwrap();
    assert!(bed.admin.group_offsets(&group).await.unwrap().is_empty());
    only(
        bed.admin
            .alter_group_offsets(&group, &offsets)
            .await
            .unwrap(),
    )
    .unwrap();

    only(bed.admin.delete_groups(&[&group]).await).unwrap();
    let gone = only(bed.admin.delete_groups(&[&group]).await);
    assert_eq!(code(&gone), Some(ResponseError::GroupIdNotFound));
    assert!(bed.admin.group_offsets(&group).await.unwrap().is_empty());
}

async fn records_are_deleted(bed: &Bed) {
    let topic = bed.topic(1).await;
    bed.fill(&topic, 10).await;
    let partition = TopicPartition::new(&*topic, 0);
    let delete = |before| {
        let partition = partition.clone();
        async move {
            only(
                bed.admin
                    .delete_records(&[(partition, before)])
                    .await
                    .unwrap(),
            )
        }
    };
    assert_eq!(delete(4).await.unwrap(), 4);
    let start = bed
        .admin
        .list_offsets(std::slice::from_ref(&partition), OffsetAt::Earliest)
        .await
        .unwrap();
    assert_eq!(only(start).unwrap().offset, Some(4));
    assert_eq!(delete(-1).await.unwrap(), 10);
    assert_eq!(
        code(&delete(11).await),
        Some(ResponseError::OffsetOutOfRange)
    );
}

async fn configurations_are_read_and_altered(bed: &Bed) {
    let topic = bed.topic(1).await;
    let resource = ConfigResource::Topic(topic);
    let retention = || async {
        let entries = bed.admin.describe_configs(&resource).await.unwrap();
        let found = entries.into_iter().find(|e| e.name == "retention.ms");
        found.unwrap()
    };
    assert!(retention().await.is_default);
    let set = [("retention.ms", ConfigOp::Set("60000".to_owned()))];
    bed.admin.alter_configs(&resource, &set).await.unwrap();
    let altered = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let found = retention().await;
            if !found.is_default {
                return found;
            }
        }
    })
    .await
    .unwrap();
    assert_eq!(altered.value.as_deref(), Some("60000"));
    let wrong = [("retention.ms", ConfigOp::Set("soon".to_owned()))];
    let error = bed.admin.alter_configs(&resource, &wrong).await;
    assert!(error.is_err());
    let nowhere = ConfigResource::Topic(name("admin"));
    let missing = bed.admin.describe_configs(&nowhere).await;
    assert_eq!(code(&missing), Some(ResponseError::UnknownTopicOrPartition));
}

async fn the_cluster_is_described(bed: &Bed) {
    let cluster = bed.admin.describe_cluster().await.unwrap();
    assert!(!cluster.cluster_id.is_empty());
    assert!(!cluster.brokers.is_empty());
    assert!(cluster.brokers.iter().all(|b| b.port > 0));
}
