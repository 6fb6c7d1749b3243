//! The loop that keeps a membership: it waits for what happens, asks [`membership`](super::membership) what to do, and
//! does it. Nothing else changes the membership, and nothing here is waited for anywhere but in [`Manager::next_event`].

mod actions;
mod heartbeats;
mod topics;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use kafka_wire::ResponseError;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::commit::{self, Identity, Refusal};
use super::coordinator::Coordinator;
use super::exchange::{Answer, Context, Terms};
use super::heartbeat::Heartbeat;
use super::membership::{Input, Membership, NO_GENERATION};
use super::state::GroupPhase;
use super::wait::{Drain, or_never, poll_overdue_at, sleep_until};
use super::{Closing, Shared};
use crate::backoff::Backoff;
use crate::cluster::{AllTopics, Cluster, Metadata};
use crate::consumer::{Fetcher, LostReason, TopicPartition};
use crate::metric;

/// How often metadata is asked for while a subscribed topic does not exist.
const MISSING_TOPIC_REFRESH: Duration = Duration::from_secs(1);

/// Starts the tasks of a group; they end with the membership or when `stop` is cancelled.
pub(super) fn spawn(cluster: Cluster, shared: Arc<Shared>, stop: &CancellationToken) {
    let coordinator = Arc::new(Coordinator::new(
        cluster.clone(),
        Arc::clone(&shared.config.group_id),
    ));
    let (identity, follow_identity) = watch::channel(None);
    let (refuse, refusals) = mpsc::channel(16);
    let commits = commit::run(
        Arc::clone(&shared.commits),
        Arc::clone(&coordinator),
        follow_identity,
        refuse,
        cluster.config().request_timeout,
    );
    let stopped = stop.clone();
    tokio::spawn(async move { stopped.run_until_cancelled(commits).await });

    for topic in &shared.config.topics {
        cluster.track(topic);
    }
    let all_topics = shared.config.topic_pattern.as_ref();
    let all_topics = all_topics.map(|_| cluster.track_all());
    cluster.request_refresh();
    let manager = Manager {
        _all_topics: all_topics,
        ..Manager::new(cluster, shared, coordinator, identity, refusals)
    };
    let stopped = stop.clone();
    tokio::spawn(async move { stopped.run_until_cancelled(manager.run()).await });
}

struct Manager {
    context: Arc<Context>,
    shared: Arc<Shared>,
    membership: Membership,
    fetcher: Fetcher,
    identity: watch::Sender<Option<Identity>>,
    refusals: mpsc::Receiver<Refusal>,
    metadata: watch::Receiver<Arc<Metadata>>,
    closing: watch::Receiver<Option<Closing>>,
    /// The join, sync or leave under way: there is at most one.
    exchange: Option<BoxFuture<'static, Answer>>,
    backoff: Backoff,
    heartbeat: Heartbeat,
    drain: Option<Drain>,
    /// Questions for committed offsets.
    starts: FuturesUnordered<BoxFuture<'static, ()>>,
    /// Counts them.
    questions: u64,
    /// Wakes the loop: a partition's committed offset is to be asked for again.
    committed_wanted: Arc<Notify>,
    /// What the generation works with.
    terms: Option<Terms>,
    /// What this member, as the leader, shared out: the number of partitions by topic.
    shared_out: Option<BTreeMap<Arc<str>, i32>>,
    /// What it subscribed to when it joined.
    subscribed: Option<Vec<Arc<str>>>,
    /// Kept for as long as topics are looked for by a pattern.
    _all_topics: Option<AllTopics>,
    /// The last assignment and its generation, for sticky assignors.
    last: Option<(Vec<TopicPartition>, i32)>,
    /// Since when a subscribed topic is missing, as of the last refresh.
    missing_since: Option<Instant>,
}

/// What the loop waits for.
enum Event {
    Answer(Answer),
    Heartbeat(i32, Option<Result<(), ResponseError>>),
    HeartbeatDue,
    Drained,
    DrainBudgetOver,
    Refused(Refusal),
    Close,
    MetadataChanged,
    TopicMissing,
    PollOverdue,
    CommittedWanted,
    Nothing,
}

