//! One partition's records on their way: the open batch, those behind it, and the broker that they go to.

mod sending;

use std::sync::Arc;
use std::time::Duration;

use kafka_wire::batch::{BatchBuilder, HEADER_LEN};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::batch::{Batch, Payload, growth, take};
use super::delivery::BatchState;
use super::error::ProduceError;
use super::mailbox::{Listing, Mailbox};
use super::memory::Memory;
use super::record::TopicRecord;
use super::sequencer::{Expired, Sequencer};
use crate::backoff::Backoff;

pub(crate) use sending::{Flight, Taken, Visit};

/// What became of a record that was offered.
pub(crate) enum Appended {
    /// It is in the batch at this place. `opened`: as its first.
    Done {
        state: Arc<BatchState>,
        index: u32,
        opened: bool,
    },
    /// This many bytes of memory are missing.
    NeedsMemory(u32),
    /// There is no open batch with room, or no leader to send it to (asked for only by the sticky choice).
    NeedsBatch,
}

/// Settings of a producer that a partition needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) batch_size: usize,
    pub(crate) linger: Duration,
    pub(crate) max_in_flight: usize,
    pub(crate) delivery_timeout: Duration,
}

#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) topic: Arc<str>,
    pub(crate) index: i32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    open: Option<Batch>,
    queue: Sequencer<Batch>,
    /// Where the leader's sender is told.
    mailbox: Option<Arc<Mailbox>>,
    /// Whether the sender has this partition in its list, as which listing, and whether it was told of a full batch since.
    listed: bool,
    listing: u64,
    told_full: bool,
    /// The broker that holds what is in flight.
    in_flight_on: i32,
    /// The broker that has acknowledged a batch of ours, and when it last did: more than one batch may be in flight to it. A
    /// broker that does not know us takes any sequence as the first, so a second batch could slip in before a first that
    /// failed.
    proven_on: Option<(i32, Instant)>,
    backoff: Backoff,
    not_before: Option<Instant>,
    /// Size that the next batch will probably have.
    expected: usize,
    closed: bool,
}

impl Partition {
    pub(crate) fn new(topic: Arc<str>, index: i32) -> Self {
        Self {
            topic,
            index,
            state: Mutex::new(State {
                open: None,
                queue: Sequencer::default(),
                mailbox: None,
                listed: false,
                listing: 0,
                told_full: false,
                in_flight_on: -1,
                proven_on: None,
                backoff: Backoff::default(),
                not_before: None,
                expected: 0,
                closed: false,
            }),
        }
    }

    /// Encodes a record into the open batch, opening one where there is none, unless `only_open`. `budget` is memory that was taken for it; what
    /// is not used stays in it.
    #[inline]
    pub(crate) fn append(
        self: &Arc<Self>,
        record: &TopicRecord<'_>,
        timestamp: i64,
        only_open: bool,
        budget: &mut u32,
        limits: &Limits,
        memory: &Memory,
    ) -> Result<Appended, ProduceError> {
        let bound = record.size_bound();
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.closed {
            return Err(ProduceError::Closed {
                maybe_written: false,
            });
        }
        // What is appended here would wait for a leader, although others may have one.
        if only_open && state.mailbox.is_none() {
            return Ok(Appended::NeedsBatch);
        }
        if let Some(batch) = &mut state.open
            && let Payload::Built(builder) = &mut batch.payload
        {
            let after = builder.len() + bound;
            if after <= limits.batch_size {
                if after > batch.reserved as usize {
                    let more = growth(after, batch.reserved, limits.batch_size);
                    if !take(memory, budget, more) {
                        return Ok(Appended::NeedsMemory(more));
                    }
                    batch.reserved += more;
                }
                let index = builder.append(timestamp, record.key, record.value, record.headers);
                return Ok(Appended::Done {
                    state: Arc::clone(&batch.state),
                    index,
                    opened: false,
                });
            }
            state.shut();
            state.tell_full(self);
        }
        if only_open {
            return Ok(Appended::NeedsBatch);
        }
        Ok(self.open_batch(state, record, timestamp, bound, budget, limits, memory))
    }

    /// Opens a batch with this record as its first.
    #[cold]
    #[allow(clippy::too_many_arguments)]
    fn open_batch(
        self: &Arc<Self>,
        state: &mut State,
        record: &TopicRecord<'_>,
        timestamp: i64,
        bound: usize,
        budget: &mut u32,
        limits: &Limits,
        memory: &Memory,
    ) -> Appended {
        let capacity = (HEADER_LEN + bound).max(state.expected.min(limits.batch_size));
        let reserved = u32::try_from(capacity).unwrap_or(u32::MAX);
        if !take(memory, budget, reserved) {
            return Appended::NeedsMemory(reserved);
        }
        let mut builder = BatchBuilder::with_buffer(memory.buffer(capacity));
        let index = builder.append(timestamp, record.key, record.value, record.headers);
        let batch_state = Arc::new(BatchState::new(Arc::clone(&self.topic), self.index));
        state.open = Some(Batch {
            payload: Payload::Built(builder),
            state: Arc::clone(&batch_state),
            created: Instant::now(),
            reserved,
        });
        state.tell(self);
        Appended::Done {
            state: batch_state,
            index,
            opened: true,
        }
    }

