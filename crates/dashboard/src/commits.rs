//! The consumer groups of a cluster, and what they have committed.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};
use kafka_client::{Admin, ClientError, GroupListing, TopicPartition};

/// The most groups that are asked.
const MOST_GROUPS: usize = 100;
/// Groups that are asked at the same time.
const AT_ONCE: usize = 16;

/// What a group has committed.
pub(crate) type Committed = BTreeMap<TopicPartition, i64>;

/// The consumer groups, those that only store offsets among them, at most 100 by name; and how many there are.
///
/// # Errors
///
/// When they cannot be listed.
pub(crate) async fn consumer_groups(
    admin: &Admin,
) -> Result<(Vec<GroupListing>, usize), ClientError> {
    let mut groups = admin.list_groups().await?;
    groups.retain(|group| ["consumer", ""].contains(&group.protocol_type.as_str()));
    let there = groups.len();
    groups.truncate(MOST_GROUPS);
    Ok((groups, there))
}

/// What is asked of each group, a few at a time, in their order.
pub(crate) async fn of_each<T, F: Future<Output = T>>(
    groups: Vec<GroupListing>,
    ask: impl Fn(GroupListing) -> F,
) -> Vec<T> {
    let asked = stream::iter(groups.into_iter().map(ask));
    asked.buffered(AT_ONCE).collect().await
}

/// What a group has committed.
///
/// # Errors
///
/// When its coordinator does not tell.
pub(crate) async fn committed(admin: &Admin, group: &str) -> Result<Committed, ClientError> {
    let committed = admin.group_offsets(group).await?.into_iter();
    Ok(committed
        .map(|(place, committed)| (place, committed.offset))
        .collect())
}
