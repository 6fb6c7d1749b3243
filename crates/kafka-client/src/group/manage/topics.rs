//! The topics that the member subscribes to, and whether they are still what it joined with.

use super::Manager;
use crate::group::membership::Input;
use crate::group::state::GroupPhase;
use crate::group::{exchange, subscription};

impl Manager {
    /// Joins anew when the subscription changed, or, as the leader, when the topics' partitions are not those that were
    /// shared out.
    pub(super) fn check_topics(&mut self) {
        if let (GroupPhase::Stable, Some(joined_with)) = (self.membership.phase(), &self.subscribed)
        {
            let metadata = self.context.cluster.metadata();
            let now = subscription::topics(&self.context.config, &metadata);
            if now != *joined_with {
                tracing::info!(group = %self.context.config.group_id, topics = now.len(), "the subscription changed");
                self.step(Input::SubscriptionChanged);
            }
        }
        let Some(shared_out) = &self.shared_out else {
            return;
        };
        let metadata = self.context.cluster.metadata();
        let now = exchange::partition_counts(&metadata, shared_out.keys());
        if self.membership.phase() == GroupPhase::Stable && now != *shared_out {
            tracing::info!(group = %self.context.config.group_id, "the partitions of the topics changed");
            self.step(Input::TopicsChanged);
        }
    }

    pub(super) fn has_missing_topic(&self) -> bool {
        let metadata = self.context.cluster.metadata();
        let mut topics = self.context.config.topics.iter();
        topics.any(|topic| {
            metadata
                .topics
                .get(topic)
                .is_none_or(|t| t.partitions.is_empty())
        })
    }
}
