//! One partition's loop: poll → handle → publish → settle → commit.
//!
//! Reading, the batches and the commit go on side by side. An offset is committed only when all that came before it is done, so a
//! crash has what was not done handled again by whoever gets the partition.

use std::sync::Arc;

use contracts::{Envelope, Event};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use kafka_client::{
    ConsumerError, OffsetTracker, PartitionConsumer, PendingCommit, RecordView, Records,
};
use tokio::time::Instant;

use super::Shared;
use super::backlog::{BATCH, Backlog, Keys};
use super::batch::{self, BACKOFF, Interruption, Origin, Place, Polled};
use super::error::WorkerError;
use super::lanes::Seat;
use crate::dead_letters;
use crate::reaction::Reaction;

/// Offsets that may be polled beyond what is committed.
const AHEAD: i64 = 50 * BATCH as i64;

/// Reads a partition until it is revoked or lost.
///
/// # Errors
///
/// [`WorkerError`]: nobody reads the partition any more although this member still has it.
pub(super) async fn work<R: Reaction>(
    partition: PartitionConsumer,
    reaction: &R,
    shared: &Shared,
) -> Result<(), WorkerError> {
    let seat = shared.lanes.sit(partition.topic_partition());
    let mut lane = Lane {
        origin: Origin {
            group: Arc::clone(&shared.group),
            partition: partition.topic_partition().clone(),
            taken_away: tokio_util::sync::CancellationToken::new(),
        },
        source: Source {
            partition,
            not_before: None,
        },
        backlog: Backlog::new(shared.concurrency, shared.processing_time),
        tracker: OffsetTracker::new(),
        under_way: FuturesUnordered::new(),
        commit: Commit::default(),
        first: None,
        next: None,
        reaction,
        shared,
    };
    match lane.run(seat).await {
        Ok(()) => Ok(()),
        Err(Interruption::TakenAway) => {
            tracing::info!(partition = %lane.origin.partition, "partition taken away, what was under way is left to its next owner");
            Ok(())
        }
        Err(Interruption::GaveUp(error)) => Err(error),
    }
}

/// A partition and what is under way of it.
struct Lane<'a, R: Reaction> {
    origin: Origin,
    source: Source,
    backlog: Backlog<Polled<R::Event>>,
    /// How far everything is done.
    tracker: OffsetTracker,
    under_way: FuturesUnordered<BoxFuture<'a, Ended>>,
    commit: Commit,
    /// The first offset that was polled, and the one to be polled next.
    first: Option<i64>,
    next: Option<i64>,
    reaction: &'a R,
    shared: &'a Shared,
}

/// A batch that has come to its end.
struct Ended {
    keys: Keys,
    offsets: Vec<i64>,
    outcome: Result<(), Interruption>,
}

/// Where the records come from.
struct Source {
    partition: PartitionConsumer,
    /// After an error: when to try again.
    not_before: Option<Instant>,
}

/// The commit that is under way, or why there is none.
#[derive(Default)]
struct Commit {
    pending: Option<(i64, PendingCommit)>,
    /// After a failure: when to try again, and how long to wait after the next one.
    again: Option<(Instant, std::time::Duration)>,
}

impl<R: Reaction> Lane<'_, R> {
    async fn run(&mut self, mut seat: Seat) -> Result<(), Interruption> {
        loop {
            self.begin_batches();
            self.commit.begin(&self.source.partition, &self.tracker);
            let room = self.room();
            tokio::select! {
                Some(ended) = self.under_way.next() => self.end(ended)?,
                committed = self.commit.ended() => self.commit.end(committed, &self.tracker)?,
                () = until(self.backlog.next_look()) => {}
                polled = self.source.next(room) => match polled? {
                    Some(records) => self.take_in(records),
                    None => break,
                },
                Some(told) = seat.told() => told.obeyed_by(&mut self.source.partition),
            }
        }
        // From here on it is not read any more, so nobody may think to have paused it.
        drop(seat);
        self.drain().await
    }

    /// Revoked: the batches under way are finished, what is not in one is left to the next owner.
    async fn drain(&mut self) -> Result<(), Interruption> {
        self.origin.taken_away.cancel();
        loop {
            // Beside what is still under way: it may not end in time.
            self.commit.begin(&self.source.partition, &self.tracker);
            let committed = self.commit.pending.is_none() && self.commit.again.is_none();
            if committed && self.under_way.is_empty() {
                return Ok(());
            }
            tokio::select! {
                Some(ended) = self.under_way.next() => match self.end(ended) {
                    // Others may still end well.
                    Err(Interruption::TakenAway) => {}
                    ended => ended?,
                },
                committed = self.commit.ended() => self.commit.end(committed, &self.tracker)?,
            }
        }
    }

    /// How many more records may be polled: none while too much waits for one that is not done, since all of it would be done
    /// again after a crash.
    fn room(&self) -> usize {
        let committed = self.source.partition.committed().max(self.first);
        let ahead = self.next.zip(committed).map(|(next, from)| next - from);
        if ahead > Some(AHEAD) {
            0
        } else {
            self.backlog.room()
        }
    }

    fn take_in(&mut self, records: Records) {
        self.tracker.begin(&records);
        self.next = Some(records.next_offset());
        if self.first.is_none() {
            self.first = records.iter().next().map(|record| record.offset);
        }
        let records = Arc::new(records);
        for (at, record) in records.iter().enumerate() {
            if dead_letters::is_for_another(record, &self.origin.group) {
                self.tracker.done(record.offset);
                continue;
            }
            let place = Place {
                records: Arc::clone(&records),
                at,
                offset: record.offset,
            };
            let event = decode::<R::Event>(record);
            let key = event.as_ref().ok().map(|event| event.data.order_id());
            let works = event.as_ref().is_ok_and(|event| R::is_work(&event.data));
            self.backlog.add(key, works, Polled { place, event });
        }
    }

    fn begin_batches(&mut self) {
        let now = Instant::now();
        self.backlog.begin(now);
        while let Some((keys, polled)) = self.backlog.next_batch(now) {
            let (reaction, shared, origin) = (self.reaction, self.shared, self.origin.clone());
            self.under_way.push(Box::pin(async move {
                let offsets = polled.iter().map(|polled| polled.place.offset).collect();
                let outcome = batch::handle(reaction, polled, &origin, shared).await;
                origin.took(now);
                Ended {
                    keys,
                    offsets,
                    outcome,
                }
            }));
            self.backlog.begin(now);
        }
    }

    fn end(&mut self, ended: Ended) -> Result<(), Interruption> {
        self.backlog.end(&ended.keys);
        ended.outcome?;
        for offset in ended.offsets {
            self.tracker.done(offset);
        }
        Ok(())
    }
}