    /// Batches that wait here: what a record without a key avoids.
    pub(crate) fn backlog(&self) -> usize {
        self.state.lock().queue.len()
    }

    /// Gives up what is past its delivery timeout.
    pub(crate) fn expire(self: &Arc<Self>, now: Instant, limits: &Limits, memory: &Memory) {
        let timeout = limits.delivery_timeout;
        let mut gone = Vec::new();
        {
            let mut guard = self.state.lock();
            let state = &mut *guard;
            if state
                .open
                .as_ref()
                .is_some_and(|b| b.created + timeout <= now)
            {
                state.shut();
            }
            state.queue.expire(
                |batch| batch.created + timeout <= now,
                |expired| match expired {
                    Expired::Gone(ended) => gone.push((ended.batch, ended.maybe_written)),
                    Expired::InFlight(batch) => {
                        batch.state.complete(Err(self.timed_out(timeout, true)))
                    }
                },
            );
            if !gone.is_empty() {
                state.tell(self);
            }
        }
        for (batch, maybe_written) in gone {
            batch.finish(Err(self.timed_out(timeout, maybe_written)), memory);
        }
    }

    fn timed_out(&self, after: Duration, maybe_written: bool) -> ProduceError {
        ProduceError::DeliveryTimeout {
            topic: Arc::clone(&self.topic),
            partition: self.index,
            after,
            maybe_written,
        }
    }

    /// The leader is the broker of this mailbox; none while there is no leader.
    pub(crate) fn set_leader(self: &Arc<Self>, mailbox: Option<Arc<Mailbox>>) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let same = match (&state.mailbox, &mailbox) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (None, None) => true,
            _ => false,
        };
        if same {
            return;
        }
        state.mailbox = mailbox;
        // Whatever list it is in: that listing counts no more.
        state.listed = false;
        state.told_full = false;
        // What waited to try the old leader again need not wait for the new one.
        state.not_before = None;
        if state.has_records() {
            state.tell(self);
        }
    }

    /// Takes no more records; what is here goes its way.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
    }

    pub(crate) fn has_leader(&self) -> bool {
        self.state.lock().mailbox.is_some()
    }

    /// Whether records wait here for a leader.
    pub(crate) fn wants_leader(&self) -> bool {
        let state = self.state.lock();
        state.mailbox.is_none() && state.has_records()
    }

    /// Closes the open batch, so that it goes without lingering, and returns the states of all that have not ended.
    pub(crate) fn flush(self: &Arc<Self>, states: &mut Vec<Arc<BatchState>>) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.shut() {
            state.tell_full(self);
        }
        states.extend(state.queue.batches().map(|b| Arc::clone(&b.state)));
    }

    /// Fails all that has not ended; with `for_good`, also what is appended later.
    pub(crate) fn fail_all(
        &self,
        error: impl Fn(bool) -> ProduceError,
        for_good: bool,
        memory: &Memory,
    ) {
        let batches: Vec<_> = {
            let mut guard = self.state.lock();
            let state = &mut *guard;
            state.closed |= for_good;
            state.shut();
            if for_good {
                state.queue.drain().collect()
            } else {
                state.queue.take_unsent().map(|b| (b, false)).collect()
            }
        };
        for (batch, maybe_written) in batches {
            batch.finish(Err(error(maybe_written)), memory);
        }
    }
}

impl State {
    fn has_records(&self) -> bool {
        self.open.is_some() || self.queue.len() > 0
    }

    /// Moves the open batch to the queue. Returns whether there was one.
    fn shut(&mut self) -> bool {
        let Some(batch) = self.open.take() else {
            return false;
        };
        let records = match &batch.payload {
            Payload::Built(builder) => {
                // The next batch starts with room for as much, and a little more.
                self.expected = builder.len() + builder.len() / 8;
                builder.record_count()
            }
            Payload::Sealed(_) | Payload::Out => 0,
        };
        self.queue.push(batch, records);
        true
    }

    /// Has the sender look here, unless it does already.
    fn tell(&mut self, partition: &Arc<Partition>) {
        let Some(mailbox) = &self.mailbox else { return };
        if self.listed {
            mailbox.wake();
        } else {
            self.listed = true;
            self.listing += 1;
            mailbox.post(Listing {
                partition: Arc::clone(partition),
                number: self.listing,
            });
        }
    }

    fn tell_full(&mut self, partition: &Arc<Partition>) {
        if !self.told_full {
            self.told_full = true;
            self.tell(partition);
        }
    }
}
