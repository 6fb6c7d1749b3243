//! Which partitions are fetched from where: the list of partitions, the task a broker, and the routing between them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::broker::BrokerTask;
use super::config::ConsumerConfig;
use super::error::ConsumerError;
use super::slot::{Slot, Start};
use super::watchdog::Watchdog;
use super::{offsets, validate};
use crate::cluster::Cluster;
use crate::error::ClientError;

/// How often metadata is asked for while a partition has no leader.
const LEADERLESS_REFRESH: Duration = Duration::from_millis(250);

/// Handle on the fetching; the last one to go stops its tasks.
#[derive(Debug, Clone)]
pub(crate) struct Fetcher {
    shared: Arc<Shared>,
    _stop: Arc<DropGuard>,
}

/// What the tasks share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) cluster: Cluster,
    pub(super) config: ConsumerConfig,
    slots: Mutex<Vec<Arc<Slot>>>,
    brokers: Mutex<HashMap<i32, Route>>,
    /// Wakes the supervisor: partitions to route, or without an offset.
    wake: Notify,
    stop: CancellationToken,
}

/// The partitions that one broker's task fetches.
#[derive(Debug)]
struct Route {
    list: Arc<BrokerSlots>,
    _stop: DropGuard,
}

/// As seen by the task.
#[derive(Debug, Default)]
pub(super) struct BrokerSlots {
    pub(super) slots: Mutex<Vec<Arc<Slot>>>,
    pub(super) wake: Arc<Notify>,
    /// Until when the broker asked to be spared (KIP-219).
    spared_until: Mutex<Option<Instant>>,
}

impl BrokerSlots {
    /// The broker asks to be left alone until then: its partitions do not move, and that is right.
    pub(super) fn spare(&self, until: Instant) {
        let mut spared = self.spared_until.lock();
        *spared = (*spared).max(Some(until));
    }

    fn is_spared(&self, now: Instant) -> bool {
        self.spared_until.lock().is_some_and(|until| until > now)
    }
}

impl Fetcher {
    /// Starts the supervisor; brokers' tasks start when there is something to fetch from them.
    pub(crate) fn start(cluster: Cluster, config: ConsumerConfig) -> Self {
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            cluster,
            config,
            slots: Mutex::default(),
            brokers: Mutex::default(),
            wake: Notify::new(),
            stop: stop.clone(),
        });
        let supervisor = Arc::clone(&shared);
        let stopped = stop.clone();
        tokio::spawn(async move {
            stopped.run_until_cancelled(supervisor.supervise()).await;
            // The brokers' tasks end with their routes.
            supervisor.brokers.lock().clear();
        });
        Self {
            shared,
            _stop: Arc::new(stop.drop_guard()),
        }
    }

    pub(crate) fn config(&self) -> &ConsumerConfig {
        &self.shared.config
    }

    /// The most bytes that a batch may take decompressed: as much as a response may have.
    pub(crate) fn decompressed_limit(&self) -> usize {
        self.shared.cluster.config().max_response_bytes
    }

    /// Begins to fetch these partitions.
    pub(crate) fn add(&self, slots: &[Arc<Slot>]) {
        let mut unknown = false;
        for slot in slots {
            unknown |= self.shared.cluster.track(&slot.id.topic);
        }
        self.shared.slots.lock().extend(slots.iter().cloned());
        if unknown {
            self.shared.cluster.request_refresh();
        }
        self.shared.route();
        self.shared.wake.notify_one();
    }

    /// Ends fetching a partition.
    pub(crate) fn remove(&self, slot: &Arc<Slot>) {
        self.shared.slots.lock().retain(|s| !Arc::ptr_eq(s, slot));
        for route in self.shared.brokers.lock().values() {
            route.list.slots.lock().retain(|s| !Arc::ptr_eq(s, slot));
        }
        let mut state = slot.lock();
        state.clear_buffer();
        state.in_flight = None;
        state.fetcher = None;
    }

    /// Has the partitions without an offset, or with one in doubt, looked after.
    pub(crate) fn wake(&self) {
        self.shared.wake.notify_one();
    }
}