impl Source {
    /// The next records, at most `room`; none once the partition is revoked, for which alone it waits while there is no room.
    fn next(&mut self, room: usize) -> BoxFuture<'_, Result<Option<Records>, Interruption>> {
        // In a box for the sake of the compiler, as in `batch`.
        self.polled(room).boxed()
    }

    async fn polled(&mut self, room: usize) -> Result<Option<Records>, Interruption> {
        if room == 0 {
            self.partition.revoked().await;
            // The poll hands out nothing any more, and says whether it was revoked or lost.
        }
        loop {
            if let Some(not_before) = self.not_before {
                tokio::select! {
                    () = tokio::time::sleep_until(not_before) => self.not_before = None,
                    () = self.partition.revoked() => {}
                }
            }
            match self.partition.poll(room.max(1)).await {
                Ok(polled) => return Ok(polled),
                Err(error) if error.is_lost() => return Err(Interruption::TakenAway),
                // It stays so until somebody seeks, and nobody here does.
                Err(error @ ConsumerError::NoOffset { .. }) => {
                    return Err(Interruption::GaveUp(error.into()));
                }
                // The position stays, so the same records are fetched again; where there is none yet, it is looked for again.
                // That holds for a batch that cannot be decoded, too: another replica may have it whole, and to skip records is
                // for somebody who knows what they are.
                Err(error) => {
                    tracing::error!(%error, "cannot read the partition");
                    self.not_before = Some(Instant::now() + BACKOFF.1);
                }
            }
        }
    }
}

impl Commit {
    /// Commits how far everything is done, unless that is committed or a commit is under way: the next one then says more.
    fn begin(&mut self, partition: &PartitionConsumer, tracker: &OffsetTracker) {
        let waits = self.again.is_some_and(|(at, _)| at > Instant::now());
        if self.pending.is_some() || waits {
            return;
        }
        self.pending = tracker
            .committable()
            .map(|offset| (offset, partition.commit_async(offset)));
    }

    /// How the commit ended that is under way; never where there is none. After a failure it ends when it is time for another.
    async fn ended(&mut self) -> Option<(i64, Result<(), ConsumerError>)> {
        match (&mut self.pending, self.again) {
            (Some((offset, pending)), _) => Some((*offset, pending.await)),
            (None, Some((at, _))) => {
                tokio::time::sleep_until(at).await;
                None
            }
            (None, None) => std::future::pending().await,
        }
    }

    fn end(
        &mut self,
        committed: Option<(i64, Result<(), ConsumerError>)>,
        tracker: &OffsetTracker,
    ) -> Result<(), Interruption> {
        let Some((offset, outcome)) = committed else {
            return Ok(());
        };
        self.pending = None;
        match outcome {
            Ok(()) => {
                tracker.committed(offset);
                self.again = None;
                Ok(())
            }
            Err(error) if error.is_lost() => Err(Interruption::TakenAway),
            Err(error @ ConsumerError::CommitBehind { .. }) => {
                tracing::warn!(%error, "cannot commit");
                Err(Interruption::GaveUp(error.into()))
            }
            Err(error) => {
                let backoff = self.again.map_or(BACKOFF.0, |(_, backoff)| backoff);
                tracing::warn!(%error, "cannot commit, trying again");
                let next = (backoff * 2).min(BACKOFF.1);
                self.again = Some((Instant::now() + backoff, next));
                Ok(())
            }
        }
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

fn decode<E: Event>(record: RecordView<'_>) -> Result<Envelope<E>, contracts::DecodeError> {
    let headers = record
        .headers
        .filter_map(|header| Some((header.key, header.value?)));
    Envelope::decode(headers, record.value.unwrap_or_default())
}
