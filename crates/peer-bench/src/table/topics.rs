//! The topics of a run: made, filled, counted, deleted, through our own client and outside of what is measured.

use kafka_client::{
    Admin, Client, ClientConfig, NewTopic, OffsetAt, ProducerConfig, TopicPartition, TopicRecord,
};

use crate::Failure;
use crate::measure::{PARTITIONS, PATIENCE};

pub(super) struct Topics {
    client: Client,
    admin: Admin,
    prefix: String,
    next: std::cell::Cell<u32>,
}

impl Topics {
    pub(super) fn new(servers: &str) -> Result<Self, Failure> {
        let client = Client::new(ClientConfig::new(servers))?;
        Ok(Self {
            admin: client.admin(),
            client,
            prefix: format!("peer-bench-{}-", std::process::id()),
            next: std::cell::Cell::new(0),
        })
    }

    /// A new topic, whose name has this in it.
    pub(super) async fn create(&self, what: &str) -> Result<String, Failure> {
        let number = self.next.get();
        self.next.set(number + 1);
        let name = format!("{}{what}-{number}", self.prefix);
        // Gigabytes come and go here; the broker would keep deleted files for a minute.
        let topic = NewTopic::new(&name, PARTITIONS, 1).config("file.delete.delay.ms", "1000");
        for (_, made) in self.admin.create_topics(&[topic]).await? {
            made?;
        }
        // Answered once the partitions have a leader: a topic's making is acknowledged a little before.
        match self.count(&name).await? {
            0 => Ok(name),
            count => Err(format!("{name} is new and has {count} records").into()),
        }
    }

    /// Spreads as many records evenly, in the largest batches.
    pub(super) async fn fill(&self, topic: &str, records: u64, size: usize) -> Result<(), Failure> {
        let config = ProducerConfig::default();
        let producer = self.client.producer(config);
        let value = vec![b'x'; size];
        {
            let topic = producer.topic(topic);
            for partition in (0..PARTITIONS).cycle().take(usize::try_from(records)?) {
                let record = TopicRecord {
                    partition: Some(partition),
                    value: Some(&value),
                    ..TopicRecord::default()
                };
                drop(topic.send(&record).await?);
            }
        }
        producer.flush().await;
        producer.close(PATIENCE).await?;
        match self.count(topic).await? {
            count if count == records => Ok(()),
            count => Err(format!("{count} records in {topic} of {records} sent").into()),
        }
    }

    /// How many records were ever written to a topic.
    pub(super) async fn count(&self, topic: &str) -> Result<u64, Failure> {
        let partitions: Vec<TopicPartition> = (0..PARTITIONS)
            .map(|p| TopicPartition::new(topic, p))
            .collect();
        let mut count = 0;
        for (_, end) in self
            .admin
            .list_offsets(&partitions, OffsetAt::Latest)
            .await?
        {
            count += u64::try_from(end?.offset.unwrap_or_default())?;
        }
        Ok(count)
    }

    pub(super) async fn delete(&self, topic: &str) -> Result<(), Failure> {
        for (_, deleted) in self.admin.delete_topics(&[topic]).await? {
            deleted?;
        }
        Ok(())
    }

    /// What this process made and did not delete yet.
    pub(super) async fn delete_all(&self) -> Result<(), Failure> {
        for topic in self.admin.list_topics().await? {
            if topic.name.starts_with(&self.prefix) {
                self.delete(&topic.name).await?;
            }
        }
        Ok(())
    }
}
