//! Gives the groups their locks, their clock and their answers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kafka_wire::{ResponseError, StrBytes};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use crate::group::{
    Effect, Group, JoinAnswer, JoinRequest, Limits, Offsets, SyncAnswer, SyncRequest, Time, Token,
};

/// A timer that no group set.
const NEVER: Time = Duration::MAX;

/// All groups of the cluster, whichever node coordinates them.
#[derive(Debug)]
pub(crate) struct Groups {
    limits: Limits,
    max_groups: usize,
    started: Instant,
    by_name: RwLock<BTreeMap<String, Arc<Cell>>>,
    timers: Mutex<BinaryHeap<Reverse<(Time, String)>>>,
    earlier_timer: Notify,
    tokens: AtomicU64,
}

#[derive(Debug)]
struct Cell {
    name: String,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    group: Group,
    offsets: Offsets,
    joins: HashMap<Token, oneshot::Sender<JoinAnswer>>,
    syncs: HashMap<Token, oneshot::Sender<SyncAnswer>>,
    /// The timer that counts; what else is in the heap for this group is out of date.
    timer: Time,
}

impl Inner {
    fn answer(&mut self, effects: Vec<Effect>) {
        // Whoever asked may have hung up: then nobody receives, and that is all there is to it.
        for effect in effects {
            match effect {
                Effect::Join(token, answer) => {
                    if let Some(waiting) = self.joins.remove(&token) {
                        let _ = waiting.send(answer);
                    }
                }
                Effect::Sync(token, answer) => {
                    if let Some(waiting) = self.syncs.remove(&token) {
                        let _ = waiting.send(answer);
                    }
                }
            }
        }
    }
}

/// What a handler works on while it holds a group's lock.
pub(crate) struct Held<'a> {
    pub(crate) group: &'a mut Group,
    pub(crate) offsets: &'a mut Offsets,
    pub(crate) now: Time,
    pub(crate) effects: Vec<Effect>,
}

impl Groups {
    pub(crate) fn new(limits: Limits, max_groups: usize) -> Self {
        Self {
            limits,
            max_groups,
            started: Instant::now(),
            by_name: RwLock::default(),
            timers: Mutex::default(),
            earlier_timer: Notify::new(),
            tokens: AtomicU64::new(0),
        }
    }

    fn now(&self) -> Time {
        self.started.elapsed()
    }

    fn cell(&self, name: &str) -> Option<Arc<Cell>> {
        self.by_name.read().get(name).cloned()
    }

    fn cell_or_new(&self, name: &str) -> Result<Arc<Cell>, ResponseError> {
        if let Some(cell) = self.cell(name) {
            return Ok(cell);
        }
        let mut groups = self.by_name.write();
        if let Some(cell) = groups.get(name) {
            return Ok(Arc::clone(cell));
        }
        if groups.len() >= self.max_groups {
            tracing::warn!(
                group = name,
                groups = groups.len(),
                "refused a new group, there are too many"
            );
            return Err(ResponseError::CoordinatorNotAvailable);
        }
        let cell = Arc::new(Cell {
            name: name.to_owned(),
            inner: Mutex::new(Inner {
                group: Group::new(self.limits),
                offsets: Offsets::default(),
                joins: HashMap::new(),
                syncs: HashMap::new(),
                timer: NEVER,
            }),
        });
        groups.insert(name.to_owned(), Arc::clone(&cell));
        Ok(cell)
    }

