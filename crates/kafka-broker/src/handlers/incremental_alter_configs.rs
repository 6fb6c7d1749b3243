//! IncrementalAlterConfigs: changes settings of topics (KIP-339).

use std::ops::RangeInclusive;

use kafka_wire::ResponseError;
use kafka_wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_wire::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_wire::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::describe_configs::{BROKER, TOPIC, check_node};
use super::{Context, Handle, NoAnswer, text};
use crate::faults::Target;
use crate::shape::{Field, INT8, STRING, array};
use crate::topic_config::{self, Overrides, SETTINGS};
use crate::topics::Refusal;

pub(super) const VERSIONS: RangeInclusive<i16> = 0..=1;

const SET: i8 = 0;
const DELETE: i8 = 1;

impl Handle for IncrementalAlterConfigsRequest {
    type Response = IncrementalAlterConfigsResponse;
    const SHAPE: &'static [Field] = &[array(&[INT8, STRING, array(&[STRING, INT8, STRING])]), INT8];

    fn targets(&self, visit: &mut dyn FnMut(Target<'_>)) {
        for resource in &self.resources {
            if resource.resource_type == TOPIC {
                visit(Target::topic(&resource.resource_name));
            }
        }
    }

    fn refuse(
        &self,
        error: ResponseError,
        _version: i16,
    ) -> Option<IncrementalAlterConfigsResponse> {
        let refusal = Refusal::new(error, error.to_string());
        let responses = self
            .resources
            .iter()
            .map(|resource| respond(resource, Err(refusal.clone())));
        Some(IncrementalAlterConfigsResponse::default().with_responses(responses.collect()))
    }

    async fn handle(self, context: &Context) -> Result<IncrementalAlterConfigsResponse, NoAnswer> {
        let responses = self
            .resources
            .iter()
            .map(|resource| respond(resource, alter(context, resource, self.validate_only)))
            .collect();
        Ok(IncrementalAlterConfigsResponse::default().with_responses(responses))
    }
}

fn respond(
    resource: &AlterConfigsResource,
    result: Result<(), Refusal>,
) -> AlterConfigsResourceResponse {
    let response = AlterConfigsResourceResponse::default()
        .with_resource_type(resource.resource_type)
        .with_resource_name(resource.resource_name.clone());
    match result {
        Ok(()) => response.with_error_message(None),
        Err(refusal) => response
            .with_error_code(refusal.error.code())
            .with_error_message(Some(text(refusal.message))),
    }
}

fn alter(
    context: &Context,
    resource: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), Refusal> {
    match resource.resource_type {
        TOPIC => {}
        BROKER => {
            check_node(context, &resource.resource_name)?;
            return Err(Refusal::new(
                ResponseError::InvalidRequest,
                "a node's settings are given at its start and cannot be altered",
            ));
        }
        _ => {
            return Err(Refusal::new(
                ResponseError::InvalidRequest,
                "only topics (2) have settings that can be altered",
            ));
        }
    }
    let _changes = context.cluster.changes();
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
    let mut overrides = topic.config.overrides();
    for config in &resource.configs {
        alter_one(&mut overrides, config)?;
    }
    if !validate_only {
        topic.config.replace(overrides);
        for partition in topic.partitions() {
            partition.retain(topic.config.retention());
        }
    }
    Ok(())
}

fn alter_one(overrides: &mut Overrides, config: &AlterableConfig) -> Result<(), Refusal> {
    match (config.config_operation, &config.value) {
        (SET, Some(value)) => {
            let setting = topic_config::check(&config.name, value)?;
            overrides.insert(setting.name, value.to_string());
            Ok(())
        }
        (DELETE, _) => {
            let known = SETTINGS
                .iter()
                .find(|setting| setting.name == &*config.name)
                .ok_or_else(|| {
                    let message = format!("unknown topic config name: {}", config.name);
                    Refusal::new(ResponseError::InvalidConfig, message)
                })?;
            overrides.remove(known.name);
            Ok(())
        }
        (SET, None) => Err(Refusal::new(
            ResponseError::InvalidConfig,
            format!("null value for topic config {}", config.name),
        )),
        _ => Err(Refusal::new(
            ResponseError::InvalidRequest,
            "a setting can be set (0) or deleted (1)",
        )),
    }
}