/// However the loop ends, nobody is left waiting.
struct EndOnDrop(Arc<Shared>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        // Not within a step any more: what a step holds ends with it, also where it panics.
        let _step = self.0.stepping.lock();
        let phase = self.0.status.borrow().phase;
        if !matches!(phase, GroupPhase::Closed | GroupPhase::Failed) {
            self.0.end(GroupPhase::Closed, LostReason::Closed);
        }
    }
}

impl Manager {
    fn new(
        cluster: Cluster,
        shared: Arc<Shared>,
        coordinator: Arc<Coordinator>,
        identity: watch::Sender<Option<Identity>>,
        refusals: mpsc::Receiver<Refusal>,
    ) -> Self {
        let config = &shared.config;
        let cooperative = config.assignors.iter().all(|a| a.is_cooperative());
        Self {
            membership: Membership::new(cooperative, config.group_instance_id.is_some()),
            fetcher: Fetcher::start(cluster.clone(), config.consumer.clone()),
            metadata: cluster.watch(),
            closing: shared.closing.subscribe(),
            context: Arc::new(Context {
                cluster,
                coordinator,
                config: config.clone(),
                cause: parking_lot::Mutex::default(),
            }),
            shared,
            identity,
            refusals,
            exchange: None,
            backoff: Backoff::default(),
            heartbeat: Heartbeat::default(),
            drain: None,
            starts: FuturesUnordered::new(),
            questions: 0,
            committed_wanted: Arc::default(),
            terms: None,
            shared_out: None,
            last: None,
            subscribed: None,
            _all_topics: None,
            missing_since: None,
        }
    }

    async fn run(mut self) {
        let _end = EndOnDrop(Arc::clone(&self.shared));
        self.step(Input::Start);
        while !matches!(
            self.membership.phase(),
            GroupPhase::Closed | GroupPhase::Failed
        ) {
            let event = self.next_event().await;
            self.handle(event);
        }
    }

    async fn next_event(&mut self) -> Event {
        let heartbeat_at = self.heartbeat.due(self.context.config.session_timeout);
        if !self.has_missing_topic() {
            self.missing_since = None;
        } else if self.missing_since.is_none() {
            self.missing_since = Some(Instant::now());
        }
        let refresh_at = self
            .missing_since
            .map(|since| since + MISSING_TOPIC_REFRESH);
        let poll_overdue_at = self.poll_overdue_at();
        tokio::select! {
            answer = or_never(self.exchange.as_mut()) => {
                self.exchange = None;
                Event::Answer(answer)
            }
            (generation, result) = or_never(self.heartbeat.under_way.as_mut()) => {
                self.heartbeat.under_way = None;
                Event::Heartbeat(generation, result)
            }
            () = sleep_until(heartbeat_at) => Event::HeartbeatDue,
            event = drained(self.drain.as_ref(), &self.shared) => event,
            Some(refusal) = self.refusals.recv() => Event::Refused(refusal),
            Ok(()) = self.closing.changed() => Event::Close,
            Ok(()) = self.metadata.changed() => Event::MetadataChanged,
            () = sleep_until(refresh_at) => Event::TopicMissing,
            () = sleep_until(poll_overdue_at) => Event::PollOverdue,
            Some(()) = self.starts.next() => Event::Nothing,
            () = self.committed_wanted.notified() => Event::CommittedWanted,
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Answer(answer) => self.answered(answer),
            Event::Heartbeat(generation, result) => self.heartbeat_answered(generation, result),
            Event::HeartbeatDue => self.heartbeat_due(),
            Event::Drained => {
                self.drain = None;
                self.step(Input::Released);
            }
            Event::DrainBudgetOver => {
                tracing::warn!(group = %self.context.config.group_id, "revoked partitions were not released within the drain budget");
                self.drain = None;
                self.step(Input::DrainBudgetOver);
            }
            Event::Refused(refusal) => self.step(Input::Refused {
                generation: refusal.generation,
                code: refusal.code,
            }),
            Event::Close => {
                let operation = self.closing.borrow().map(|closing| closing.operation);
                self.step(Input::Close(operation.unwrap_or_default()));
            }
            Event::MetadataChanged => self.check_topics(),
            Event::TopicMissing => {
                self.missing_since = None;
                self.context.cluster.request_refresh();
            }
            // They may have been polled since.
            Event::PollOverdue => {
                if self
                    .poll_overdue_at()
                    .is_some_and(|at| at <= Instant::now())
                {
                    self.step(Input::PollOverdue);
                }
            }
            Event::CommittedWanted => self.ask_committed_again(),
            Event::Nothing => {}
        }
    }