    /// Works on a group if there is one.
    pub(crate) fn with<T>(&self, name: &str, work: impl FnOnce(&mut Held<'_>) -> T) -> Option<T> {
        let cell = self.cell(name)?;
        let mut inner = cell.inner.lock();
        if inner.group.is_dead() {
            return None;
        }
        Some(self.work(&cell, &mut inner, work))
    }

    /// Works on a group, which is made if there is none.
    pub(crate) fn with_new<T>(
        &self,
        name: &str,
        work: impl FnOnce(&mut Held<'_>) -> T,
    ) -> Result<T, ResponseError> {
        loop {
            let cell = self.cell_or_new(name)?;
            let mut inner = cell.inner.lock();
            if !inner.group.is_dead() {
                return Ok(self.work(&cell, &mut inner, work));
            }
            // Deleted between the look-up and the lock.
            drop(inner);
            self.forget(&cell);
        }
    }

    /// Frees the name of a group that is dead.
    fn forget(&self, dead: &Arc<Cell>) {
        let mut groups = self.by_name.write();
        if groups
            .get(&dead.name)
            .is_some_and(|cell| Arc::ptr_eq(cell, dead))
        {
            groups.remove(&dead.name);
        }
    }

    fn work<T>(&self, cell: &Cell, inner: &mut Inner, work: impl FnOnce(&mut Held<'_>) -> T) -> T {
        let mut held = Held {
            group: &mut inner.group,
            offsets: &mut inner.offsets,
            now: self.now(),
            effects: Vec::new(),
        };
        let result = work(&mut held);
        let effects = held.effects;
        inner.answer(effects);
        self.set_timer(cell, inner);
        result
    }

    /// Timers are moved forward at once; one that went off too early is set anew when it goes off. So heartbeats, which
    /// put deadlines off, cost nothing.
    fn set_timer(&self, cell: &Cell, inner: &mut Inner) {
        let Some(deadline) = inner.group.next_deadline() else {
            return;
        };
        if deadline >= inner.timer {
            return;
        }
        inner.timer = deadline;
        let mut timers = self.timers.lock();
        let is_next = timers.peek().is_none_or(|Reverse((at, _))| deadline < *at);
        timers.push(Reverse((deadline, cell.name.clone())));
        drop(timers);
        if is_next {
            self.earlier_timer.notify_one();
        }
    }

    /// Runs the groups' timers, for as long as it is polled.
    pub(crate) async fn run_timers(&self) {
        loop {
            let next = self.timers.lock().peek().map(|Reverse((at, _))| *at);
            let sleep = async {
                match next.and_then(|at| self.started.checked_add(at)) {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = sleep => self.fire(),
                () = self.earlier_timer.notified() => {}
            }
        }
    }

    fn fire(&self) {
        let now = self.now();
        loop {
            let due = {
                let mut timers = self.timers.lock();
                if timers.peek().is_none_or(|Reverse((at, _))| *at > now) {
                    return;
                }
                timers.pop()
            };
            let Some(Reverse((at, name))) = due else {
                return;
            };
            let Some(cell) = self.cell(&name) else {
                continue;
            };
            let mut inner = cell.inner.lock();
            if inner.timer == at {
                inner.timer = NEVER;
                let now = self.now();
                self.work(&cell, &mut inner, |held| {
                    held.group.tick(now, &mut held.effects);
                });
            }
        }
    }

    fn token(&self) -> Token {
        Token(self.tokens.fetch_add(1, Ordering::Relaxed))
    }

    /// A member joins. The answer comes when the group has a new generation, or at once.
    pub(crate) fn join(
        &self,
        name: &str,
        request: JoinRequest,
    ) -> Result<oneshot::Receiver<JoinAnswer>, ResponseError> {
        // Kafka's form of a member id: the name that the client goes by, and a random part.
        let known_as = request.instance_id.as_ref().unwrap_or(&request.client_id);
        let fresh_id = StrBytes::from_string(format!("{known_as}-{}", Uuid::new_v4()));
        let token = self.token();
        let (answer, answered) = oneshot::channel();
        let enter = |cell: &Cell, inner: &mut Inner| {
            inner.joins.insert(token, answer);
            self.work(cell, inner, |held| {
                held.group
                    .join(held.now, request, fresh_id, token, &mut held.effects);
            });
            inner.joins.retain(|_, waiting| !waiting.is_closed());
        };
        loop {
            let cell = self.cell_or_new(name)?;
            let mut inner = cell.inner.lock();
            if !inner.group.is_dead() {
                enter(&cell, &mut inner);
                return Ok(answered);
            }
            drop(inner);
            self.forget(&cell);
        }
    }

    /// A member asks for its assignment. The answer comes when the leader has brought it, or at once; `None` when there is
    /// no such group.
    pub(crate) fn sync(
        &self,
        name: &str,
        request: SyncRequest,
    ) -> Option<oneshot::Receiver<SyncAnswer>> {
        let token = self.token();
        let (answer, answered) = oneshot::channel();
        let cell = self.cell(name)?;
        let mut inner = cell.inner.lock();
        if inner.group.is_dead() {
            return None;
        }
        inner.syncs.insert(token, answer);
        self.work(&cell, &mut inner, |held| {
            held.group.sync(held.now, request, token, &mut held.effects);
        });
        inner.syncs.retain(|_, waiting| !waiting.is_closed());
        Some(answered)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.read().is_empty()
    }

    /// The names of all groups, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        self.by_name.read().keys().cloned().collect()
    }

    /// Takes a group out, if `may` says so.
    pub(crate) fn delete(
        &self,
        name: &str,
        may: impl FnOnce(&Group) -> Result<(), ResponseError>,
    ) -> Result<(), ResponseError> {
        let cell = self.cell(name).ok_or(ResponseError::GroupIdNotFound)?;
        {
            let mut inner = cell.inner.lock();
            if inner.group.is_dead() {
                return Err(ResponseError::GroupIdNotFound);
            }
            self.work(&cell, &mut inner, |held| {
                may(held.group)?;
                held.group.kill(&mut held.effects);
                Ok(())
            })?;
        }
        self.forget(&cell);
        Ok(())
    }

    /// The group is coordinated elsewhere from now on.
    pub(crate) fn move_away(&self, name: &str) {
        self.with(name, |held| {
            held.group.move_away(held.now, &mut held.effects);
        });
    }

    /// The group is coordinated nowhere from now on.
    pub(crate) fn suspend(&self, name: &str) {
        self.with(name, |held| {
            held.group.suspend(held.now, &mut held.effects);
        });
    }

    /// Forgets the committed offsets of a topic that was deleted.
    pub(crate) fn forget_topic(&self, topic: &str) {
        for name in self.names() {
            self.with(&name, |held| held.offsets.remove_topic(topic));
        }
    }
}
