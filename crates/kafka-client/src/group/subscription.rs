//! What a group reads: topics by name, and topics by a pattern of their names.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::config::GroupConfig;
use crate::cluster::Metadata;

/// Which topics a group reads, told by their names.
///
/// It is any function of a name, so that whoever wants regular expressions brings those of their choice:
/// `TopicPattern::new(move |name| regex.is_match(name))`. All members of a group should have the same, as with topics: a
/// topic is only assigned to members whose pattern it matches.
#[derive(Clone)]
pub struct TopicPattern(Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl TopicPattern {
    /// The topics for whose name this is true. It is asked for every topic of the cluster whenever its metadata changes,
    /// and must not block.
    pub fn new(matches: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(matches))
    }

    /// The topics whose name begins so.
    pub fn prefix(prefix: impl Into<String>) -> Self {
        let prefix = prefix.into();
        Self::new(move |name| name.starts_with(&prefix))
    }

    /// Whether the topic is one of them.
    pub fn matches(&self, topic: &str) -> bool {
        (self.0)(topic)
    }
}

impl fmt::Debug for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicPattern").finish_non_exhaustive()
    }
}

/// What a member subscribes to as of this metadata, in order: the topics that it names, whether or not they exist, and those
/// that exist and match, except for Kafka's own.
pub(super) fn topics(config: &GroupConfig, metadata: &Metadata) -> Vec<Arc<str>> {
    let mut topics: BTreeSet<Arc<str>> = config.topics.iter().cloned().collect();
    if let Some(pattern) = &config.topic_pattern {
        let found = metadata.topics.values();
        let found = found.filter(|t| !t.partitions.is_empty() && !t.is_internal);
        topics.extend(
            found
                .map(|t| Arc::clone(&t.name))
                .filter(|name| pattern.matches(name)),
        );
    }
    topics.into_iter().collect()
}
