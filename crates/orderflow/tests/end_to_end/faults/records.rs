//! Records as they lie in the topics, to be published again.

use contracts::names;
use kafka_client::{
    Client, ConsumerConfig, OffsetAt, Producer, ProducerConfig, ProducerRecord, StartAt,
    TopicPartition,
};

/// A record and where it lies.
pub(crate) struct Raw {
    topic: &'static str,
    partition: i32,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

/// All records of the pipeline's topics.
pub(crate) async fn read_all(client: &Client) -> Vec<Raw> {
    let places: Vec<(&'static str, TopicPartition)> = names::TOPICS
        .into_iter()
        .flat_map(|topic| {
            (0..names::PARTITIONS).map(move |p| (topic, TopicPartition::new(topic, p)))
        })
        .collect();
    let ids: Vec<TopicPartition> = places.iter().map(|(_, place)| place.clone()).collect();
    let ends = client.admin().list_offsets(&ids, OffsetAt::Latest).await;
    let mut raw = Vec::new();
    for ((topic, place), (_, end)) in places.into_iter().zip(ends.unwrap()) {
        let end = end.unwrap().offset.unwrap_or_default();
        let config = ConsumerConfig::default();
        let from = (place.clone(), StartAt::Offset(0));
        let mut consumer = client.consume(config, [from]).unwrap().remove(0);
        while consumer.position().is_none_or(|next| next < end) && end > 0 {
            let records = consumer.poll(1000).await.unwrap().unwrap();
            raw.extend(records.iter().map(|record| {
                Raw {
                    topic,
                    partition: place.partition,
                    key: record.key.map(<[u8]>::to_vec),
                    value: record.value.map(<[u8]>::to_vec),
                    headers: record
                        .headers
                        .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
                        .collect(),
                }
            }));
        }
    }
    raw
}

/// The events that are there more than once: topic, partition and what they say.
pub(crate) async fn doubled(client: &Client) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    let mut doubled = Vec::new();
    for record in read_all(client).await {
        let id = record.headers.iter().find(|(name, _)| name == "ce_id");
        if !seen.insert(id.and_then(|(_, id)| id.clone())) {
            let value = String::from_utf8_lossy(record.value.as_deref().unwrap_or_default());
            doubled.push(format!("{}-{}: {value}", record.topic, record.partition));
        }
    }
    doubled
}

/// Publishes them again, in the order in which they come here.
pub(crate) async fn publish(client: &Client, records: impl IntoIterator<Item = &Raw>) {
    let producer = client.producer(ProducerConfig::default());
    let mut deliveries = Vec::new();
    for record in records {
        let headers: Vec<(&str, Option<&[u8]>)> = record
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref()))
            .collect();
        let again = ProducerRecord {
            topic: record.topic,
            partition: Some(record.partition),
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
            timestamp: None,
        };
        deliveries.push(producer.send(&again).await.unwrap());
    }
    for delivery in deliveries {
        delivery.await.unwrap();
    }
}

/// What is no event, in every partition of a topic.
pub(crate) async fn poison(producer: &Producer, topic: &str) {
    for partition in 0..names::PARTITIONS {
        let record = ProducerRecord {
            partition: Some(partition),
            ..ProducerRecord::new(topic).value(b"{\"this\": \"is no event\"}")
        };
        producer.send(&record).await.unwrap().await.unwrap();
    }
}
