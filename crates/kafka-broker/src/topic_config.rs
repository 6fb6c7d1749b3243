//! The settings of a topic: which there are, what they mean here, and which values they take.

use std::collections::BTreeMap;

use kafka_wire::ResponseError;
use parking_lot::RwLock;

use crate::log::Retention;
use crate::topics::Refusal;

/// What values a setting takes, under the numbers that DescribeConfigs v3 gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int = 3,
    Long = 5,
    String = 2,
    List = 7,
}

/// A setting of a topic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) documentation: &'static str,
}

pub(crate) const RETENTION_BYTES: &str = "retention.bytes";
pub(crate) const MAX_MESSAGE_BYTES: &str = "max.message.bytes";
const CLEANUP_POLICY: &str = "cleanup.policy";
const COMPRESSION_TYPE: &str = "compression.type";
const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";
const RETENTION_MS: &str = "retention.ms";
const SEGMENT_BYTES: &str = "segment.bytes";

/// The settings that a topic may have. The last five are kept and shown, so that tools and scripts written for Kafka
/// run; they change nothing here, and each says so.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        name: RETENTION_BYTES,
        kind: Kind::Long,
        documentation: "Over it a partition drops its oldest whole batches; -1 takes the broker's bound.",
    },
    Setting {
        name: MAX_MESSAGE_BYTES,
        kind: Kind::Int,
        documentation: "The largest batch that may be produced.",
    },
    Setting {
        name: CLEANUP_POLICY,
        kind: Kind::List,
        documentation: "Kept but without effect: this broker does not compact.",
    },
    Setting {
        name: COMPRESSION_TYPE,
        kind: Kind::String,
        documentation: "Kept but without effect: batches stay as the producer sent them.",
    },
    Setting {
        name: MIN_INSYNC_REPLICAS,
        kind: Kind::Int,
        documentation: "Kept but without effect: the nodes share their memory.",
    },
    Setting {
        name: RETENTION_MS,
        kind: Kind::Long,
        documentation: "Kept but without effect: only retention.bytes bounds a partition.",
    },
    Setting {
        name: SEGMENT_BYTES,
        kind: Kind::Int,
        documentation: "Kept but without effect: there are no segment files.",
    },
];

/// The broker's values, which a topic's override.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Defaults {
    pub(crate) retention_bytes: u64,
    pub(crate) max_message_bytes: usize,
}

impl Defaults {
    pub(crate) fn value_of(&self, name: &str) -> String {
        match name {
            RETENTION_BYTES => self.retention_bytes.to_string(),
            MAX_MESSAGE_BYTES => self.max_message_bytes.to_string(),
            CLEANUP_POLICY => "delete".to_owned(),
            COMPRESSION_TYPE => "producer".to_owned(),
            MIN_INSYNC_REPLICAS => "1".to_owned(),
            RETENTION_MS => "604800000".to_owned(),
            SEGMENT_BYTES => "1073741824".to_owned(),
            _ => String::new(),
        }
    }
}

/// What was set for a topic.
pub(crate) type Overrides = BTreeMap<&'static str, String>;

/// The settings of one topic.
#[derive(Debug)]
pub(crate) struct TopicConfig {
    defaults: Defaults,
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    overrides: Overrides,
    retention: Retention,
    max_message_bytes: usize,
}

impl State {
    fn new(defaults: &Defaults, overrides: Overrides) -> Self {
        let number = |name| {
            overrides
                .get(name)
                .and_then(|value: &String| value.parse().ok())
        };
        Self {
            retention: Retention {
                bytes: number(RETENTION_BYTES).unwrap_or(defaults.retention_bytes),
            },
            max_message_bytes: number(MAX_MESSAGE_BYTES)
                .and_then(|value| usize::try_from(value).ok())
                .unwrap_or(defaults.max_message_bytes),
            overrides,
        }
    }
}

impl TopicConfig {
    pub(crate) fn new(defaults: Defaults, overrides: Overrides) -> Self {
        Self {
            defaults,
            state: RwLock::new(State::new(&defaults, overrides)),
        }
    }

    pub(crate) fn defaults(&self) -> &Defaults {
        &self.defaults
    }

    pub(crate) fn retention(&self) -> Retention {
        self.state.read().retention
    }

    pub(crate) fn max_message_bytes(&self) -> usize {
        self.state.read().max_message_bytes
    }

    pub(crate) fn overrides(&self) -> Overrides {
        self.state.read().overrides.clone()
    }

    pub(crate) fn replace(&self, overrides: Overrides) {
        *self.state.write() = State::new(&self.defaults, overrides);
    }
}

/// Finds the setting and checks that it takes the value.
pub(crate) fn check(name: &str, value: &str) -> Result<&'static Setting, Refusal> {
    let invalid = |message: String| Refusal::new(ResponseError::InvalidConfig, message);
    let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) else {
        return Err(invalid(format!("unknown topic config name: {name}")));
    };
    let fits = match (setting.kind, setting.name) {
        (Kind::Long, _) => value.parse::<i64>().is_ok_and(|value| value >= -1),
        (Kind::Int, _) => value.parse::<i32>().is_ok_and(|value| value >= 0),
        (Kind::List, _) => value
            .split(',')
            .all(|policy| matches!(policy.trim(), "delete" | "compact" | "")),
        (Kind::String, _) => matches!(
            value,
            "producer" | "uncompressed" | "gzip" | "snappy" | "lz4" | "zstd"
        ),
    };
    if fits {
        Ok(setting)
    } else {
        Err(invalid(format!(
            "invalid value {value} for configuration {name}"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_that_the_setting_takes() {
        let defaults = Defaults {
            retention_bytes: 1,
            max_message_bytes: 1,
        };
        for setting in SETTINGS {
            let value = defaults.value_of(setting.name);
            assert!(check(setting.name, &value).is_ok(), "{}", setting.name);
        }
        assert!(check("no.such", "1").is_err());
        assert!(check(RETENTION_BYTES, "many").is_err());
    }

    #[test]
    fn minus_one_takes_the_brokers_retention() {
        let defaults = Defaults {
            retention_bytes: 77,
            max_message_bytes: 1,
        };
        let config = TopicConfig::new(defaults, [(RETENTION_BYTES, "-1".to_owned())].into());
        assert_eq!(config.retention().bytes, 77);
    }
}
