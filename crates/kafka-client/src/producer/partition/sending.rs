//! A partition as its sender sees it: what there is to send, what leaves, and what comes back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_wire::batch::BatchBuilder;
use tokio::time::Instant;

use super::{Limits, Partition, State};
use crate::producer::batch::{Batch, Payload};
use crate::producer::delivery::Ack;
use crate::producer::error::ProduceError;
use crate::producer::mailbox::Listing;
use crate::producer::memory::Memory;
use crate::producer::sequencer::{Answer, Ended, Identity, Next, Stamp};

/// A broker forgets a producer that has been idle (`producer.id.expiration.ms`, a day as a rule); after this long it has to prove
/// anew that it knows us.
const PROVEN_FOR: Duration = Duration::from_secs(300);

/// What a sender finds in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visit {
    /// Another sender's now, or listed anew by this one.
    Moved,
    /// Nothing to send.
    Idle,
    /// Something waits for an answer or a time.
    Blocked(Option<Instant>),
    /// The open batch could go.
    Open,
    /// A complete batch, or one that was sent before, is to go.
    Ready,
}

/// A batch on its way.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) partition: Arc<Partition>,
    pub(crate) key: u64,
    pub(crate) stamp: Stamp,
    pub(crate) payload: Payload,
}

/// What a visit to a partition is to be told.
pub(crate) enum Taken {
    Flight(Flight),
    NeedsIdentity,
    Nothing,
}

impl Listing {
    /// What there is for the sender to this node, in whose list this is.
    pub(crate) fn visit(&self, node: i32, now: Instant, limits: &Limits, memory: &Memory) -> Visit {
        let mut guard = self.partition.state.lock();
        let state = &mut *guard;
        if !state.is_listed_as(self.number) {
            return Visit::Moved;
        }
        let has_queued = state.queue.has_next();
        if !state.has_records() {
            state.listed = false;
            state.told_full = false;
            return Visit::Idle;
        }
        if let Some(not_before) = state.not_before.filter(|t| *t > now) {
            return Visit::Blocked(Some(not_before));
        }
        if !state.may_send_to(node, limits) {
            return Visit::Blocked(None);
        }
        if has_queued {
            return Visit::Ready;
        }
        match &state.open {
            Some(batch) if state.queue.len() == 0 => {
                let leaves = batch.created + limits.linger;
                if leaves > now && !memory.is_short() {
                    Visit::Blocked(Some(leaves))
                } else {
                    Visit::Open
                }
            }
            _ => Visit::Blocked(None),
        }
    }

    /// Takes the next batch to send, closing the open one where nothing is in front of it.
    pub(crate) fn take(&self, node: i32, fresh: Identity, limits: &Limits) -> Taken {
        let mut guard = self.partition.state.lock();
        let state = &mut *guard;
        if !state.is_listed_as(self.number) || !state.may_send_to(node, limits) {
            return Taken::Nothing;
        }
        if !state.queue.has_next() && state.queue.len() == 0 {
            state.shut();
        }
        let limit = state.limit(node, limits);
        match state.queue.next(fresh, limit) {
            Next::Send { key, stamp, batch } => {
                let payload = std::mem::replace(&mut batch.payload, Payload::Out);
                state.in_flight_on = node;
                state.told_full = false;
                Taken::Flight(Flight {
                    partition: Arc::clone(&self.partition),
                    key,
                    stamp,
                    payload,
                })
            }
            Next::NeedsIdentity => Taken::NeedsIdentity,
            Next::Nothing => Taken::Nothing,
        }
    }

    /// Fails what was never sent and waits for the sender in whose list this is.
    pub(crate) fn fail_unsent(&self, error: impl Fn(bool) -> ProduceError, memory: &Memory) {
        if self.partition.state.lock().is_listed_as(self.number) {
            self.partition.fail_all(error, false, memory);
        }
    }
}

impl Partition {
    /// A flight has come back. `bytes` are the batch's, should it have to go again.
    pub(crate) fn land(
        self: &Arc<Self>,
        key: u64,
        bytes: Bytes,
        answer: Answer,
        outcome: impl Fn(&Ended<()>) -> Result<Ack, ProduceError>,
        memory: &Memory,
    ) {
        let ended = {
            let mut guard = self.state.lock();
            let state = &mut *guard;
            state.queue.put_back(key, |batch| {
                batch.payload = Payload::Sealed(bytes);
            });
            let ended = state.queue.answer(key, answer);
            match answer {
                Answer::Written => {
                    state.proven_on = Some((state.in_flight_on, Instant::now()));
                    state.backoff.reset();
                    state.not_before = None;
                }
                Answer::Again { .. } | Answer::Disordered => {
                    state.proven_on = None;
                    // One failure, however many batches it took down.
                    if state.not_before.is_none_or(|t| t <= Instant::now()) {
                        state.not_before = Some(Instant::now() + state.backoff.next());
                    }
                }
                Answer::Refused { .. } => state.proven_on = None,
            }
            if state
                .mailbox
                .as_ref()
                .is_some_and(|m| m.node != state.in_flight_on)
                && state.queue.in_flight() == 0
            {
                state.tell(self);
            }
            ended
        };
        finish(ended, outcome, memory);
    }

    /// A flight was refused for its size: its records go again in two batches, in the same places. Says no where it was
    /// given up meanwhile.
    pub(crate) fn land_halves(
        self: &Arc<Self>,
        key: u64,
        halves: [BatchBuilder; 2],
        outcome: impl Fn(&Ended<()>) -> Result<Ack, ProduceError>,
        memory: &Memory,
    ) -> bool {
        let mut ended = Vec::new();
        let was_split = {
            let mut guard = self.state.lock();
            let state = &mut *guard;
            let split = |whole: Batch| whole.into_parts(halves, &self.topic, self.index);
            let was_split = state.queue.split(key, split, &mut ended);
            if was_split {
                state.proven_on = None;
                state.tell(self);
            }
            was_split
        };
        finish(ended, outcome, memory);
        was_split
    }
}

/// Tells those who wait for batches that have ended.
fn finish(
    ended: Vec<Ended<Batch>>,
    outcome: impl Fn(&Ended<()>) -> Result<Ack, ProduceError>,
    memory: &Memory,
) {
    for Ended {
        batch,
        end,
        maybe_written,
    } in ended
    {
        let end = Ended {
            batch: (),
            end,
            maybe_written,
        };
        batch.finish(outcome(&end), memory);
    }
}

impl State {
    /// Whether this listing is the latest, and so the present leader's.
    fn is_listed_as(&self, number: u64) -> bool {
        self.listed && self.listing == number
    }

    fn limit(&self, node: i32, limits: &Limits) -> usize {
        match self.proven_on {
            Some((on, at)) if on == node && at.elapsed() < PROVEN_FOR => limits.max_in_flight,
            _ => 1,
        }
    }

    /// Order: nothing goes to a new leader while the old one has not answered.
    fn may_send_to(&self, node: i32, limits: &Limits) -> bool {
        let in_flight = self.queue.in_flight();
        in_flight == 0 || (self.in_flight_on == node && in_flight < self.limit(node, limits))
    }
}
