//! The order of one partition's batches and the sequences of the idempotent producer (KIP-98, KIP-360), without any I/O.
//!
//! Batches are sent in order, several in flight. If one fails, no further one is sent until all that are in flight have been answered; then
//! every batch that is still wanted goes out again, in order. A batch keeps its stamp (producer id, epoch, sequence) as long
//! as it may have been written: the broker recognises it by that stamp, and under any other it would be written twice.
//!
//! When a sequence is lost for good (a batch was given up, or the broker has forgotten us), the partition goes on
//! under the next epoch, from sequence 0. A broker keeps epochs a partition, so a partition's epoch is its own affair, and an
//! idempotent producer counts it up by itself (KIP-360). Whatever may have been written under the old epoch is resolved first.

mod outcome;
mod stamp;

use std::collections::VecDeque;

pub(crate) use outcome::{Answer, End, Ended, Expired, Next};
pub(crate) use stamp::{Identity, Stamp};
use stamp::{UsedUp, advance};

/// A broker recognises a repetition of a producer's last five batches of a partition, and of none before.
const REMEMBERED_BATCHES: i64 = 5;

#[derive(Debug)]
struct Entry<B> {
    key: u64,
    batch: B,
    records: u32,
    stamp: Option<Stamp>,
    /// Counts the stamps that were given.
    order: i64,
    in_flight: bool,
    maybe_written: bool,
    disordered: bool,
    abandoned: bool,
}

#[derive(Debug)]
pub(crate) struct Sequencer<B> {
    entries: VecDeque<Entry<B>>,
    next_key: u64,
    identity: Option<Identity>,
    next_sequence: i32,
    next_order: i64,
    in_flight: usize,
    /// The entries before it were sent since the last recovery.
    cursor: usize,
    /// An attempt failed: nothing is sent until all are answered.
    recovering: bool,
    /// There is a hole in the sequences: what has no stamp yet goes out under the next epoch.
    broken: bool,
}

impl<B> Default for Sequencer<B> {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            next_key: 0,
            identity: None,
            next_sequence: 0,
            next_order: 0,
            in_flight: 0,
            cursor: 0,
            recovering: false,
            broken: false,
        }
    }
}

impl<B> Sequencer<B> {
    /// Adds a batch at the end.
    pub(crate) fn push(&mut self, batch: B, records: u32) {
        let key = self.next_key;
        self.next_key += 1;
        self.entries.push_back(Entry {
            key,
            batch,
            records,
            stamp: None,
            order: 0,
            in_flight: false,
            maybe_written: false,
            disordered: false,
            abandoned: false,
        });
    }

    /// Batches that have not ended.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Batches that were sent and not answered.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether a batch waits to be sent, and may be as far as order is concerned.
    pub(crate) fn has_next(&self) -> bool {
        let next = self.entries.get(self.cursor);
        !self.recovering && next.is_some_and(|next| self.may_send(next))
    }

    /// Whether the broker, once it has this batch, still recognises the oldest one that has no answer yet. That may be in the
    /// log while later ones were acknowledged, if its own answer failed.
    fn may_send(&self, next: &Entry<B>) -> bool {
        let order = next.stamp.map_or(self.next_order, |_| next.order);
        self.entries.front().is_none_or(|oldest| {
            oldest.stamp.is_none() || order - oldest.order < REMEMBERED_BATCHES
        })
    }

    /// The batches that have not ended, in order.
    pub(crate) fn batches(&self) -> impl Iterator<Item = &B> {
        self.entries.iter().map(|e| &e.batch)
    }

