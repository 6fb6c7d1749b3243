//! Sending commits: what waits goes out in one request, and each partition's answer is carried out.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use kafka_wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_wire::messages::{GroupId, OffsetCommitRequest, OffsetCommitResponse, TopicName};
use kafka_wire::{ResponseError, StrBytes};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Commits, Entry, Identity, Refusal, Settled};
use crate::backoff::Backoff;
use crate::consumer::ConsumerError;
use crate::error::{ClientError, GroupVerdict};
use crate::group::coordinator::{Coordinator, Lane};
use crate::metric;

/// Sends commits as they come.
pub(in crate::group) async fn run(
    commits: Arc<Commits>,
    coordinator: Arc<Coordinator>,
    mut identity: watch::Receiver<Option<Identity>>,
    refusals: mpsc::Sender<Refusal>,
    request_timeout: Duration,
) {
    let mut backoff = Backoff::default();
    loop {
        if !commits.has_waiting() {
            commits.wake.notified().await;
        }
        let Some(sender) = identity.borrow_and_update().clone() else {
            // Not in the group: there is nobody to commit as. What takes too long is answered meanwhile.
            wait_for_identity(&commits, &mut identity).await;
            continue;
        };
        let mut entries = commits.take();
        if entries.is_empty() {
            commits.finish(Vec::new(), entries);
            continue;
        }
        let request = build(coordinator.group(), &sender, &entries);
        let sent = Instant::now();
        let exchange = coordinator.request(Lane::Member, request, request_timeout);
        let answer = telling_the_late(&commits, &mut entries, exchange).await;
        metrics::histogram!(metric::COMMIT_DURATION, "group" => Arc::clone(coordinator.group()))
            .record(sent.elapsed());
        let (settled, again) = match answer {
            Ok(response) => settle(entries, response, &coordinator, &sender, &refusals),
            Err(error) => fail(entries, &error),
        };
        let failed = !again.is_empty();
        commits.finish(settled, again);
        if failed {
            // A new generation makes a commit that was refused in mid-rebalance good again at once.
            let changed = tokio::time::timeout(backoff.next(), identity.changed());
            if matches!(
                telling_the_late(&commits, &mut [], changed).await,
                Ok(Err(_))
            ) {
                return;
            }
        } else {
            backoff.reset();
        }
    }
}

/// Waits for `work`, and meanwhile tells whoever has waited for a commit for as long as it may, be it one of `under_way` or one
/// that came since: the coordinator may be silent for longer than that.
async fn telling_the_late<T>(
    commits: &Commits,
    under_way: &mut [Entry],
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    loop {
        let of_those = under_way.iter().filter_map(Entry::first_waiter).min();
        let first = of_those.into_iter().chain(commits.first_waiter()).min();
        let late = async {
            match first {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            done = &mut work => return done,
            // Nothing is sent while this one works, so what wakes for a commit is only for its deadline.
            () = commits.wake.notified() => {}
            () = late => {
                let now = Instant::now();
                under_way.iter_mut().for_each(|entry| entry.time_out(now));
                commits.time_out(now);
            }
        }
    }
}

async fn wait_for_identity(commits: &Commits, identity: &mut watch::Receiver<Option<Identity>>) {
    let deadline = commits.first_deadline().unwrap_or_else(Instant::now);
    tokio::select! {
        changed = timeout_at(deadline, identity.changed()) => if changed.is_err() {
            commits.finish(Vec::new(), commits.take());
        },
        () = commits.wake.notified() => commits.finish(Vec::new(), commits.take()),
    }
}

fn build(group: &Arc<str>, sender: &Identity, entries: &[Entry]) -> OffsetCommitRequest {
    let string = |s: &str| StrBytes::from_string(s.to_owned());
    let mut topics: Vec<OffsetCommitRequestTopic> = Vec::new();
    // The entries are in the order of topic and partition.
    for entry in entries {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(entry.slot.id.partition)
            .with_committed_offset(entry.offset)
            .with_committed_leader_epoch(entry.leader_epoch)
            .with_committed_metadata(Some(StrBytes::default()));
        match topics.last_mut() {
            Some(topic) if topic.name.as_str() == &*entry.slot.id.topic => {
                topic.partitions.push(partition);
            }
            _ => topics.push(
                OffsetCommitRequestTopic::default()
                    .with_name(TopicName(string(&entry.slot.id.topic)))
                    .with_partitions(vec![partition]),
            ),
        }
    }
    OffsetCommitRequest::default()
        .with_group_id(GroupId(string(group)))
        .with_generation_id_or_member_epoch(sender.generation)
        .with_member_id(string(&sender.member_id))
        .with_group_instance_id(sender.instance.as_deref().map(string))
        .with_topics(topics)
}

/// How each partition's commit ended, and those to be tried again.
fn settle(
    entries: Vec<Entry>,
    response: OffsetCommitResponse,
    coordinator: &Coordinator,
    sender: &Identity,
    refusals: &mpsc::Sender<Refusal>,
) -> (Settled, Vec<Entry>) {
    let mut codes: BTreeMap<(&str, i32), i16> = BTreeMap::new();
    for topic in &response.topics {
        for p in &topic.partitions {
            codes.insert((topic.name.as_str(), p.partition_index), p.error_code);
        }
    }
    let (mut settled, mut again) = (Settled::new(), Vec::new());
    for mut entry in entries {
        let code = codes.get(&(&*entry.slot.id.topic, entry.slot.id.partition));
        let code = match code.map(|code| ResponseError::try_from_code(*code)) {
            Some(None) => {
                settled.push((entry, Ok(())));
                continue;
            }
            Some(Some(code)) => code,
            // A partition without an answer is a partition without a commit.
            None => ResponseError::UnknownServerError,
        };
        entry.last_error = Some(code.to_string());
        coordinator.heed(code);
        match GroupVerdict::of(code) {
            GroupVerdict::Retry => again.push(entry),
            // The membership decides: a new generation is on its way, or the partitions are lost.
            GroupVerdict::Rebalance
            | GroupVerdict::IllegalGeneration
            | GroupVerdict::UnknownMember
            | GroupVerdict::Fenced => {
                let _ = refusals.try_send(Refusal {
                    generation: sender.generation,
                    code,
                });
                again.push(entry);
            }
            GroupVerdict::Fatal | GroupVerdict::MemberIdRequired => {
                let error = ConsumerError::Commit {
                    partition: entry.slot.id.clone(),
                    offset: entry.offset,
                    code,
                };
                settled.push((entry, Err(error)));
            }
        }
    }
    (settled, again)
}

/// The request did not come through, or its answer did not: a commit may be repeated.
fn fail(entries: Vec<Entry>, error: &ClientError) -> (Settled, Vec<Entry>) {
    tracing::debug!(%error, "commit failed");
    let (mut settled, mut again) = (Settled::new(), Vec::new());
    for mut entry in entries {
        if error.is_retriable() {
            entry.last_error = Some(error.to_string());
            again.push(entry);
        } else {
            settled.push((entry, Err(ConsumerError::Client(error.clone()))));
        }
    }
    (settled, again)
}
