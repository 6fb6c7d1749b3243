//! CreateTopics.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use kafka_wire::ResponseError;
use kafka_wire::messages::create_topics_request::CreatableTopic;
use kafka_wire::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_wire::messages::{CreateTopicsRequest, CreateTopicsResponse};

use super::{Context, Handle, NoAnswer, text};
use crate::create::NewTopic;
use crate::faults::Target;
use crate::shape::{Field, INT8, INT16, INT32, INT32S, STRING, array};
use crate::topic_config::{self, Overrides, SETTINGS};
use crate::topics::{Refusal, Topic};

pub(super) const VERSIONS: RangeInclusive<i16> = 2..=7;

/// Where a setting's value comes from, as DescribeConfigs numbers it.
pub(super) const FROM_TOPIC: i8 = 1;
pub(super) const FROM_DEFAULT: i8 = 5;

impl Handle for CreateTopicsRequest {
    type Response = CreateTopicsResponse;
    const SHAPE: &'static [Field] = &[
        array(&[
            STRING,
            INT32,
            INT16,
            array(&[INT32, INT32S]),
            array(&[STRING, STRING]),
        ]),
        INT32,
        INT8,
    ];

    fn targets(&self, visit: &mut dyn FnMut(Target<'_>)) {
        for topic in &self.topics {
            visit(Target::topic(&topic.name));
        }
    }

    fn refuse(&self, error: ResponseError, _version: i16) -> Option<CreateTopicsResponse> {
        let refusal = Refusal::new(error, error.to_string());
        let topics = self.topics.iter().map(|topic| failed(topic, &refusal));
        Some(CreateTopicsResponse::default().with_topics(topics.collect()))
    }

    async fn handle(self, context: &Context) -> Result<CreateTopicsResponse, NoAnswer> {
        let mut named: BTreeMap<&str, usize> = BTreeMap::new();
        for topic in &self.topics {
            *named.entry(&topic.name).or_default() += 1;
        }
        let topics = self
            .topics
            .iter()
            .map(|topic| {
                let result = if named.get(&**topic.name).is_some_and(|count| *count > 1) {
                    Err(Refusal::new(
                        ResponseError::InvalidRequest,
                        "the request names the topic more than once",
                    ))
                } else {
                    create(context, topic, self.validate_only)
                };
                result.unwrap_or_else(|refusal| failed(topic, &refusal))
            })
            .collect();
        Ok(CreateTopicsResponse::default().with_topics(topics))
    }
}

fn create(
    context: &Context,
    asked: &CreatableTopic,
    validate_only: bool,
) -> Result<CreatableTopicResult, Refusal> {
    let mut overrides = Overrides::new();
    for config in &asked.configs {
        let value = config.value.as_deref().ok_or_else(|| {
            Refusal::new(
                ResponseError::InvalidConfig,
                format!("null value for topic config {}", config.name),
            )
        })?;
        let setting = topic_config::check(&config.name, value)?;
        overrides.insert(setting.name, value.to_owned());
    }
    let new = NewTopic {
        name: asked.name.to_string(),
        partitions: asked.num_partitions,
        replication_factor: asked.replication_factor,
        assignments: assignments(asked)?,
        overrides,
    };
    let done = CreatableTopicResult::default().with_name(asked.name.clone());
    if validate_only {
        let (partitions, replicas) = context.cluster.check_topic(&new)?;
        return Ok(done
            .with_num_partitions(i32::try_from(partitions).unwrap_or(i32::MAX))
            .with_replication_factor(i16::try_from(replicas).unwrap_or(i16::MAX)));
    }
    let topic = context.cluster.create_topic(&new)?;
    let replicas = topic
        .partition(0)
        .map_or(0, |partition| partition.view().replicas.len());
    Ok(done
        .with_topic_id(topic.id)
        .with_num_partitions(i32::try_from(topic.partition_count()).unwrap_or(i32::MAX))
        .with_replication_factor(i16::try_from(replicas).unwrap_or(i16::MAX))
        .with_configs(Some(configs(&topic))))
}

/// The replicas of partitions 0, 1, 2 …, which the client may name in any order.
fn assignments(asked: &CreatableTopic) -> Result<Vec<Vec<i32>>, Refusal> {
    let by_index: BTreeMap<i32, Vec<i32>> = asked
        .assignments
        .iter()
        .map(|assignment| {
            let replicas = assignment.broker_ids.iter().map(|id| id.0).collect();
            (assignment.partition_index, replicas)
        })
        .collect();
    let in_a_row = by_index.len() == asked.assignments.len()
        && by_index.keys().copied().eq((0..).take(by_index.len()));
    if in_a_row {
        Ok(by_index.into_values().collect())
    } else {
        Err(Refusal::new(
            ResponseError::InvalidReplicaAssignment,
            "partitions are assigned from 0 on, each once",
        ))
    }
}

fn configs(topic: &Topic) -> Vec<CreatableTopicConfigs> {
    let overrides = topic.config.overrides();
    SETTINGS
        .iter()
        .map(|setting| {
            let set = overrides.get(setting.name);
            let value = set
                .cloned()
                .unwrap_or_else(|| topic.config.defaults().value_of(setting.name));
            CreatableTopicConfigs::default()
                .with_name(text(setting.name))
                .with_value(Some(text(value)))
                .with_config_source(if set.is_some() {
                    FROM_TOPIC
                } else {
                    FROM_DEFAULT
                })
        })
        .collect()
}

fn failed(topic: &CreatableTopic, refusal: &Refusal) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(topic.name.clone())
        .with_error_code(refusal.error.code())
        .with_error_message(Some(text(refusal.message.clone())))
        .with_num_partitions(-1)
        .with_replication_factor(-1)
}
