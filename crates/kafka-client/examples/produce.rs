//! Sends records and shows where each one went.
//!
//! `cargo run -p kafka-client --example produce`; on a broker of your own with `KAFKA_BOOTSTRAP_SERVERS=host:port`.

#[path = "common/kafka.rs"]
mod kafka;

use std::time::Duration;

use kafka_client::{
    Client, ClientConfig, NewTopic, ProducerConfig, ProducerRecord, RecordMetadata,
};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let kafka = kafka::Kafka::find().await?;
    for written in run(&kafka.bootstrap_servers).await? {
        println!(
            "{} partition {} offset {}",
            written.topic, written.partition, written.offset
        );
    }
    Ok(())
}

pub(crate) async fn run(bootstrap_servers: &str) -> Result<Vec<RecordMetadata>, AnyError> {
    let client = Client::new(ClientConfig::new(bootstrap_servers))?;
    client
        .admin()
        .ensure_topics(&[NewTopic::new("example-greetings", 3, -1)])
        .await?;
    let producer = client.producer(ProducerConfig::default());

    // `send` puts the record into its partition's batch and does not wait for the broker: what comes back is the delivery, to
    // be awaited when its outcome matters. Records of one key share a partition and keep their order.
    let mut deliveries = Vec::new();
    for number in 0..9 {
        let (key, value) = (
            format!("customer-{}", number % 3),
            format!("hello {number}"),
        );
        let record = ProducerRecord::new("example-greetings")
            .key(key.as_bytes())
            .value(value.as_bytes())
            .headers(&[("content-type", Some(b"text/plain"))]);
        deliveries.push(producer.send(&record).await?);
    }
    let mut written = Vec::new();
    for delivery in deliveries {
        written.push(delivery.await?);
    }

    producer.close(Duration::from_secs(5)).await?;
    Ok(written)
}
