//! Every document that is stored is published, whoever may not have told of it.

use std::sync::Arc;
use std::time::Duration;

use contracts::{EncodeError, Envelope, Event, Message, OrderId, Timestamp};
use kafka_client::{ProduceError, Producer, ProducerConfig};
use serde::{Deserialize, Serialize};
use service_kit::clock::ManualClock;
use service_kit::outbox::{Outbox, OutboxDocument, Relay};
use service_kit::store::{Collection, Document, EmbeddedStore, Index, Store, Value};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::kit::{Answered, Bed, order, until, within};

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Note {
    order_id: OrderId,
    bytes: usize,
    unpublished: bool,
}

impl Note {
    fn new(number: u16, bytes: usize) -> Self {
        Self {
            order_id: order(number),
            bytes,
            unpublished: true,
        }
    }
}

impl Document for Note {
    type Id = OrderId;
    const COLLECTION: &'static str = "notes";
    const INDEXES: &'static [Index] = &[Index::on("unpublished")];

    fn id(&self) -> OrderId {
        self.order_id
    }

    fn field(&self, name: &str) -> Option<Value> {
        (name == "unpublished" && self.unpublished).then_some(Value::Boolean(true))
    }
}

impl OutboxDocument for Note {
    const UNPUBLISHED: &'static str = "unpublished";

    fn messages(&self) -> Result<Vec<Message>, EncodeError> {
        let answered = Answered {
            order_id: self.order_id,
            text: "x".repeat(self.bytes),
        };
        Ok(vec![Envelope::new(answered, None).encode()?])
    }

    fn waiting_since(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }

    fn mark_published(&mut self, _: &Self) -> bool {
        std::mem::take(&mut self.unpublished)
    }
}

struct Running {
    notes: Collection<Note>,
    outbox: Outbox<Note>,
    clock: ManualClock,
    producer: Producer,
    stop: CancellationToken,
    task: JoinHandle<Result<(), ProduceError>>,
}

impl Running {
    fn start(bed: &Bed) -> Self {
        Self::searching_every(bed, Duration::from_millis(20))
    }

    fn searching_every(bed: &Bed, search: Duration) -> Self {
        let store = Store::Embedded(EmbeddedStore::new());
        let notes = store.collection("test").unwrap();
        let producer = bed.client.producer(ProducerConfig::default());
        let clock = ManualClock::at(Timestamp::from_millis(0));
        let shared = Arc::new(clock.clone());
        let (relay, outbox) = Relay::new("test", notes.clone(), producer.clone(), shared);
        let relay = relay.with_search_interval(search);
        let stop = CancellationToken::new();
        let task = tokio::spawn(relay.run(stop.clone()));
        Self {
            notes,
            outbox,
            clock,
            producer,
            stop,
            task,
        }
    }

    async fn store(&self, note: &Note) {
        self.notes.insert(note.clone()).await.unwrap();
    }

    async fn until_published(&self, number: u16) {
        let published = || async {
            let note = self.notes.get(&order(number)).await.unwrap();
            !note.unwrap().document.unpublished
        };
        until("publishing", published).await;
    }

    async fn stop(self) {
        self.stop.cancel();
        within("stopping", self.task).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_document_that_nobody_told_of_is_found_while_the_relay_runs() {
    let bed = Bed::start().await;
    let relay = Running::start(&bed);
    relay.store(&Note::new(0, 1)).await;
    relay.outbox.publish_soon(Note::new(0, 1));
    relay.until_published(0).await;
    // By now the relay has looked for what an earlier run left behind.
    relay.store(&Note::new(1, 1)).await;
    relay.until_published(1).await;
    let published = bed.orders(Answered::TOPIC, 2).await;
    assert_eq!(published, [order(0), order(1)]);
    relay.stop().await;
}

#[tokio::test]
async fn a_document_that_is_too_large_does_not_keep_back_the_others() {
    let bed = Bed::start().await;
    let relay = Running::start(&bed);
    for note in [Note::new(0, 1), Note::new(1, 2_000_000), Note::new(2, 1)] {
        relay.store(&note).await;
    }
    relay.until_published(0).await;
    relay.until_published(2).await;
    let kept = relay.notes.get(&order(1)).await.unwrap().unwrap();
    assert!(kept.document.unpublished);
    relay.stop().await;
}

#[tokio::test]
async fn documents_that_cannot_be_published_do_not_hide_those_behind_them() {
    const LIMIT: usize = 600;
    let bed = Bed::with_answers_up_to(LIMIT).await;
    let relay = Running::start(&bed);
    // More than the relay takes at once.
    let many = 501;
    let notes = (0..many).map(|number| Note::new(number, LIMIT));
    relay.notes.insert_many(notes.collect()).await.unwrap();
    relay.store(&Note::new(many, 1)).await;
    relay.until_published(many).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_producer_at_its_end_ends_the_relay() {
    let bed = Bed::start().await;
    let relay = Running::start(&bed);
    relay.producer.close(Duration::ZERO).await.unwrap();
    relay.outbox.publish_soon(Note::new(0, 1));
    let error = within("ending", relay.task).await.unwrap().unwrap_err();
    assert!(matches!(error, ProduceError::Closed { .. }), "{error}");
}

#[tokio::test]
async fn with_kafka_away_the_backlog_and_its_age_grow_and_then_go_to_zero() {
    let bed = Bed::start().await;
    let relay = Running::start(&bed);
    bed.broker.crash_node(1).await.unwrap();
    let is_behind = |documents, seconds| {
        let report = relay.outbox.report();
        async move {
            report.is_some_and(|report| {
                let found = report.backlog;
                (found.documents, found.oldest_age_seconds) == (documents, seconds)
            })
        }
    };
    for number in 0..3 {
        relay.store(&Note::new(number, 1)).await;
    }
    relay.clock.advance(2_000);
    until("seeing three", || is_behind(3, 2.0)).await;
    relay.store(&Note::new(3, 1)).await;
    relay.clock.advance(60_000);
    until("seeing four", || is_behind(4, 62.0)).await;
    bed.broker.start_node(1).await.unwrap();
    until("catching up", || is_behind(0, 0.0)).await;
    let report = relay.outbox.report().unwrap();
    assert!(report.redriven >= 4, "nobody told of them: {report:?}");
    relay.stop().await;
}

#[tokio::test]
async fn a_redrive_does_not_wait_for_the_next_search() {
    let bed = Bed::start().await;
    let relay = Running::searching_every(&bed, Duration::from_secs(3600));
    // Once this is published, the search at the start is over.
    relay.store(&Note::new(0, 1)).await;
    relay.outbox.publish_soon(Note::new(0, 1));
    relay.until_published(0).await;
    relay.store(&Note::new(1, 1)).await;
    let found = within("redriving", relay.outbox.redrive()).await.unwrap();
    assert_eq!(found.documents, 1);
    relay.until_published(1).await;
    relay.stop().await;
}
