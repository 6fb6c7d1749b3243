//! Topics: create, delete, describe, list, add partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kafka_wire::ResponseError;
use kafka_wire::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_wire::messages::metadata_request::MetadataRequestTopic;
use kafka_wire::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, MetadataRequest, TopicName,
};
use uuid::Uuid;

use super::answers::of_topics;
use super::{Admin, PerItem, text, unanswered};
use crate::cluster::{Metadata, TopicMetadata};
use crate::error::ClientError;

/// A topic to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; −1 is the broker's default.
    pub partitions: i32,
    /// How many brokers hold each; −1 is the broker's default.
    pub replication: i16,
    /// Topic configurations by name, such as `cleanup.policy`. Default: none.
    pub configs: BTreeMap<String, String>,
}

impl NewTopic {
    /// A topic without configurations of its own.
    pub fn new(name: impl Into<String>, partitions: i32, replication: i16) -> Self {
        Self {
            name: name.into(),
            partitions,
            replication,
            configs: BTreeMap::new(),
        }
    }

    /// With this configuration.
    #[must_use]
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.insert(name.into(), value.into());
        self
    }
}

/// What [`Admin::ensure_topics`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ensured {
    /// The topic was made.
    Created,
    /// It was there, with whatever partitions and configurations it has.
    AlreadyThere,
}

/// A topic in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicListing {
    /// Its name.
    pub name: Arc<str>,
    /// Its id (KIP-516).
    pub id: Uuid,
    /// Whether it is one of Kafka's own.
    pub is_internal: bool,
    /// How many partitions it has.
    pub partitions: usize,
}

impl Admin {
    /// Creates topics. One that exists has the error `TopicAlreadyExists` (see [`ensure_topics`](Self::ensure_topics)).
    ///
    /// # Errors
    ///
    /// When no answer came; what is wrong with a topic is that topic's result. If an attempt's answer was lost, the next one
    /// finds the topic that the first made: `TopicAlreadyExists`.
    pub async fn create_topics(
        &self,
        topics: &[NewTopic],
    ) -> Result<PerItem<String, ()>, ClientError> {
        let names: Vec<String> = topics.iter().map(|t| t.name.clone()).collect();
        let results = self
            .attempts_at_each(
                "creating topics",
                self.patience(),
                &names,
                |open| async move {
                    let wanted = topics.iter().filter(|t| open.contains(&t.name));
                    let request = CreateTopicsRequest::default()
                        .with_timeout_ms(self.timeout_ms())
                        .with_topics(wanted.map(creatable).collect());
                    let response = self.ask_controller(request).await?;
                    Ok(of_topics("CreateTopics", open, |topic| {
                        let said = response.topics.iter().find(|t| *t.name.0 == *topic)?;
                        Some((said.error_code, said.error_message.as_ref()))
                    }))
                },
            )
            .await?;
        for (topic, result) in &results {
            if result.is_ok() {
                tracing::info!(topic, "created the topic");
            }
        }
        Ok(results)
    }

    /// Creates the topics that do not exist, and waits until the brokers know of all of them. Where all exist nothing is
    /// created, so that a client without the permission to create may call it.
    ///
    /// # Errors
    ///
    /// The first that is not "already exists", or [`ClientError::Timeout`].
    pub async fn ensure_topics(
        &self,
        topics: &[NewTopic],
    ) -> Result<Vec<(String, Ensured)>, ClientError> {
        let names: Vec<&str> = topics.iter().map(|t| t.name.as_str()).collect();
        let there: BTreeSet<String> = self
            .describe_topics(&names)
            .await?
            .into_iter()
            .filter_map(|(topic, found)| found.is_ok().then_some(topic))
            .collect();
        let missing: Vec<NewTopic> = topics
            .iter()
            .filter(|topic| !there.contains(&topic.name))
            .cloned()
            .collect();
        let mut ensured: Vec<_> = there
            .into_iter()
            .map(|topic| (topic, Ensured::AlreadyThere))
            .collect();
        if missing.is_empty() {
            return Ok(ensured);
        }
        for (topic, result) in self.create_topics(&missing).await? {
            let outcome = match result {
                Ok(()) => Ensured::Created,
                Err(ClientError::Broker {
                    code: ResponseError::TopicAlreadyExists,
                    ..
                }) => Ensured::AlreadyThere,
                Err(error) => return Err(error),
            };
            ensured.push((topic, outcome));
        }
        // They exist: a broker that does not know them yet will.
        let patience = self.patience().awaits_unknown();
        self.attempts("waiting for the new topics", patience, || async {
            for (_, result) in self.describe_once(&names).await? {
                result?;
            }
            Ok(())
        })
        .await?;
        Ok(ensured)
    }