    fn answered(&mut self, answer: Answer) {
        self.terms = answer.terms.or(self.terms);
        if let Some(counts) = answer.shared_out {
            self.shared_out = Some(counts);
        }
        self.subscribed = answer.subscribed.or(self.subscribed.take());
        let input = answer.input;
        match &input {
            Input::Synced(assignment) => {
                let assignment = assignment.iter().cloned().collect();
                self.last = Some((assignment, self.membership.generation()));
                self.backoff.reset();
                self.heartbeat.answered();
            }
            Input::Joined(_) => self.heartbeat.answered(),
            // What a member of a cooperative protocol has while it joins may be another's by now.
            input if input.is_silence() && !self.membership.owned().is_empty() => {
                let session = self.context.config.session_timeout;
                if self.heartbeat.unanswered(session) {
                    self.step(Input::SessionExpired);
                }
            }
            _ => {}
        }
        self.step(input);
        self.check_topics();
    }

    fn step(&mut self, input: Input) {
        tracing::trace!(group = %self.context.config.group_id, ?input, "membership");
        let (before, generation) = (self.membership.phase(), self.membership.generation());
        let actions = self.membership.step(input);
        let phase = self.membership.phase();
        if phase != before {
            tracing::info!(
                group = %self.context.config.group_id,
                member = %self.membership.member_id(),
                generation = self.membership.generation(),
                phase = phase.as_str(),
                partitions = self.membership.owned().len(),
                "membership"
            );
        }
        let shared = Arc::clone(&self.shared);
        let _step = shared.stepping.lock();
        // Whoever is told to finish sees why. The end is told when it has come, by the action.
        if !matches!(phase, GroupPhase::Closed | GroupPhase::Failed) {
            self.publish_status(phase);
        }
        self.publish_identity();
        if ![generation, NO_GENERATION].contains(&self.membership.generation()) {
            metrics::counter!(metric::REBALANCES, "group" => Arc::clone(&self.context.config.group_id))
                .increment(1);
        }
        let client_id = &self.context.cluster.config().client_id;
        metric::assigned(
            client_id,
            &self.context.config.group_id,
            self.membership.owned().len(),
        );
        for action in actions {
            self.act(action);
        }
    }

    fn publish_status(&self, phase: GroupPhase) {
        let generation = self.membership.generation();
        let protocol = self.terms.map(|terms| terms.assignor.name());
        self.shared.status.send_if_modified(|status| {
            let mut new = status.clone();
            new.phase = phase;
            new.generation = (generation != NO_GENERATION).then_some(generation);
            new.member_id = Arc::clone(self.membership.member_id());
            new.is_leader = self.membership.is_leader();
            if new.protocol.as_deref() != protocol {
                new.protocol = protocol.map(Arc::from);
            }
            let changed = *status != new;
            *status = new;
            changed
        });
    }

    /// Commits are sent as the member that it is now.
    fn publish_identity(&self) {
        let identity = self.membership.commits_in().map(|generation| Identity {
            member_id: Arc::clone(self.membership.member_id()),
            generation,
            instance: self.context.config.group_instance_id.clone(),
        });
        self.identity.send_if_modified(|current| {
            let changed = *current != identity;
            *current = identity;
            changed
        });
    }

    fn poll_overdue_at(&self) -> Option<Instant> {
        let slots = self.shared.slots.lock();
        poll_overdue_at(&slots, self.context.config.max_poll_interval)
    }
}

/// A drain's end; never, without one.
async fn drained(drain: Option<&Drain>, shared: &Shared) -> Event {
    match drain {
        Some(drain) if drain.is_done_in_time(shared).await => Event::Drained,
        Some(_) => Event::DrainBudgetOver,
        None => std::future::pending().await,
    }
}
