//! Where a group stands in each partition: for GET /offsets and the command line.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_client::{Admin, ClientError, GroupHandle, OffsetAt, PartitionState, TopicPartition};
use serde::Serialize;
use tokio::sync::watch;
use warp::reply::Response;
use warp::{Filter, Reply};

use crate::http::{Page, Problem, Routes, get, no_query, ok};

/// How long somebody who asks over HTTP waits for Kafka. The client itself would go on looking for it for half a minute.
const PATIENCE: Duration = Duration::from_secs(3);

/// One partition of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OffsetRow {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Whether this process reads it.
    pub owner: bool,
    /// The offset that is handled next; null where another process reads the partition.
    pub position: Option<i64>,
    /// The offset that the group has committed; null if it has not.
    pub committed: Option<i64>,
    /// The offset of the next record to be written.
    pub end: i64,
    /// Records that are not committed yet.
    pub lag: i64,
    /// Whether this process reads the partition and is told to pause.
    pub paused: bool,
}

/// A row for each partition of the topics, by topic and partition.
///
/// # Errors
///
/// [`ClientError`] when Kafka is away, or one of the topics.
pub async fn rows(
    admin: &Admin,
    group: &str,
    topics: &[&str],
    member: Option<&GroupHandle>,
) -> Result<Vec<OffsetRow>, ClientError> {
    let mut partitions = Vec::new();
    for (topic, described) in admin.describe_topics(topics).await? {
        let described = described?.partitions;
        partitions.extend(
            described
                .iter()
                .map(|p| TopicPartition::new(topic.as_str(), p.partition)),
        );
    }
    let (committed, starts, ends) = tokio::try_join!(
        admin.group_offsets_of(group, &partitions),
        admin.list_offsets(&partitions, OffsetAt::Earliest),
        admin.list_offsets(&partitions, OffsetAt::Latest)
    )?;
    let owned: BTreeMap<TopicPartition, PartitionState> = member
        .map(|member| member.state().partitions)
        .unwrap_or_default()
        .into_iter()
        .map(|state| (state.partition.clone(), state))
        .collect();
    let mut rows = Vec::with_capacity(partitions.len());
    for ((partition, start), (_, end)) in starts.into_iter().zip(ends) {
        let (start, end) = (
            start?.offset.unwrap_or_default(),
            end?.offset.unwrap_or_default(),
        );
        let committed = committed.get(&partition).map(|found| found.offset);
        let owned = owned.get(&partition);
        rows.push(OffsetRow {
            owner: owned.is_some(),
            position: owned.and_then(|state| state.position),
            paused: owned.is_some_and(|state| state.paused),
            committed,
            end,
            lag: (end - committed.unwrap_or(start).max(start)).max(0),
            topic: partition.topic.to_string(),
            partition: partition.partition,
        });
    }
    rows.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    Ok(rows)
}

/// GET /offsets: the rows, or a 503 if Kafka has not told them within 3 s.
pub fn route(
    admin: Admin,
    group: &'static str,
    topics: Vec<&'static str>,
    membership: watch::Receiver<Option<GroupHandle>>,
) -> Routes {
    warp::path!("offsets")
        .and(get())
        .and(no_query())
        .then(move |query| {
            let (admin, topics) = (admin.clone(), topics.clone());
            let member = membership.borrow().clone();
            async move {
                // In a box, since it is large.
                let rows = Box::pin(rows(&admin, group, &topics, member.as_ref()));
                reply(query, rows)
                    .await
                    .unwrap_or_else(Reply::into_response)
            }
        })
        .boxed()
}

async fn reply(
    query: Result<(), Problem>,
    rows: impl Future<Output = Result<Vec<OffsetRow>, ClientError>>,
) -> Result<Response, Problem> {
    query?;
    let unavailable = || Problem::unavailable("Kafka does not tell the offsets, try again");
    match tokio::time::timeout(PATIENCE, rows).await {
        Ok(Ok(items)) => Ok(ok(&Page { items, next: None })),
        Ok(Err(error)) => {
            tracing::warn!(%error, "cannot learn the offsets");
            Err(unavailable())
        }
        // Not logged: whoever asks sees it, and the worker tells of a Kafka that is away.
        Err(_) => Err(unavailable()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::reply;

    #[tokio::test(start_paused = true)]
    async fn kafka_that_does_not_answer_is_given_up_soon() {
        let asked = reply(Ok(()), std::future::pending());
        let answer = tokio::time::timeout(Duration::from_secs(4), asked).await;
        let problem = answer.unwrap().unwrap_err();
        assert_eq!(problem.status().as_u16(), 503);
    }
}
