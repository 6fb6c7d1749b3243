//! The saga without Kafka and HTTP: the services' own reactions on an embedded store and logs in memory, one step at a time.
//!
//! What Kafka may do to a consumer is done here on purpose: between topics there is no order, a batch is as long as it
//! likes, and whoever crashes before his commit gets it again. So every crash point can be had, one after the other, and
//! many interleavings in little time.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly too"
)]

mod invariants;
mod pipeline;

use pipeline::{Crash, Pipeline};
use proptest::prelude::*;

struct Wanted {
    items: &'static [(&'static str, u32)],
    /// At which step it is asked back.
    cancelled_at: Option<usize>,
}

const fn wanted(items: &'static [(&'static str, u32)], cancelled_at: Option<usize>) -> Wanted {
    Wanted {
        items,
        cancelled_at,
    }
}

/// A few orders that go every way: two products, too few of one of them; one order above the limit; some asked back.
const ORDERS: [Wanted; 7] = [
    wanted(&[("PLENTY", 2)], None),
    wanted(&[("SCARCE", 2), ("PLENTY", 1)], None),
    wanted(&[("SCARCE", 2), ("PLENTY", 1), ("PLENTY", 3)], Some(4)),
    wanted(&[("SCARCE", 3)], Some(9)),
    wanted(&[("PLENTY", 500)], None),
    wanted(&[("PLENTY", 1), ("UNKNOWN", 1)], Some(0)),
    wanted(&[("PLENTY", 4)], Some(0)),
];

async fn place(pipeline: &mut Pipeline) {
    for order in &ORDERS {
        pipeline.place(order.items).await;
    }
}

/// Runs to the end by `choices`, asking orders back on the way; where they are used up, each consumer in turn.
async fn run(pipeline: &mut Pipeline, choices: &[(usize, usize)]) {
    let mut choices = choices.iter().copied();
    for step in 0.. {
        for (number, order) in ORDERS.iter().enumerate() {
            if order.cancelled_at == Some(step) {
                pipeline.cancel(number).await;
            }
        }
        let (consumer, batch) = choices.next().unwrap_or((step, 3));
        pipeline.step(consumer, batch).await;
        if step > 10 && choices.len() == 0 && pipeline.is_at_rest() {
            return;
        }
        assert!(step < 10_000, "the pipeline does not come to rest");
    }
}

#[tokio::test]
async fn every_order_ends_in_a_right_state() {
    let mut pipeline = Pipeline::new().await;
    place(&mut pipeline).await;
    run(&mut pipeline, &[]).await;
    let statuses = invariants::check(&pipeline).await;
    for status in ["SHIPPED", "REFUNDED", "DECLINED", "CANCELLED"] {
        assert!(statuses.contains_key(status), "{statuses:?}");
    }
}

/// Before and after each write of each handler, after it has published, and after it has settled: a crash there, once, and
/// what was not committed is handled again.
#[tokio::test]
async fn a_crash_at_any_point_loses_and_doubles_nothing() {
    for kind in [
        Crash::BeforeWrite,
        Crash::AfterWrite,
        Crash::AfterPublish,
        Crash::AfterSettle,
    ] {
        let mut points = 0;
        loop {
            points += 1;
            let mut pipeline = Pipeline::new().await;
            place(&mut pipeline).await;
            pipeline.crash_at(kind, points);
            run(&mut pipeline, &[]).await;
            invariants::check(&pipeline).await;
            if !pipeline.has_crashed() {
                break;
            }
        }
        // A crash that never comes would test nothing.
        assert!(points > 10, "{kind:?}: only {points}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever the topics' order among each other, however long the batches, however often something is handled again.
    #[test]
    fn any_interleaving_ends_right(
        choices in proptest::collection::vec((0usize..9, 1usize..5), 0..120),
        crashes in proptest::collection::vec((0usize..4, 1u64..30), 0..6),
        redelivered in proptest::collection::vec((0usize..120, 0usize..9), 0..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut pipeline = Pipeline::new().await;
            place(&mut pipeline).await;
            let kinds = [Crash::BeforeWrite, Crash::AfterWrite, Crash::AfterPublish, Crash::AfterSettle];
            pipeline.crash_at_each(crashes.iter().map(|(kind, nth)| (kinds[*kind], *nth)));
            pipeline.redeliver_at(redelivered);
            run(&mut pipeline, &choices).await;
            invariants::check(&pipeline).await;
        });
    }
}
