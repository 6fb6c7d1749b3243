//! DescribeConfigs: the settings of topics, and of nodes those that have a meaning here.

use std::ops::RangeInclusive;

use kafka_wire::ResponseError;
use kafka_wire::messages::describe_configs_request::DescribeConfigsResource;
use kafka_wire::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_wire::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use super::create_topics::{FROM_DEFAULT, FROM_TOPIC};
use super::{Context, Handle, NoAnswer, text};
use crate::config::BrokerConfig;
use crate::faults::Target;
use crate::shape::{Field, INT8, STRING, STRINGS, array};
use crate::topic_config::{Kind, SETTINGS};
use crate::topics::Refusal;

pub(super) const VERSIONS: RangeInclusive<i16> = 1..=4;

/// The kind of resource that is a topic.
pub(super) const TOPIC: i8 = 2;
/// The kind of resource that is a node.
pub(super) const BROKER: i8 = 4;
const FROM_STATIC_BROKER_CONFIG: i8 = 4;

impl Handle for DescribeConfigsRequest {
    type Response = DescribeConfigsResponse;
    const SHAPE: &'static [Field] = &[array(&[INT8, STRING, STRINGS]), INT8, INT8.from(3)];

    fn targets(&self, visit: &mut dyn FnMut(Target<'_>)) {
        for resource in &self.resources {
            if resource.resource_type == TOPIC {
                visit(Target::topic(&resource.resource_name));
            }
        }
    }

    fn refuse(&self, error: ResponseError, _version: i16) -> Option<DescribeConfigsResponse> {
        let refusal = Refusal::new(error, error.to_string());
        let results = self
            .resources
            .iter()
            .map(|resource| respond(resource, Err(refusal.clone())));
        Some(DescribeConfigsResponse::default().with_results(results.collect()))
    }

    async fn handle(self, context: &Context) -> Result<DescribeConfigsResponse, NoAnswer> {
        let results = self
            .resources
            .iter()
            .map(|resource| {
                let result = describe(context, resource, &self);
                respond(resource, result)
            })
            .collect();
        Ok(DescribeConfigsResponse::default().with_results(results))
    }
}

fn respond(
    resource: &DescribeConfigsResource,
    result: Result<Vec<DescribeConfigsResourceResult>, Refusal>,
) -> DescribeConfigsResult {
    let response = DescribeConfigsResult::default()
        .with_resource_type(resource.resource_type)
        .with_resource_name(resource.resource_name.clone());
    match result {
        Ok(configs) => response.with_configs(configs),
        Err(refusal) => response
            .with_error_code(refusal.error.code())
            .with_error_message(Some(text(refusal.message))),
    }
}

fn describe(
    context: &Context,
    resource: &DescribeConfigsResource,
    request: &DescribeConfigsRequest,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    let mut configs = match resource.resource_type {
        TOPIC => describe_topic(context, resource, request)?,
        BROKER => {
            check_node(context, &resource.resource_name)?;
            describe_node(&context.cluster.config)
        }
        _ => {
            return Err(Refusal::new(
                ResponseError::InvalidRequest,
                "only topics (2) and nodes (4) have settings here",
            ));
        }
    };
    if let Some(keys) = &resource.configuration_keys {
        configs.retain(|config| keys.contains(&config.name));
    }
    Ok(configs)
}

fn describe_topic(
    context: &Context,
    resource: &DescribeConfigsResource,
    request: &DescribeConfigsRequest,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    let topic = context
        .cluster
        .topics
        .get(&resource.resource_name)
        .ok_or_else(|| {
            Refusal::new(
                ResponseError::UnknownTopicOrPartition,
                "there is no such topic",
            )
        })?;
    let overrides = topic.config.overrides();
    let describe = |setting: &crate::topic_config::Setting| {
        let default = topic.config.defaults().value_of(setting.name);
        let set = overrides.get(setting.name);
        let mut synonyms = Vec::new();
        if request.include_synonyms {
            synonyms.extend(set.map(|value| synonym(setting.name, value, FROM_TOPIC)));
            synonyms.push(synonym(setting.name, &default, FROM_DEFAULT));
        }
        DescribeConfigsResourceResult::default()
            .with_name(text(setting.name))
            .with_config_source(if set.is_some() {
                FROM_TOPIC
            } else {
                FROM_DEFAULT
            })
            .with_value(Some(text(set.cloned().unwrap_or(default))))
            .with_synonyms(synonyms)
            .with_config_type(setting.kind as i8)
            .with_documentation(
                request
                    .include_documentation
                    .then(|| text(setting.documentation)),
            )
    };
    Ok(SETTINGS.iter().map(describe).collect())
}

fn synonym(name: &str, value: &str, source: i8) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym::default()
        .with_name(text(name))
        .with_value(Some(text(value)))
        .with_source(source)
}

/// A node is named by its id; the empty name is the cluster's default.
pub(super) fn check_node(context: &Context, name: &str) -> Result<(), Refusal> {
    let known = |id: i32| context.cluster.nodes.get(id).is_some();
    if name.is_empty() || name.parse().is_ok_and(known) {
        Ok(())
    } else {
        Err(Refusal::new(
            ResponseError::InvalidRequest,
            format!("there is no node '{name}'"),
        ))
    }
}

fn describe_node(config: &BrokerConfig) -> Vec<DescribeConfigsResourceResult> {
    let millis = |time: std::time::Duration| time.as_millis().to_string();
    let settings = [
        (
            "auto.create.topics.enable",
            config.auto_create_topics.to_string(),
        ),
        ("num.partitions", config.default_partitions.to_string()),
        (
            "default.replication.factor",
            config.default_replication_factor.to_string(),
        ),
        ("log.retention.bytes", config.retention_bytes.to_string()),
        ("message.max.bytes", config.max_message_bytes.to_string()),
        (
            "socket.request.max.bytes",
            config.max_request_bytes.to_string(),
        ),
        ("fetch.max.bytes", config.max_fetch_bytes.to_string()),
        ("max.connections", config.max_connections.to_string()),
        ("connections.max.idle.ms", millis(config.max_idle)),
        (
            "group.min.session.timeout.ms",
            millis(config.min_session_timeout),
        ),
        (
            "group.max.session.timeout.ms",
            millis(config.max_session_timeout),
        ),
        (
            "group.initial.rebalance.delay.ms",
            millis(config.initial_rebalance_delay),
        ),
        ("group.max.size", config.max_group_size.to_string()),
    ];
    settings
        .into_iter()
        .map(|(name, value)| {
            DescribeConfigsResourceResult::default()
                .with_name(text(name))
                .with_value(Some(text(value)))
                .with_read_only(true)
                .with_config_source(FROM_STATIC_BROKER_CONFIG)
                .with_config_type(Kind::String as i8)
        })
        .collect()
}
