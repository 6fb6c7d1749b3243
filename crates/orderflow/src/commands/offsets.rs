//! `orderflow offsets`: how far groups are, and how far they are behind.

use std::collections::{BTreeMap, BTreeSet};

use contracts::names;
use kafka_client::{Admin, ClientError, LagRow, TopicPartition};

use super::init_log;
use super::kafka::{client, known_groups, must_be_known, table};
use super::output::{say, show};
use crate::cli::Kafka;
use crate::shop::ShopError;

/// The topics that each service has reactions to.
const READ: [(&str, &[&str]); 5] = [
    (
        names::ORDER_SERVICE,
        &[
            names::PAYMENT_PROCESSED,
            names::INVENTORY_UPDATED,
            names::SHIPMENT_PROCESSED,
        ],
    ),
    (
        names::PAYMENT_SERVICE,
        &[names::ORDER_PLACED, names::INVENTORY_UPDATED],
    ),
    (
        names::INVENTORY_SERVICE,
        &[names::PAYMENT_PROCESSED, names::SHIPMENT_PROCESSED],
    ),
    (
        names::SHIPMENT_SERVICE,
        &[names::ORDER_CANCELLED, names::INVENTORY_UPDATED],
    ),
    (
        names::NOTIFICATION_SERVICE,
        &[names::PAYMENT_PROCESSED, names::SHIPMENT_PROCESSED],
    ),
];

pub(super) async fn run(kafka: &Kafka, group: Option<&str>) -> Result<(), ShopError> {
    init_log("warn")?;
    let admin = client(kafka)?.admin();
    let groups = match group {
        Some(group) => BTreeSet::from([group.to_owned()]),
        None => known_groups(&admin).await?,
    };
    let mut lines = Vec::new();
    for group in groups {
        let rows = rows(&admin, &group).await?;
        lines.extend(rows.into_iter().map(|row| line(&group, row)));
    }
    if lines.is_empty() {
        if let Some(group) = group {
            must_be_known(&admin, group).await?;
        }
        say!("no group has partitions or committed offsets");
        return Ok(());
    }
    let head = [
        "GROUP",
        "TOPIC",
        "PARTITION",
        "COMMITTED",
        "END",
        "LAG",
        "MEMBER",
    ];
    show!("{}", table(head, &lines));
    Ok(())
}

fn line(group: &str, row: LagRow) -> [String; 7] {
    let committed = row.committed.map(|offset| offset.to_string());
    let none = || "-".to_owned();
    [
        group.to_owned(),
        row.topic.to_string(),
        row.partition.to_string(),
        committed.unwrap_or_else(none),
        row.end.to_string(),
        row.lag.to_string(),
        row.member.unwrap_or_else(none),
    ]
}

/// A group's partitions, by topic and partition: those that it has read or has yet to read; and, of what its service reads, the others where
/// something waits for it: nothing says of a group that never had members that it reads whole topics. Of a service that has committed
/// nothing at all and does not run it is all that it will read.
async fn rows(admin: &Admin, group: &str) -> Result<Vec<LagRow>, ClientError> {
    let mut rows: BTreeMap<TopicPartition, LagRow> = BTreeMap::new();
    let key = |row: &LagRow| TopicPartition::new(&*row.topic, row.partition);
    for row in admin.lag(group).await? {
        rows.insert(key(&row), row);
    }
    let is_new = rows.is_empty();
    let waiting = untouched(admin, group, &rows).await?;
    for row in waiting.into_iter().filter(|row| is_new || row.lag > 0) {
        rows.insert(key(&row), row);
    }
    Ok(rows.into_values().collect())
}

/// What the group's service reads, without those partitions that are known already.
async fn untouched(
    admin: &Admin,
    group: &str,
    known: &BTreeMap<TopicPartition, LagRow>,
) -> Result<Vec<LagRow>, ClientError> {
    let Some((_, topics)) = READ.iter().find(|(service, _)| *service == group) else {
        return Ok(Vec::new());
    };
    let there = admin.list_topics().await?;
    let read = there.iter().filter(|topic| topics.contains(&&*topic.name));
    let partitions: Vec<TopicPartition> = read
        .flat_map(|topic| {
            let partitions = 0..i32::try_from(topic.partitions).unwrap_or(i32::MAX);
            partitions.map(|partition| TopicPartition::new(&*topic.name, partition))
        })
        .filter(|partition| !known.contains_key(partition))
        .collect();
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    admin.lag_uncommitted(&partitions).await
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use kafka_broker::{Broker, BrokerConfig};
    use kafka_client::{Client, ClientConfig, ProducerConfig, ProducerRecord};

    use super::*;

    #[test]
    fn each_service_reads_what_it_has_reactions_to() {
        for (service, topics) in READ {
            let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
            let reactions = crates.join(service).join("src/reactions");
            let files = std::fs::read_dir(&reactions).unwrap();
            let names = files.map(|file| {
                let path = file.unwrap().path();
                path.file_stem().unwrap().to_str().unwrap().to_owned()
            });
            let names: BTreeSet<String> = names.collect();
            let topics: BTreeSet<String> = topics.iter().map(|&it| it.to_owned()).collect();
            assert_eq!(names, topics, "{service}");
        }
    }

    #[tokio::test]
    async fn what_waits_for_a_service_that_never_ran_is_shown() {
        let broker = Broker::start(BrokerConfig::default()).await.unwrap();
        for topic in names::TOPICS {
            broker.create_topic(topic, 2).unwrap();
        }
        let client = Client::new(ClientConfig::new(&broker.bootstrap_servers())).unwrap();
        let admin = client.admin();
        let producer = client.producer(ProducerConfig::default());
        let record = ProducerRecord::new(names::ORDER_PLACED).partition(1);
        producer.send(&record).await.unwrap().await.unwrap();

        let told = |rows: Vec<LagRow>| -> Vec<String> {
            let lines = rows.into_iter().map(|row| line("payment-service", row));
            lines.map(|line| line[1..6].join(" ")).collect()
        };
        let never = rows(&admin, names::PAYMENT_SERVICE).await.unwrap();
        let expected = [
            "inventory_updated 0 - 0 0",
            "inventory_updated 1 - 0 0",
            "order_placed 0 - 0 0",
            "order_placed 1 - 1 1",
        ];
        assert_eq!(told(never), expected);
        assert!(rows(&admin, "another").await.unwrap().is_empty());

        let committed = [(TopicPartition::new(names::ORDER_PLACED, 0), 0)];
        let set = admin.alter_group_offsets(names::PAYMENT_SERVICE, &committed);
        set.await.unwrap().remove(0).1.unwrap();
        let waits = rows(&admin, names::PAYMENT_SERVICE).await.unwrap();
        let expected = ["order_placed 0 0 0 0", "order_placed 1 - 1 1"];
        assert_eq!(told(waits), expected);
    }
}