    /// Deletes topics, records and all.
    ///
    /// # Errors
    ///
    /// When no answer came; one that does not exist has `UnknownTopicOrPartition` as its result.
    pub async fn delete_topics(&self, topics: &[&str]) -> Result<PerItem<String, ()>, ClientError> {
        let topics: Vec<String> = topics.iter().map(|t| (*t).to_owned()).collect();
        let patience = self.patience().takes_unknown();
        self.attempts_at_each("deleting topics", patience, &topics, |open| async move {
            let request = DeleteTopicsRequest::default()
                .with_timeout_ms(self.timeout_ms())
                .with_topic_names(open.iter().map(|t| TopicName(text(t))).collect());
            let response = self.ask_controller(request).await?;
            Ok(of_topics("DeleteTopics", open, |topic| {
                let is_it = |name: &TopicName| *name.0 == *topic;
                let mut said = response.responses.iter();
                let said = said.find(|t| t.name.as_ref().is_some_and(is_it))?;
                Some((said.error_code, said.error_message.as_ref()))
            }))
        })
        .await
    }

    /// Describes topics: partitions, leaders, replicas. Asks the brokers and not the client's memory.
    ///
    /// # Errors
    ///
    /// When no answer came; one that does not exist has `UnknownTopicOrPartition` as its result.
    pub async fn describe_topics(
        &self,
        topics: &[&str],
    ) -> Result<PerItem<String, TopicMetadata>, ClientError> {
        let topics: Vec<String> = topics.iter().map(|t| (*t).to_owned()).collect();
        let patience = self.patience().takes_unknown();
        self.attempts_at_each("describing topics", patience, &topics, |open| async move {
            let names: Vec<&str> = open.iter().map(String::as_str).collect();
            self.describe_once(&names).await
        })
        .await
    }

    pub(super) async fn describe_once(
        &self,
        topics: &[&str],
    ) -> Result<PerItem<String, TopicMetadata>, ClientError> {
        let request = MetadataRequest::default()
            .with_allow_auto_topic_creation(false)
            .with_topics(Some(
                topics
                    .iter()
                    .map(|t| MetadataRequestTopic::default().with_name(Some(TopicName(text(t)))))
                    .collect(),
            ));
        let response = self.ask_any(request).await?;
        let metadata = Metadata::of(response);
        Ok(topics
            .iter()
            .map(|topic| {
                let result = match metadata.topics.get(*topic) {
                    Some(found) => match found.error {
                        None => Ok((**found).clone()),
                        Some(code) => Err(ClientError::broker("Metadata", *topic, code)),
                    },
                    None => Err(unanswered("Metadata", *topic)),
                };
                ((*topic).to_owned(), result)
            })
            .collect())
    }

    /// All topics, by name.
    ///
    /// # Errors
    ///
    /// When no answer came.
    pub async fn list_topics(&self) -> Result<Vec<TopicListing>, ClientError> {
        self.attempts("listing topics", self.patience(), || async {
            let request = MetadataRequest::default()
                .with_allow_auto_topic_creation(false)
                .with_topics(None);
            let response = self.ask_any(request).await?;
            let mut topics: Vec<_> = Metadata::of(response)
                .topics
                .into_values()
                .map(|topic| TopicListing {
                    name: Arc::clone(&topic.name),
                    id: topic.id,
                    is_internal: topic.is_internal,
                    partitions: topic.partitions.len(),
                })
                .collect();
            topics.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(topics)
        })
        .await
    }

    /// Gives topics more partitions: each pair is a topic and the number that it shall have. Keys go to other partitions then.
    ///
    /// # Errors
    ///
    /// When no answer came; a number that is not larger than the present one is that topic's error `InvalidPartitions`.
    pub async fn create_partitions(
        &self,
        topics: &[(&str, i32)],
    ) -> Result<PerItem<String, ()>, ClientError> {
        let names: Vec<String> = topics.iter().map(|(t, _)| (*t).to_owned()).collect();
        let results = self
            .attempts_at_each(
                "adding partitions",
                self.patience(),
                &names,
                |open| async move {
                    let wanted = topics.iter().filter(|(t, _)| open.iter().any(|o| o == t));
                    let wanted = wanted.map(|(topic, count)| {
                        CreatePartitionsTopic::default()
                            .with_name(TopicName(text(topic)))
                            .with_count(*count)
                            .with_assignments(None)
                    });
                    let request = CreatePartitionsRequest::default()
                        .with_timeout_ms(self.timeout_ms())
                        .with_topics(wanted.collect());
                    let response = self.ask_controller(request).await?;
                    Ok(of_topics("CreatePartitions", open, |topic| {
                        let said = response.results.iter().find(|t| *t.name.0 == *topic)?;
                        Some((said.error_code, said.error_message.as_ref()))
                    }))
                },
            )
            .await?;
        self.cluster.request_refresh();
        Ok(results)
    }
}

fn creatable(topic: &NewTopic) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(TopicName(text(&topic.name)))
        .with_num_partitions(topic.partitions)
        .with_replication_factor(topic.replication)
        .with_configs(
            topic
                .configs
                .iter()
                .map(|(name, value)| {
                    CreatableTopicConfig::default()
                        .with_name(text(name))
                        .with_value(Some(text(value)))
                })
                .collect(),
        )
}
