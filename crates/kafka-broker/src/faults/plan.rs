//! What the faults in force make of one request.

use std::time::Duration;

use kafka_wire::ResponseError;

use super::FaultAction;
use super::rule::Fault;

/// Visits what a request names.
pub(crate) type Targets<'a> = dyn Fn(&mut dyn FnMut(Target<'_>)) + 'a;

/// A request, as far as faults look at it.
pub(crate) struct Request<'a> {
    pub(crate) key: i16,
    pub(crate) node: i32,
    pub(crate) client_id: &'a str,
    pub(crate) targets: &'a Targets<'a>,
}

/// Something that a request names.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Target<'a> {
    pub(crate) topic: Option<&'a str>,
    pub(crate) partition: Option<i32>,
    pub(crate) group: Option<&'a str>,
}

impl<'a> Target<'a> {
    pub(crate) fn topic(topic: &'a str) -> Self {
        Self {
            topic: Some(topic),
            ..Self::default()
        }
    }

    pub(crate) fn partition(topic: &'a str, partition: i32) -> Self {
        Self {
            topic: Some(topic),
            partition: Some(partition),
            group: None,
        }
    }

    pub(crate) fn group(group: &'a str) -> Self {
        Self {
            group: Some(group),
            ..Self::default()
        }
    }
}

/// An error that is answered in place of the truth.
#[derive(Debug, Clone)]
pub(crate) struct Injected {
    topic: Option<String>,
    partition: Option<i32>,
    pub(crate) error: ResponseError,
}

impl Injected {
    pub(crate) fn is_for(&self, topic: &str, partition: Option<i32>) -> bool {
        self.topic.as_deref().is_none_or(|wanted| wanted == topic)
            && self
                .partition
                .is_none_or(|wanted| partition.is_none_or(|partition| wanted == partition))
    }
}

/// What is to happen to a request.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) errors: Vec<Injected>,
    pub(crate) throttle: Option<Duration>,
    pub(crate) delay: Duration,
    pub(crate) delay_answer: Duration,
    pub(crate) drop_before: bool,
    pub(crate) drop_after: bool,
    pub(crate) never_answer: bool,
    pub(crate) lose_answer: bool,
}

impl Plan {
    pub(super) fn add(&mut self, fault: &Fault) {
        match fault.action {
            FaultAction::Answer(error) => self.errors.push(Injected {
                topic: fault.topic.clone(),
                partition: fault.partition,
                error,
            }),
            FaultAction::Throttle(time) => self.throttle = self.throttle.max(Some(time)),
            FaultAction::Delay(time) => self.delay += time,
            FaultAction::DelayAnswer(time) => self.delay_answer += time,
            FaultAction::DropBefore => self.drop_before = true,
            FaultAction::DropAfter => self.drop_after = true,
            FaultAction::NeverAnswer => self.never_answer = true,
            FaultAction::LoseAnswer => self.lose_answer = true,
        }
    }

    /// The throttle time in the answer's unit.
    pub(crate) fn throttle_ms(&self) -> Option<i32> {
        self.throttle
            .map(|time| i32::try_from(time.as_millis()).unwrap_or(i32::MAX))
    }
}
