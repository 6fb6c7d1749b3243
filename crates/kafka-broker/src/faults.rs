//! Faults on demand: intercept any request and answer it wrongly, late, or not at all.
//!
//! A [`Fault`] says which requests it is for (API, node, client, topic, partition, group), which of those it takes (after
//! how many, how many, with what probability) and what happens to them ([`FaultAction`]). Several that fit the same request
//! all take effect, in the order in which they were injected. Random decisions come from
//! [`BrokerConfig::fault_seed`](crate::BrokerConfig::fault_seed), so that a run can be repeated.
//!
//! ```no_run
//! # async fn example(broker: kafka_broker::Broker) {
//! use kafka_broker::{ApiKey, Fault, FaultAction};
//!
//! // The second produce to `orders` is appended, and its answer lost with the connection.
//! let lost = broker.faults().inject(
//!     Fault::new(FaultAction::DropAfter).on(ApiKey::Produce).topic("orders").after(1).times(1),
//! );
//! lost.wait_for_hits(1).await;
//! # }
//! ```

mod plan;
mod rule;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use kafka_wire::ResponseError;
use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::watch;

pub(crate) use plan::{Injected, Plan, Request, Target};
pub use rule::Fault;

/// What happens to a request that a [`Fault`] takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultAction {
    /// It is not carried out and answered this error. In a request for several partitions only those that the fault is for
    /// are refused.
    Answer(ResponseError),
    /// It is carried out, and the answer says that the client is throttled for so long (KIP-219). The broker itself does
    /// not hold the client back.
    Throttle(Duration),
    /// It waits for so long and is then carried out. Later requests on its connection wait with it.
    Delay(Duration),
    /// It is carried out at once and answered after so long.
    DelayAnswer(Duration),
    /// Its connection is closed, and it is not carried out.
    DropBefore,
    /// It is carried out, and its connection is closed in place of an answer.
    DropAfter,
    /// It is not carried out, and its connection falls silent: it stays open, and nothing on it is answered any more.
    NeverAnswer,
    /// It is carried out, and its connection falls silent.
    LoseAnswer,
}

/// The faults of a broker. Clones are the same faults.
#[derive(Debug, Clone)]
pub struct Faults {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Spares the requests the lock while there is no fault.
    any: AtomicBool,
    next_id: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rules: Vec<rule::Active>,
    random: StdRng,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            shared: Arc::new(Shared {
                any: AtomicBool::new(false),
                next_id: AtomicU64::new(0),
                state: Mutex::new(State {
                    rules: Vec::new(),
                    random: StdRng::seed_from_u64(seed),
                }),
            }),
        }
    }

    /// Puts a fault in force, for requests that come in from now on. It stays until it has taken as many requests as it
    /// should, or is removed; dropping the handle does not remove it.
    pub fn inject(&self, fault: Fault) -> FaultHandle {
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        let (hits, seen) = watch::channel(0);
        let mut state = self.shared.state.lock();
        state.rules.push(rule::Active::new(id, fault, hits));
        self.shared.any.store(true, Ordering::SeqCst);
        FaultHandle {
            id,
            seen,
            faults: self.clone(),
        }
    }

    /// Removes all faults.
    pub fn clear(&self) {
        let mut state = self.shared.state.lock();
        state.rules.clear();
        self.shared.any.store(false, Ordering::SeqCst);
    }

    fn remove(&self, id: u64) {
        let mut state = self.shared.state.lock();
        state.rules.retain(|rule| rule.id != id);
        self.shared
            .any
            .store(!state.rules.is_empty(), Ordering::SeqCst);
    }

    /// What is to happen to a request.
    pub(crate) fn plan(&self, request: &Request<'_>) -> Plan {
        let mut plan = Plan::default();
        if !self.shared.any.load(Ordering::SeqCst) {
            return plan;
        }
        let mut state = self.shared.state.lock();
        let State { rules, random } = &mut *state;
        for rule in rules.iter_mut() {
            if rule.takes(request, random) {
                plan.add(&rule.fault);
            }
        }
        rules.retain(|rule| !rule.is_spent());
        self.shared.any.store(!rules.is_empty(), Ordering::SeqCst);
        plan
    }
}

/// A fault in force.
#[derive(Debug, Clone)]
pub struct FaultHandle {
    id: u64,
    seen: watch::Receiver<u64>,
    faults: Faults,
}

impl FaultHandle {
    /// How many requests it has taken.
    pub fn hits(&self) -> u64 {
        *self.seen.borrow()
    }

    /// Returns once it has taken `hits` requests, or will take no more.
    pub async fn wait_for_hits(&self, hits: u64) {
        let mut seen = self.seen.clone();
        // An error says that the fault is gone.
        let _ = seen.wait_for(|taken| *taken >= hits).await;
    }

    /// Ends it.
    pub fn remove(&self) {
        self.faults.remove(self.id);
    }
}
