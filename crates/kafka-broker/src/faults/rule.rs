//! Which requests a fault takes.

use kafka_wire::messages::ApiKey;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::sync::watch;

use super::FaultAction;
use super::plan::{Request, Target};

/// Which requests go wrong, and how. Made with [`Fault::new`] and narrowed down: a fault that nothing narrows takes every
/// request of every node.
#[derive(Debug, Clone)]
pub struct Fault {
    pub(super) action: FaultAction,
    pub(super) topic: Option<String>,
    pub(super) partition: Option<i32>,
    api: Option<ApiKey>,
    node: Option<i32>,
    client_id: Option<String>,
    group: Option<String>,
    after: u64,
    times: Option<u64>,
    probability: f64,
}

impl Fault {
    /// A fault that takes every request.
    pub fn new(action: FaultAction) -> Self {
        Self {
            action,
            topic: None,
            partition: None,
            api: None,
            node: None,
            client_id: None,
            group: None,
            after: 0,
            times: None,
            probability: 1.0,
        }
    }

    /// Only requests of this API.
    #[must_use]
    pub fn on(mut self, api: ApiKey) -> Self {
        self.api = Some(api);
        self
    }

    /// Only requests to this node.
    #[must_use]
    pub fn node(mut self, node: i32) -> Self {
        self.node = Some(node);
        self
    }

    /// Only requests of clients that go by this id.
    #[must_use]
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// Only requests that name this topic.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// Only requests that name this partition (of the fault's topic, if it has one).
    #[must_use]
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Only requests that name this consumer group.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Lets this many fitting requests pass first.
    #[must_use]
    pub fn after(mut self, requests: u64) -> Self {
        self.after = requests;
        self
    }

    /// Takes this many requests and is then gone. Without it, all.
    #[must_use]
    pub fn times(mut self, requests: u64) -> Self {
        self.times = Some(requests);
        self
    }

    /// Takes a fitting request with this probability, from 0 to 1.
    #[must_use]
    pub fn probability(mut self, probability: f64) -> Self {
        self.probability = probability.clamp(0.0, 1.0);
        self
    }

    fn fits(&self, request: &Request<'_>) -> bool {
        self.api.is_none_or(|api| api as i16 == request.key)
            && self.node.is_none_or(|node| node == request.node)
            && self
                .client_id
                .as_ref()
                .is_none_or(|id| id == request.client_id)
            && self.fits_a_target(request)
    }

    fn fits_a_target(&self, request: &Request<'_>) -> bool {
        if self.topic.is_none() && self.partition.is_none() && self.group.is_none() {
            return true;
        }
        let mut found = false;
        (request.targets)(&mut |target| found |= self.fits_target(&target));
        found
    }

    fn fits_target(&self, target: &Target<'_>) -> bool {
        fits(self.topic.as_deref(), target.topic)
            && fits(self.partition, target.partition)
            && fits(self.group.as_deref(), target.group)
    }
}

/// What is asked for is there and equal.
fn fits<T: PartialEq>(wanted: Option<T>, found: Option<T>) -> bool {
    wanted.is_none() || wanted == found
}

/// A fault in force.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) id: u64,
    pub(super) fault: Fault,
    passed: u64,
    hits: watch::Sender<u64>,
}

impl Active {
    pub(super) fn new(id: u64, fault: Fault, hits: watch::Sender<u64>) -> Self {
        Self {
            id,
            fault,
            passed: 0,
            hits,
        }
    }

    /// Whether it takes this request, which it then counts.
    pub(super) fn takes(&mut self, request: &Request<'_>, random: &mut StdRng) -> bool {
        if self.is_spent() || !self.fault.fits(request) {
            return false;
        }
        if self.passed < self.fault.after {
            self.passed += 1;
            return false;
        }
        if self.fault.probability < 1.0 && !random.random_bool(self.fault.probability) {
            return false;
        }
        self.hits.send_modify(|hits| *hits += 1);
        true
    }

    pub(super) fn is_spent(&self) -> bool {
        self.fault
            .times
            .is_some_and(|times| *self.hits.borrow() >= times)
    }
}
