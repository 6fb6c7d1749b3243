//! Configurations of topics and brokers.

use kafka_wire::messages::describe_configs_request::DescribeConfigsResource;
use kafka_wire::messages::describe_configs_response::DescribeConfigsResourceResult;
use kafka_wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_wire::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest};
use kafka_wire::{ApiRequest, StrBytes};

use super::{Admin, check, text, unanswered};
use crate::error::ClientError;

/// Something that has a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ConfigResource {
    /// A topic.
    Topic(String),
    /// A broker.
    Broker(i32),
}

impl ConfigResource {
    fn code(&self) -> i8 {
        match self {
            Self::Topic(_) => 2,
            Self::Broker(_) => 4,
        }
    }

    fn name(&self) -> StrBytes {
        match self {
            Self::Topic(name) => text(name),
            Self::Broker(id) => StrBytes::from_string(id.to_string()),
        }
    }
}

/// One configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its name, such as `retention.ms`.
    pub name: String,
    /// Its value; none if it is secret or unset.
    pub value: Option<String>,
    /// Whether it is not set but Kafka's default.
    pub is_default: bool,
    /// Whether it cannot be altered.
    pub read_only: bool,
    /// Whether its value is kept secret.
    pub is_sensitive: bool,
}

/// A change of one configuration (KIP-339).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigOp {
    /// Sets it.
    Set(String),
    /// Takes it back to the default.
    Delete,
    /// Adds to a list.
    Append(String),
    /// Takes out of a list.
    Subtract(String),
}

impl Admin {
    /// The configurations of a topic or broker, by name.
    ///
    /// # Errors
    ///
    /// `UnknownTopicOrPartition` of a topic that does not exist, after about 0.7 s in which it is asked for again; and when
    /// no answer came.
    pub async fn describe_configs(
        &self,
        resource: &ConfigResource,
    ) -> Result<Vec<ConfigEntry>, ClientError> {
        self.attempts("describing configurations", self.patience(), || async {
            let request = DescribeConfigsRequest::default().with_resources(vec![
                DescribeConfigsResource::default()
                    .with_resource_type(resource.code())
                    .with_resource_name(resource.name())
                    .with_configuration_keys(None),
            ]);
            let response = self.ask_for(resource, request).await?;
            let found = response
                .results
                .into_iter()
                .next()
                .ok_or_else(|| unanswered("DescribeConfigs", resource.name().to_string()))?;
            check(
                "DescribeConfigs",
                resource.name().to_string(),
                found.error_code,
                found.error_message.as_ref(),
            )?;
            let mut entries: Vec<_> = found.configs.iter().map(entry).collect();
            entries.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(entries)
        })
        .await
    }

    /// Alters configurations of a topic or broker: those that are named, no others.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` and what else the broker says; then nothing was altered.
    pub async fn alter_configs(
        &self,
        resource: &ConfigResource,
        changes: &[(&str, ConfigOp)],
    ) -> Result<(), ClientError> {
        self.attempts("altering configurations", self.patience(), || async {
            let configs = changes
                .iter()
                .map(|(name, op)| alteration(name, op))
                .collect();
            let request = IncrementalAlterConfigsRequest::default().with_resources(vec![
                AlterConfigsResource::default()
                    .with_resource_type(resource.code())
                    .with_resource_name(resource.name())
                    .with_configs(configs),
            ]);
            let response = self.ask_for(resource, request).await?;
            let found = response.responses.into_iter().next().ok_or_else(|| {
                unanswered("IncrementalAlterConfigs", resource.name().to_string())
            })?;
            check(
                "IncrementalAlterConfigs",
                resource.name().to_string(),
                found.error_code,
                found.error_message.as_ref(),
            )
        })
        .await
    }

    /// A broker answers for its own configuration, any (or the controller) for a topic's.
    async fn ask_for<R: ApiRequest>(
        &self,
        resource: &ConfigResource,
        request: R,
    ) -> Result<R::Response, ClientError> {
        match resource {
            ConfigResource::Broker(node) => self.ask_broker(*node, request).await,
            ConfigResource::Topic(_) => self.ask_controller(request).await,
        }
    }
}

fn entry(config: &DescribeConfigsResourceResult) -> ConfigEntry {
    // Where a value comes from: 5 is Kafka's own default (KIP-226).
    const DEFAULT_CONFIG: i8 = 5;
    ConfigEntry {
        name: config.name.to_string(),
        value: config.value.as_ref().map(ToString::to_string),
        is_default: config.config_source == DEFAULT_CONFIG,
        read_only: config.read_only,
        is_sensitive: config.is_sensitive,
    }
}

fn alteration(name: &str, op: &ConfigOp) -> AlterableConfig {
    let (code, value) = match op {
        ConfigOp::Set(value) => (0, Some(text(value))),
        ConfigOp::Delete => (1, None),
        ConfigOp::Append(value) => (2, Some(text(value))),
        ConfigOp::Subtract(value) => (3, Some(text(value))),
    };
    AlterableConfig::default()
        .with_name(text(name))
        .with_config_operation(code)
        .with_value(value)
}