/// The partitions whose place is to be asked for.
#[derive(Debug, Default)]
struct Unplaced {
    missing: Vec<offsets::Missing>,
    doubts: Vec<validate::Doubt>,
    /// When to look again at those that were just refused.
    again_at: Option<Instant>,
}

/// What routing found.
#[derive(Debug, Default)]
struct Routed {
    /// Some partitions have no leader.
    leaderless: bool,
    /// When a replica near by is no longer to be believed in.
    again_at: Option<Instant>,
}

impl Routed {
    fn look_again(&mut self, at: Instant) {
        self.again_at = Some(self.again_at.map_or(at, |earlier| earlier.min(at)));
    }
}

pub(super) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl Shared {
    /// Has the supervisor look at routes and resets.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    async fn supervise(self: &Arc<Self>) {
        let mut metadata = self.cluster.watch();
        let mut progress = self.cluster.watch_progress();
        let mut resets = FuturesUnordered::new();
        let mut checks = FuturesUnordered::new();
        let mut refresh_at: Option<Instant> = None;
        let patience = self
            .config
            .stall_timeout
            .max(self.config.fetch_max_wait * 2);
        let mut watchdog = Watchdog::new(patience);
        loop {
            let mut routed = self.route();
            refresh_at = routed
                .leaderless
                .then(|| refresh_at.unwrap_or_else(|| Instant::now() + LEADERLESS_REFRESH));
            let Unplaced {
                missing,
                doubts,
                again_at,
            } = self.take_unplaced();
            if !missing.is_empty() {
                for asked in offsets::by_leader(&self.cluster, missing) {
                    resets.push(offsets::reset(&self.cluster, &self.config, asked));
                }
            }
            if !doubts.is_empty() {
                let (cluster, config) = (&self.cluster, &self.config);
                checks.push(validate::validate(cluster, config, &self.wake, doubts));
            }
            again_at.into_iter().for_each(|at| routed.look_again(at));
            tokio::select! {
                () = self.wake.notified() => {}
                changed = metadata.changed() => if changed.is_err() { return },
                Ok(()) = progress.changed() => {
                    let refusal = progress.borrow_and_update().refusal.clone();
                    if let Some(error) = refusal {
                        self.fail_unrouted(&error);
                    }
                }
                Some(()) = resets.next() => {}
                Some(()) = checks.next() => {}
                () = sleep_until(routed.again_at) => {}
                () = watchdog.time_to_look() => {
                    for slot in watchdog.stalled(&self.expected_to_move()) {
                        self.start_anew(&slot);
                    }
                }
                () = sleep_until(refresh_at) => {
                    refresh_at = None;
                    self.cluster.request_refresh();
                }
            }
        }
    }

    /// The partitions without an offset, and those with one in doubt, that are not being seen to.
    fn take_unplaced(&self) -> Unplaced {
        let now = Instant::now();
        let slots = self.slots.lock();
        let mut unplaced = Unplaced::default();
        for slot in slots.iter() {
            let mut state = slot.lock();
            let (slot, start, seeks) = (Arc::clone(slot), state.start, state.seeks);
            let seen_to = state.resetting == Some(seeks);
            let is_placed = matches!(start, Start::AwaitsCommitted | Start::Ready);
            if !state.is_held() || state.failure.is_some() || seen_to || is_placed {
                continue;
            }
            if let Some(later) = state.not_before.filter(|at| *at > now) {
                let first = unplaced.again_at.map_or(later, |at| at.min(later));
                unplaced.again_at = Some(first);
                continue;
            }
            state.resetting = Some(seeks);
            if start == Start::Unvalidated {
                unplaced.doubts.push(validate::Doubt { slot, seeks });
            } else {
                let missing = offsets::Missing { slot, start, seeks };
                unplaced.missing.push(missing);
            }
        }
        unplaced
    }

    /// The partitions whose broker may be asked for them.
    fn expected_to_move(&self) -> Vec<Arc<Slot>> {
        let now = Instant::now();
        let mut slots = self.slots.lock().clone();
        for route in self.brokers.lock().values() {
            if route.list.is_spared(now) {
                let spared = route.list.slots.lock();
                slots.retain(|slot| !spared.iter().any(|of| Arc::ptr_eq(of, slot)));
            }
        }
        slots
    }

    /// Has a partition that stands still fetched anew. Its broker's task goes with it, connections and all: the next routing
    /// makes another, for all partitions of that broker.
    fn start_anew(&self, slot: &Arc<Slot>) {
        let mut state = slot.lock();
        tracing::warn!(
            partition = %slot.id,
            start = ?state.start,
            position = state.position,
            fetch_offset = state.fetch_offset,
            end = state.high_watermark,
            in_flight = state.in_flight.is_some(),
            routed = state.fetcher.is_some(),
            "partition does not move, fetching it anew"
        );
        slot.meters.stalls.increment(1);
        state.in_flight = None;
        state.resetting = None;
        state.not_before = None;
        state.ask_committed_anew();
        state.leave_replica(self.cluster.config().metadata_max_age);
        let fetcher = state.fetcher.take();
        drop(state);
        self.brokers.lock().retain(|_, route| {
            !fetcher
                .as_ref()
                .is_some_and(|wake| Arc::ptr_eq(wake, &route.list.wake))
        });
        self.cluster.request_refresh();
    }

    /// Fails the partitions whose broker cannot be learned.
    fn fail_unrouted(&self, error: &ClientError) {
        for slot in self.slots.lock().iter() {
            if slot.lock().fetcher.is_none() {
                slot.fail(ConsumerError::Client(error.clone()));
            }
        }
    }

    /// Hands every partition to the task of its broker.
    fn route(self: &Arc<Self>) -> Routed {
        let now = Instant::now();
        let metadata = self.cluster.metadata();
        let slots = self.slots.lock();
        let mut by_node: HashMap<i32, Vec<Arc<Slot>>> = HashMap::new();
        let mut routed = Routed::default();
        for slot in slots.iter() {
            let leader = self.cluster.leader(&slot.id.topic, slot.id.partition);
            let mut state = slot.lock();
            if let Some(leader) = leader {
                state.doubt(leader.epoch);
            }
            state.preferred = state
                .preferred
                .filter(|(node, until)| *until > now && metadata.brokers.contains_key(node));
            let node = match state.preferred {
                Some((node, until)) => {
                    routed.look_again(until);
                    Some(node)
                }
                None => leader
                    .map(|leader| leader.node)
                    .filter(|node| metadata.brokers.contains_key(node)),
            };
            match node {
                Some(node) => by_node.entry(node).or_default().push(Arc::clone(slot)),
                None => {
                    // One that has failed is looked after when it is polled again.
                    routed.leaderless |= state.failure.is_none();
                    state.fetcher = None;
                }
            }
        }
        let mut brokers = self.brokers.lock();
        if self.stop.is_cancelled() {
            return Routed::default();
        }
        brokers.retain(|node, _| by_node.contains_key(node));
        for (node, slots) in by_node {
            let route = brokers.entry(node).or_insert_with(|| self.open_route(node));
            for slot in &slots {
                let mut state = slot.lock();
                let same = state
                    .fetcher
                    .as_ref()
                    .is_some_and(|wake| Arc::ptr_eq(wake, &route.list.wake));
                if !same {
                    // The answer that may be under way from the broker before is not waited for: that broker may be gone.
                    state.in_flight = None;
                    state.fetcher = Some(Arc::clone(&route.list.wake));
                }
            }
            *route.list.slots.lock() = slots;
            route.list.wake.notify_one();
        }
        routed
    }

    fn open_route(self: &Arc<Self>, node: i32) -> Route {
        let list = Arc::new(BrokerSlots::default());
        let stop = CancellationToken::new();
        let task = BrokerTask::new(node, Arc::clone(self), Arc::clone(&list));
        let stopped = stop.clone();
        tokio::spawn(async move { stopped.run_until_cancelled(task.run()).await });
        Route {
            list,
            _stop: stop.drop_guard(),
        }
    }
}

#[cfg(test)]
mod tests;
