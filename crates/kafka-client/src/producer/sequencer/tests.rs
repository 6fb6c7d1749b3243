//! The order of batches and their stamps, case by case.

use super::*;

const FRESH: Identity = Identity { id: 7, epoch: 0 };
const FRESH_AGAIN: Identity = Identity { id: 8, epoch: 0 };

fn send(sequencer: &mut Sequencer<u32>, limit: usize) -> Option<(u64, Stamp, u32)> {
    match sequencer.next(FRESH, limit) {
        Next::Send { key, stamp, batch } => Some((key, stamp, *batch)),
        Next::NeedsIdentity | Next::Nothing => None,
    }
}

fn with_batches(count: u32) -> Sequencer<u32> {
    let mut sequencer = Sequencer::default();
    for n in 0..count {
        sequencer.push(n, 10);
    }
    sequencer
}

#[test]
fn sequences_follow_each_other_and_wrap() {
    assert_eq!(advance(0, 10), 10);
    assert_eq!(advance(i32::MAX, 1), 0);
    assert_eq!(advance(i32::MAX - 2, 10), 7);
    let mut sequencer = with_batches(3);
    let sequences: Vec<_> = std::iter::from_fn(|| send(&mut sequencer, 5))
        .map(|(_, stamp, _)| stamp.sequence)
        .collect();
    assert_eq!(sequences, [0, 10, 20]);
}

#[test]
fn a_failed_batch_takes_those_behind_it_along_under_the_same_stamps() {
    let mut sequencer = with_batches(3);
    let first: Vec<_> = std::iter::from_fn(|| send(&mut sequencer, 5)).collect();
    let again = Answer::Again {
        maybe_written: true,
    };
    assert!(sequencer.answer(first[0].0, again).is_empty());
    assert!(send(&mut sequencer, 5).is_none(), "two are still in flight");
    sequencer.answer(first[1].0, Answer::Disordered);
    sequencer.answer(first[2].0, Answer::Disordered);
    let second: Vec<_> = std::iter::from_fn(|| send(&mut sequencer, 5)).collect();
    assert_eq!(first, second);
}

#[test]
fn a_forgotten_producer_goes_on_under_the_next_epoch_with_what_was_certainly_not_written() {
    let mut sequencer = with_batches(2);
    let (first, _, _) = send(&mut sequencer, 1).unwrap();
    assert!(sequencer.answer(first, Answer::Disordered).is_empty());
    let (_, stamp, batch) = send(&mut sequencer, 1).unwrap();
    assert_eq!((stamp.identity.epoch, stamp.sequence, batch), (1, 0, 0));
}

#[test]
fn what_may_have_been_written_is_given_up_rather_than_sent_under_another_epoch() {
    let mut sequencer = with_batches(2);
    let (key, _, _) = send(&mut sequencer, 1).unwrap();
    sequencer.answer(
        key,
        Answer::Again {
            maybe_written: true,
        },
    );
    let (key, _, _) = send(&mut sequencer, 1).unwrap();
    let ended = sequencer.answer(key, Answer::Disordered);
    assert_eq!(
        ended.iter().map(|e| (e.batch, e.end)).collect::<Vec<_>>(),
        [(0, End::Unknown)]
    );
    let (_, stamp, batch) = send(&mut sequencer, 1).unwrap();
    assert_eq!((stamp.identity.epoch, stamp.sequence, batch), (1, 0, 1));
}

#[test]
fn a_batch_given_up_after_it_was_sent_costs_an_epoch_and_one_never_sent_does_not() {
    let mut sequencer = with_batches(3);
    let (key, _, _) = send(&mut sequencer, 1).unwrap();
    let again = Answer::Again {
        maybe_written: true,
    };
    sequencer.answer(key, again);
    sequencer.expire(|batch| *batch < 2, |_| {});
    assert_eq!(sequencer.len(), 1);
    let (_, stamp, _) = send(&mut sequencer, 1).unwrap();
    assert_eq!((stamp.identity.epoch, stamp.sequence), (1, 0));

    let mut sequencer = with_batches(2);
    sequencer.expire(|batch| *batch < 1, |_| {});
    let (_, stamp, _) = send(&mut sequencer, 1).unwrap();
    assert_eq!((stamp.identity.epoch, stamp.sequence), (0, 0));
}

