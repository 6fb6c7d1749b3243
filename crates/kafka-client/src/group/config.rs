//! What a consumer group is told.

use std::sync::Arc;
use std::time::Duration;

use super::assignor::Assignor;
use super::subscription::TopicPattern;
use crate::consumer::ConsumerConfig;
use crate::error::ClientError;

/// How a group is joined and kept.
#[derive(Debug, Clone)]
pub struct GroupConfig {
    /// The group's id.
    pub group_id: Arc<str>,
    /// The topics to read. One that does not exist yet is waited for.
    pub topics: Vec<Arc<str>>,
    /// Topics to read besides those, by their names. New ones are found when the metadata is refreshed, after
    /// [`ClientConfig::metadata_max_age`](crate::ClientConfig::metadata_max_age) at the latest; one that is deleted leaves
    /// the subscription then. Kafka's own topics never match. While a group has a pattern, its client asks for the metadata
    /// of all topics. Default: none.
    pub topic_pattern: Option<TopicPattern>,
    /// The ways to share out the partitions that this member knows, the preferred first; the group uses one that all its
    /// members know. Default: range, then cooperative-sticky, as in Kafka's clients since 3.0.
    ///
    /// With any eager assignor in its list (all but cooperative-sticky) a member gives everything up before it rejoins,
    /// whichever assignor the group uses (KIP-429). So a group changes from eager to cooperative in two rolling restarts,
    /// without a stop: first with both in the list of every member, which is where the default is already, then with
    /// cooperative-sticky alone. In between, members of both kinds are in the group.
    pub assignors: Vec<Assignor>,
    /// A name that stays the same when the process restarts: the restarted member gets its partitions back without a
    /// rebalance, as long as it is back within the session timeout (KIP-345). Closing such a member does not leave the
    /// group. Default: none.
    pub group_instance_id: Option<Arc<str>>,
    /// A member that is not heard of for this long is out of the group. Default: 45 s, as in Kafka's clients (KIP-735).
    pub session_timeout: Duration,
    /// The time between heartbeats; at most a third of the session timeout is sensible. Default: 3 s.
    pub heartbeat_interval: Duration,
    /// How long the group waits for its members in a rebalance (KIP-62). Default: 60 s.
    pub rebalance_timeout: Duration,
    /// How long a revoked partition's holder is waited for before the partition is taken from it; must be less than the
    /// rebalance timeout. Default: 30 s.
    pub drain_budget: Duration,
    /// The longest time between polls (KIP-62): a holder that takes records and does not come back within it is taken for
    /// stuck. The member then leaves the group, so that others take over; all its partitions are lost, with
    /// [`LostReason::MaxPollIntervalExceeded`](crate::LostReason::MaxPollIntervalExceeded); and it joins again when their
    /// holders have polled, and so learnt that, and dropped them. A holder that waits in a poll is not stuck, and a
    /// partition that is paused need not be polled. Default: 5 minutes, as in Kafka's clients.
    pub max_poll_interval: Duration,
    /// How long a commit is tried, and waited for. It may be under way when the time is up: then nobody knows yet whether Kafka
    /// has it. Default: 60 s, as in Kafka's clients.
    pub commit_timeout: Duration,
    /// How records are fetched, and where reading starts without a committed offset.
    pub consumer: ConsumerConfig,
}

impl GroupConfig {
    /// The defaults, for this group and these topics.
    pub fn new<T: Into<Arc<str>>>(
        group_id: impl Into<Arc<str>>,
        topics: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            group_id: group_id.into(),
            topics: topics.into_iter().map(Into::into).collect(),
            topic_pattern: None,
            assignors: vec![Assignor::Range, Assignor::CooperativeSticky],
            group_instance_id: None,
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(3),
            rebalance_timeout: Duration::from_secs(60),
            drain_budget: Duration::from_secs(30),
            max_poll_interval: Duration::from_secs(300),
            commit_timeout: Duration::from_secs(60),
            consumer: ConsumerConfig::default(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), ClientError> {
        let wrong = |what: &str| Err(ClientError::Config(what.to_owned()));
        if self.group_id.is_empty() {
            return wrong("the group id is empty");
        }
        let reads_nothing = self.topics.is_empty() && self.topic_pattern.is_none();
        if reads_nothing || self.topics.iter().any(|t| t.is_empty()) {
            return wrong("a group needs topics, and their names must not be empty");
        }
        if self.assignors.is_empty() {
            return wrong("a group needs an assignor");
        }
        if self
            .group_instance_id
            .as_ref()
            .is_some_and(|id| id.is_empty())
        {
            return wrong("the group instance id is empty");
        }
        if self.heartbeat_interval.is_zero() || self.heartbeat_interval >= self.session_timeout {
            return wrong("heartbeat_interval must be over zero and less than session_timeout");
        }
        if self.drain_budget >= self.rebalance_timeout {
            return wrong("drain_budget must be less than rebalance_timeout");
        }
        if self.max_poll_interval.is_zero() {
            return wrong("max_poll_interval must be over zero");
        }
        let longest = Duration::from_millis(i32::MAX as u64);
        if self.session_timeout > longest || self.rebalance_timeout > longest {
            return wrong("session_timeout and rebalance_timeout must fit 31 bits of milliseconds");
        }
        self.consumer.check()
    }
}