    /// The next batch to send, stamped, if order and `limit` (the most in flight) allow it. `fresh` is the producer's
    /// latest identity; a partition that has none yet, or has used its own up, takes it.
    pub(crate) fn next(&mut self, fresh: Identity, limit: usize) -> Next<'_, B> {
        if self.recovering || self.in_flight >= limit {
            return Next::Nothing;
        }
        let Some(entry) = self.entries.get(self.cursor) else {
            return Next::Nothing;
        };
        if !self.may_send(entry) {
            return Next::Nothing;
        }
        let (stamp, records) = (entry.stamp, entry.records);
        let stamp = match stamp {
            Some(kept) => kept,
            None => match self.new_stamp(fresh, records) {
                Ok(Some(stamp)) => stamp,
                Ok(None) => return Next::Nothing,
                Err(UsedUp) => return Next::NeedsIdentity,
            },
        };
        let entry = &mut self.entries[self.cursor];
        if entry.stamp.is_none() {
            entry.order = self.next_order;
            self.next_order += 1;
        }
        entry.stamp = Some(stamp);
        entry.in_flight = true;
        self.in_flight += 1;
        self.cursor += 1;
        Next::Send {
            key: entry.key,
            stamp,
            batch: &mut entry.batch,
        }
    }

    fn new_stamp(&mut self, fresh: Identity, records: u32) -> Result<Option<Stamp>, UsedUp> {
        let identity = match self.identity {
            Some(own) if !self.broken => own,
            // What carries an old stamp is resolved first.
            Some(_) if self.entries.iter().any(|e| e.stamp.is_some()) => return Ok(None),
            Some(own) => {
                self.next_sequence = 0;
                own.after(fresh)?
            }
            None => fresh,
        };
        self.identity = Some(identity);
        self.broken = false;
        let sequence = self.next_sequence;
        self.next_sequence = advance(sequence, records);
        Ok(Some(Stamp { identity, sequence }))
    }

    /// Lets a batch that was sent have back what it lent to the sending.
    pub(crate) fn put_back(&mut self, key: u64, put: impl FnOnce(&mut B)) {
        if let Some(entry) = self.entries.iter_mut().find(|e| e.key == key) {
            put(&mut entry.batch);
        }
    }

    /// The broker's answer to a batch, or what took its place. Returns what ended by it.
    pub(crate) fn answer(&mut self, key: u64, answer: Answer) -> Vec<Ended<B>> {
        let Some(index) = self
            .entries
            .iter()
            .position(|e| e.key == key && e.in_flight)
        else {
            return Vec::new();
        };
        let mut ended = Vec::new();
        self.in_flight -= 1;
        let entry = &mut self.entries[index];
        entry.in_flight = false;
        match answer {
            Answer::Written => ended.extend(self.end(index, End::Written)),
            Answer::Refused { maybe_written } => {
                // Its sequence stays unused (or used by something that nobody waits for): those behind cannot go on from it.
                entry.maybe_written |= maybe_written;
                self.broken = true;
                self.recovering = true;
                ended.extend(self.end(index, End::Refused));
            }
            Answer::Again { maybe_written } => {
                entry.maybe_written |= maybe_written;
                self.recovering = true;
            }
            Answer::Disordered => {
                entry.disordered = true;
                self.recovering = true;
            }
        }
        if self.recovering && self.in_flight == 0 {
            self.settle(&mut ended);
        }
        ended
    }

    /// Puts parts in the place of a batch that is in flight and was refused for its size: they have its sequences, share by
    /// share, and go out in its place. Says no, and changes nothing, where the batch was given up meanwhile. What ends by
    /// it is appended to `ended`.
    ///
    /// An earlier attempt whose answer was lost had the same size and was as a rule refused, too. The limit may have been
    /// lowered in between, though: the parts inherit that they may have been written, and so never go out under another
    /// epoch.
    pub(crate) fn split(
        &mut self,
        key: u64,
        into: impl FnOnce(B) -> Vec<(B, u32)>,
        ended: &mut Vec<Ended<B>>,
    ) -> bool {
        let whole = self
            .entries
            .iter()
            .position(|e| e.key == key && e.in_flight && !e.abandoned);
        let Some((index, whole)) = whole.and_then(|i| Some((i, self.entries.remove(i)?))) else {
            return false;
        };
        self.in_flight -= 1;
        self.recovering = true;
        let parts = into(whole.batch);
        let mut stamp = whole.stamp;
        // Each is a batch to the broker, so that the first is as much older as there are parts.
        let orders = whole.order - parts.len() as i64 + 1..;
        for ((at, order), (batch, records)) in (index..).zip(orders).zip(parts) {
            let part = Entry {
                key: self.next_key,
                batch,
                records,
                stamp,
                order,
                in_flight: false,
                maybe_written: whole.maybe_written,
                disordered: false,
                abandoned: false,
            };
            self.next_key += 1;
            self.entries.insert(at, part);
            stamp = stamp.map(|stamp| Stamp {
                sequence: advance(stamp.sequence, records),
                ..stamp
            });
        }
        if self.in_flight == 0 {
            self.settle(ended);
        }
        true
    }

    /// All are answered and at least one failed: decides what goes out again and how.
    fn settle(&mut self, ended: &mut Vec<Ended<B>>) {
        self.recovering = false;
        self.cursor = 0;
        while let Some(index) = self.entries.iter().position(|e| e.abandoned) {
            self.broken = true;
            ended.extend(self.end(index, End::Abandoned));
        }
        // Only the first batch's sequence is telling: those behind a failed one are out of order by that alone.
        if self.entries.front().is_some_and(|e| e.disordered) {
            self.broken = true;
            while let Some(index) = self
                .entries
                .iter()
                .position(|e| e.stamp.is_some() && e.maybe_written)
            {
                ended.extend(self.end(index, End::Unknown));
            }
            for entry in &mut self.entries {
                entry.stamp = None;
            }
        }
        for entry in &mut self.entries {
            entry.disordered = false;
        }
    }

    /// Gives up the batches for which `due` says so.
    pub(crate) fn expire(
        &mut self,
        due: impl Fn(&B) -> bool,
        mut expired: impl FnMut(Expired<'_, B>),
    ) {
        let mut index = 0;
        while let Some(entry) = self.entries.get_mut(index) {
            if !due(&entry.batch) || entry.abandoned {
                index += 1;
            } else if entry.in_flight {
                entry.abandoned = true;
                expired(Expired::InFlight(&mut entry.batch));
                index += 1;
            } else {
                // A stamp is a sequence that is used and now lost.
                self.broken |= entry.stamp.is_some();
                if let Some(gone) = self.end(index, End::Abandoned) {
                    expired(Expired::Gone(gone));
                }
            }
        }
    }

    /// Takes out what was never sent.
    pub(crate) fn take_unsent(&mut self) -> impl Iterator<Item = B> {
        let mut unsent = Vec::new();
        while let Some(index) = self.entries.iter().position(|e| e.stamp.is_none()) {
            unsent.extend(self.end(index, End::Abandoned).map(|e| e.batch));
        }
        unsent.into_iter()
    }

    /// Takes everything out: nothing is sent any more. Each with whether it may have been written.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (B, bool)> + '_ {
        self.in_flight = 0;
        self.cursor = 0;
        self.entries
            .drain(..)
            .map(|e| (e.batch, e.maybe_written || e.in_flight))
    }

    fn end(&mut self, index: usize, end: End) -> Option<Ended<B>> {
        let entry = self.entries.remove(index)?;
        if index < self.cursor {
            self.cursor -= 1;
        }
        Some(Ended {
            batch: entry.batch,
            end,
            maybe_written: entry.maybe_written,
        })
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
