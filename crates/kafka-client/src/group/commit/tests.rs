use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use kafka_wire::ResponseError;
use tracing::span;

use super::*;
use crate::consumer::Start;

const TIMEOUT: Duration = Duration::from_secs(10);

fn commits() -> (Arc<Commits>, Arc<Slot>) {
    let slot = Slot::new(TopicPartition::new("orders", 0), Start::Ready);
    (Arc::new(Commits::new(TIMEOUT)), Arc::new(slot))
}

/// As `PartitionConsumer::seek`.
fn seek(slot: &Slot, offset: i64) {
    let mut state = slot.lock();
    state.move_to(offset);
    state.forget_commits();
}

fn take_one(commits: &Commits) -> Entry {
    let mut taken = commits.take();
    assert_eq!(taken.len(), 1);
    taken.remove(0)
}

fn refused(entry: &Entry) -> Result<(), ConsumerError> {
    Err(ConsumerError::Commit {
        partition: entry.slot.id.clone(),
        offset: entry.offset,
        code: ResponseError::OffsetMetadataTooLarge,
    })
}

fn is_told(pending: PendingCommit) -> Result<(), ConsumerError> {
    pending.now_or_never().expect("an answer")
}

#[test]
fn commits_of_many_threads_never_go_back() {
    for _ in 0..500 {
        let (commits, slot) = commits();
        let barrier = Barrier::new(4);
        let told = std::thread::scope(|scope| {
            let threads: Vec<_> = (1..=4)
                .map(|offset| {
                    let (commits, slot, barrier) = (&commits, &slot, &barrier);
                    scope.spawn(move || {
                        barrier.wait();
                        (offset, commits.commit(slot, offset))
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|t| t.join().unwrap())
                .collect::<Vec<_>>()
        });
        let entry = take_one(&commits);
        assert_eq!(entry.offset, 4);
        commits.finish(vec![(entry, Ok(()))], Vec::new());
        for (offset, pending) in told {
            match is_told(pending) {
                Ok(()) => {}
                Err(ConsumerError::CommitBehind { committed, .. }) => assert!(committed > offset),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn the_larger_of_two_offsets_goes_out_whichever_came_first() {
    let (commits, slot) = commits();
    let pending = commits.commit(&slot, 10);
    let first = take_one(&commits);
    let second = commits.commit(&slot, 12);
    // To be tried again, and behind by now.
    commits.finish(Vec::new(), vec![first]);
    let entry = take_one(&commits);
    assert_eq!((entry.offset, entry.waiters.len()), (12, 2));
    commits.finish(vec![(entry, Ok(()))], Vec::new());
    is_told(pending).unwrap();
    is_told(second).unwrap();
    assert_eq!(slot.lock().committed, Some(12));
}

#[tokio::test(start_paused = true)]
async fn each_waits_for_its_own_time_however_many_come_after_it() {
    let (commits, slot) = commits();
    let mut first = commits.commit(&slot, 1);
    for offset in 2..6 {
        tokio::time::advance(TIMEOUT / 4).await;
        let entry = take_one(&commits);
        commits.finish(Vec::new(), vec![entry]);
        if offset < 5 {
            assert!((&mut first).now_or_never().is_none());
            drop(commits.commit(&slot, offset));
        }
    }
    let error = is_told(first).unwrap_err();
    assert!(
        matches!(error, ConsumerError::CommitTimeout { offset: 1, .. }),
        "{error}"
    );
    assert_eq!(take_one(&commits).offset, 4);
}

#[test]
fn a_commit_that_one_after_a_seek_overtakes_is_told_so() {
    let (commits, slot) = commits();
    let ten = commits.commit(&slot, 10);
    let three = {
        seek(&slot, 0);
        commits.commit(&slot, 3)
    };
    let error = is_told(ten).unwrap_err();
    assert!(
        matches!(error, ConsumerError::CommitSuperseded { offset: 10, .. }),
        "{error}"
    );
    let entry = take_one(&commits);
    assert_eq!(entry.offset, 3);
    commits.finish(vec![(entry, Ok(()))], Vec::new());
    is_told(three).unwrap();
    // What a later commit covers is committed.
    let four = commits.commit(&slot, 4);
    seek(&slot, 0);
    let five = commits.commit(&slot, 5);
    let entry = take_one(&commits);
    commits.finish(vec![(entry, Ok(()))], Vec::new());
    is_told(four).unwrap();
    is_told(five).unwrap();
}

#[test]
fn the_answer_to_a_commit_from_before_a_seek_is_not_in_the_way_of_those_after_it() {
    let (commits, slot) = commits();
    let ten = commits.commit(&slot, 10);
    let under_way = take_one(&commits);
    seek(&slot, 0);
    commits.finish(vec![(under_way, Ok(()))], Vec::new());
    is_told(ten).unwrap();
    assert_eq!(slot.lock().committed, Some(10));
    let three = commits.commit(&slot, 3);
    let entry = take_one(&commits);
    let result = refused(&entry);
    commits.finish(vec![(entry, result)], Vec::new());
    is_told(three).unwrap_err();
    assert!(commits.commit(&slot, 4).now_or_never().is_none());
    assert_eq!(take_one(&commits).offset, 4);
}

#[test]
fn a_commit_may_not_go_behind_one_that_waits_or_is_under_way_or_was_acknowledged() {
    let (commits, slot) = commits();
    let is_behind = || {
        let result = commits.commit(&slot, 4).now_or_never();
        matches!(
            result,
            Some(Err(ConsumerError::CommitBehind { committed: 5, .. }))
        )
    };
    let five = commits.commit(&slot, 5);
    assert!(is_behind());
    let entry = take_one(&commits);
    assert!(is_behind());
    commits.finish(vec![(entry, Ok(()))], Vec::new());
    assert!(is_behind());
    is_told(five).unwrap();
    // One that was refused is not in the way.
    let six = commits.commit(&slot, 6);
    let entry = take_one(&commits);
    let result = refused(&entry);
    commits.finish(vec![(entry, result)], Vec::new());
    is_told(six).unwrap_err();
    drop(commits.commit(&slot, 5));
    assert_eq!(take_one(&commits).offset, 5);
}

#[test]
fn whoever_waits_for_a_commit_of_a_lost_partition_is_told_at_once() {
    let (commits, slot) = commits();
    let mut pending = commits.commit(&slot, 1);
    let _under_way = take_one(&commits);
    assert!((&mut pending).now_or_never().is_none());
    slot.lose(LostReason::SessionExpired);
    assert!(is_told(pending).unwrap_err().is_lost());
}

/// Counts warnings.
#[derive(Default, Clone)]
struct Warnings(Arc<AtomicUsize>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// How many warnings there are when a commit fails whose handle goes before or after that, or is awaited.
fn warnings_of(handle: impl FnOnce(&Commits, PendingCommit, Settled)) -> usize {
    let warnings = Warnings::default();
    tracing::subscriber::with_default(warnings.clone(), || {
        let (commits, slot) = commits();
        let pending = commits.commit(&slot, 1);
        let entry = take_one(&commits);
        let result = refused(&entry);
        handle(&commits, pending, vec![(entry, result)]);
    });
    warnings.0.load(Ordering::Relaxed)
}

#[test]
fn a_failure_that_nobody_awaits_is_logged() {
    let dropped_first = warnings_of(|commits, pending, failed| {
        drop(pending);
        commits.finish(failed, Vec::new());
    });
    let dropped_after = warnings_of(|commits, pending, failed| {
        commits.finish(failed, Vec::new());
        drop(pending);
    });
    let awaited = warnings_of(|commits, pending, failed| {
        commits.finish(failed, Vec::new());
        is_told(pending).unwrap_err();
    });
    assert_eq!((dropped_first, dropped_after, awaited), (1, 1, 0));
}
