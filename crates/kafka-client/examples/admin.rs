//! Looks at a cluster: makes a topic, moves a group's offsets, prints its lag.
//!
//! `cargo run -p kafka-client --example admin`; on a broker of your own with `KAFKA_BOOTSTRAP_SERVERS=host:port`.

#[path = "common/kafka.rs"]
mod kafka;

use kafka_client::{
    Client, ClientConfig, LagRow, NewTopic, OffsetAt, ProducerConfig, ProducerRecord,
    TopicPartition,
};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

const TOPIC: &str = "example-measurements";
const GROUP: &str = "example-plotters";

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let kafka = kafka::Kafka::find().await?;
    println!(
        "{:<24} {:>9} {:>9} {:>6} {:>4}",
        "TOPIC", "PARTITION", "COMMITTED", "END", "LAG"
    );
    for row in run(&kafka.bootstrap_servers).await? {
        let committed = row
            .committed
            .map_or("-".to_owned(), |offset| offset.to_string());
        println!(
            "{:<24} {:>9} {committed:>9} {:>6} {:>4}",
            row.topic, row.partition, row.end, row.lag
        );
    }
    Ok(())
}

pub(crate) async fn run(bootstrap_servers: &str) -> Result<Vec<LagRow>, AnyError> {
    let client = Client::new(ClientConfig::new(bootstrap_servers))?;
    let admin = client.admin();
    let topic = NewTopic::new(TOPIC, 2, -1).config("retention.ms", "3600000");
    admin.ensure_topics(&[topic]).await?;
    let producer = client.producer(ProducerConfig::default());
    let records = (0..2).flat_map(|partition| {
        (0..5).map(move |_| {
            ProducerRecord::new(TOPIC)
                .partition(partition)
                .value(b"21.5")
        })
    });
    producer.send_all(records).await?;

    // A group that has no member can be moved to any offset: here it has read two records of the first partition, and
    // all of the second.
    let partitions = [TopicPartition::new(TOPIC, 0), TopicPartition::new(TOPIC, 1)];
    let read = [(partitions[0].clone(), 2)];
    for (partition, moved) in admin.alter_group_offsets(GROUP, &read).await? {
        moved.map_err(|error| format!("{partition}: {error}"))?;
    }
    for (partition, moved) in admin
        .reset_group_offsets(GROUP, &[partitions[1].clone()], OffsetAt::Latest)
        .await?
    {
        moved.map_err(|error| format!("{partition}: {error}"))?;
    }
    Ok(admin.lag(GROUP).await?)
}