#[test]
fn the_epochs_of_an_id_end_and_a_fresh_id_takes_over() {
    let last = Identity {
        id: 7,
        epoch: i16::MAX - 1,
    };
    let mut sequencer = with_batches(1);
    let Next::Send { key, .. } = sequencer.next(last, 1) else {
        panic!("nothing to send");
    };
    sequencer.answer(key, Answer::Disordered);
    assert!(matches!(sequencer.next(last, 1), Next::NeedsIdentity));
    let Next::Send { stamp, .. } = sequencer.next(FRESH_AGAIN, 1) else {
        panic!("nothing to send");
    };
    assert_eq!(stamp.identity, FRESH_AGAIN);
}

/// A batch may be in the log, and fail again and again for its replicas, while those behind it are acknowledged.
#[test]
fn what_has_no_answer_is_never_forgotten_by_the_broker() {
    let mut sequencer = with_batches(20);
    let first: Vec<_> = std::iter::from_fn(|| send(&mut sequencer, 5)).collect();
    let again = Answer::Again {
        maybe_written: true,
    };
    sequencer.answer(first[0].0, again);
    for (key, _, _) in &first[1..] {
        sequencer.answer(*key, Answer::Written);
    }
    // Five more would push it out of the broker's memory; it has four behind it already.
    let second: Vec<_> = std::iter::from_fn(|| send(&mut sequencer, 5)).collect();
    assert_eq!(second, first[..1]);
    assert!(!sequencer.has_next());
    sequencer.answer(second[0].0, Answer::Written);
    assert!(sequencer.has_next());
    let third: Vec<_> = std::iter::from_fn(|| send(&mut sequencer, 5)).collect();
    let sequences: Vec<_> = third.iter().map(|(_, stamp, _)| stamp.sequence).collect();
    assert_eq!(sequences, [50, 60, 70, 80, 90]);
}

#[test]
fn a_batch_that_is_too_large_goes_again_in_parts_with_its_sequences() {
    let mut sequencer = with_batches(3);
    let first: Vec<_> = std::iter::from_fn(|| send(&mut sequencer, 5)).collect();
    let mut ended = Vec::new();
    let halves = |whole| vec![(whole * 10 + 1, 4), (whole * 10 + 2, 6)];
    assert!(sequencer.split(first[1].0, halves, &mut ended));
    assert!(!sequencer.has_next(), "two are in flight");
    sequencer.answer(first[0].0, Answer::Written);
    sequencer.answer(first[2].0, Answer::Disordered);
    let second: Vec<_> = std::iter::from_fn(|| send(&mut sequencer, 5))
        .map(|(_, stamp, batch)| (batch, stamp.sequence, stamp.identity.epoch))
        .collect();
    assert_eq!(second, [(11, 10, 0), (12, 14, 0), (2, 20, 0)]);
    assert!(ended.is_empty());
}

/// Its parts have other bounds, so that the broker would not recognise them.
#[test]
fn parts_of_what_may_have_been_written_are_given_up_rather_than_sent_under_another_epoch() {
    let mut sequencer = with_batches(1);
    let (key, _, _) = send(&mut sequencer, 1).unwrap();
    sequencer.answer(
        key,
        Answer::Again {
            maybe_written: true,
        },
    );
    let (key, _, _) = send(&mut sequencer, 1).unwrap();
    assert!(sequencer.split(key, |_| vec![(1, 5), (2, 5)], &mut Vec::new()));
    let (key, _, _) = send(&mut sequencer, 1).unwrap();
    let ended = sequencer.answer(key, Answer::Disordered);
    let ended: Vec<_> = ended.iter().map(|e| (e.batch, e.end)).collect();
    assert_eq!(ended, [(1, End::Unknown), (2, End::Unknown)]);
}
