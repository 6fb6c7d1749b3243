//! Orders are worked on side by side, each in its own order, and only what is done without a gap is committed.

use std::collections::BTreeMap;
use std::sync::Arc;

use contracts::{Envelope, Event, Message, OrderId};
use parking_lot::Mutex;
use service_kit::reaction::{Reaction, ReactionError};
use service_kit::worker::Reactions;
use tokio::sync::Semaphore;

use crate::kit::{Answered, Asked, Bed, order, until, within};
use crate::worker::{GROUP, Running, until_committed};

/// Answers each, but waits at the gate with one order.
struct Gated {
    stuck: OrderId,
    gate: Arc<Semaphore>,
    /// One for each that has come to the gate.
    at_gate: Arc<Semaphore>,
    /// What was handled of each order, by size.
    seen: Arc<Mutex<BTreeMap<OrderId, Vec<usize>>>>,
}

impl Reaction for Gated {
    type Event = Asked;

    async fn react(&self, batch: &[Envelope<Asked>]) -> Result<Vec<Message>, ReactionError> {
        let mut answers = Vec::new();
        for asked in batch {
            if asked.data.order_id == self.stuck {
                self.at_gate.add_permits(1);
                let _open = self.gate.acquire().await;
            }
            let mut seen = self.seen.lock();
            seen.entry(asked.data.order_id)
                .or_default()
                .push(asked.data.bytes);
            let answered = Answered {
                order_id: asked.data.order_id,
                text: String::new(),
            };
            answers.push(Envelope::new(answered, None).encode()?);
        }
        Ok(answers)
    }
}

/// A worker with such a reaction, and what is seen of it.
struct Watched {
    gate: Arc<Semaphore>,
    at_gate: Arc<Semaphore>,
    seen: Arc<Mutex<BTreeMap<OrderId, Vec<usize>>>>,
    worker: Running,
}

impl Watched {
    fn start(bed: &Bed, stuck: OrderId) -> Self {
        let (gate, seen) = (Arc::new(Semaphore::new(0)), Arc::default());
        let at_gate = Arc::new(Semaphore::new(0));
        let reactions = Reactions::new().on(Gated {
            stuck,
            gate: Arc::clone(&gate),
            at_gate: Arc::clone(&at_gate),
            seen: Arc::clone(&seen),
        });
        let worker = Running::with(bed, reactions);
        Self {
            gate,
            at_gate,
            seen,
            worker,
        }
    }

    /// One that has handled order 0 and is stuck with order 1.
    async fn stuck(bed: &Bed) -> Self {
        let watched = Self::start(bed, order(1));
        bed.ask_of(&[(0, 10)]).await;
        until_committed(bed, 1).await;
        bed.ask_of(&[(1, 11)]).await;
        watched.until_stuck().await;
        watched
    }

    async fn until_stuck(&self) {
        let arrived = within("coming to the gate", self.at_gate.acquire()).await;
        arrived.unwrap().forget();
    }

    async fn until_seen(&self, number: u16, sizes: &[usize]) {
        let seen =
            || async { self.seen.lock().get(&order(number)).map(Vec::as_slice) == Some(sizes) };
        until("being handled", seen).await;
    }
}

#[tokio::test]
async fn an_order_that_is_stuck_holds_up_no_other_and_the_commit_waits_for_it() {
    let bed = Bed::start().await;
    let worker = Watched::stuck(&bed).await;
    bed.ask_of(&[(1, 12), (2, 13)]).await;
    worker.until_seen(2, &[13]).await;
    bed.ask_of(&[(0, 14)]).await;
    worker.until_seen(0, &[10, 14]).await;
    worker.gate.add_permits(1);
    until_committed(&bed, 5).await;
    worker.until_seen(1, &[11, 12]).await;
    worker.worker.stop().await;
}

#[tokio::test]
async fn a_worker_that_is_stopped_commits_up_to_what_is_not_done() {
    let bed = Bed::start().await;
    let worker = Watched::stuck(&bed).await;
    bed.ask_of(&[(2, 12)]).await;
    worker.until_seen(2, &[12]).await;
    worker.worker.stop().await;
    let committed = bed.broker.inspect().committed(GROUP, Asked::TOPIC, 0);
    assert_eq!(committed, Some(1));
    // The next one begins there, and handles what came behind it again.
    let next = Watched::start(&bed, order(9));
    next.until_seen(1, &[11]).await;
    next.until_seen(2, &[12]).await;
    until_committed(&bed, 3).await;
    next.worker.stop().await;
}
