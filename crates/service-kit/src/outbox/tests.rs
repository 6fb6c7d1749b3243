//! What goes first. There is no Kafka here: whatever is published fails.

use kafka_client::{Client, ClientConfig, ProducerConfig};
use serde::{Deserialize, Serialize};

use super::*;
use crate::clock::ManualClock;
use crate::metric::recorder;
use crate::store::{EmbeddedStore, Index, Store, Value};

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Note {
    name: String,
}

impl Document for Note {
    type Id = String;
    const COLLECTION: &'static str = "notes";
    const INDEXES: &'static [Index] = &[Index::on("unpublished")];

    fn id(&self) -> String {
        self.name.clone()
    }

    fn field(&self, name: &str) -> Option<Value> {
        (name == "unpublished").then_some(Value::Boolean(true))
    }
}

impl OutboxDocument for Note {
    const UNPUBLISHED: &'static str = "unpublished";

    fn messages(&self) -> Result<Vec<Message>, EncodeError> {
        Ok(vec![Message {
            topic: "notes",
            key: Vec::new(),
            headers: Vec::new(),
            value: Vec::new(),
        }])
    }

    fn waiting_since(&self) -> Timestamp {
        Timestamp::from_millis(1_000)
    }

    fn mark_published(&mut self, _: &Self) -> bool {
        true
    }
}

fn relay() -> (Relay<Note>, Outbox<Note>) {
    let store = Store::Embedded(EmbeddedStore::new());
    let client = Client::new(ClientConfig::new("127.0.0.1:1")).unwrap();
    let producer = client.producer(ProducerConfig::default());
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000)));
    let notes = store.collection("test").unwrap();
    let (relay, outbox) = Relay::new("test", notes, producer, clock);
    let name = "queued".to_owned();
    outbox.publish_soon(Note { name });
    (relay, outbox)
}

#[tokio::test(start_paused = true)]
async fn an_overflow_is_seen_however_full_the_queue() {
    let (mut relay, outbox) = relay();
    outbox.search_now.notify_one();
    let mut never = tokio::time::interval_at(Instant::now() + SEARCH, SEARCH);
    let stop = CancellationToken::new();
    assert!(relay.publish_next(&mut never, &stop).await.unwrap());
    assert_eq!(relay.queue.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_search_comes_before_the_queue_and_tells_what_it_finds_twice() {
    let (mut relay, _outbox) = relay();
    let mut search = tokio::time::interval(SEARCH);
    let stop = CancellationToken::new();
    for (name, behind) in [("first", false), ("second", true)] {
        let name = name.to_owned();
        relay.collection.insert(Note { name }).await.unwrap();
        let found = relay.publish_next(&mut search, &stop).await;
        assert_eq!(found.unwrap(), behind);
        assert_eq!(relay.queue.len(), 1);
        search.reset_immediately();
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_comes_before_everything() {
    let (mut relay, outbox) = relay();
    outbox.search_now.notify_one();
    let mut search = tokio::time::interval(SEARCH);
    let stop = CancellationToken::new();
    stop.cancel();
    assert!(!relay.publish_next(&mut search, &stop).await.unwrap());
    assert_eq!(relay.queue.len(), 1);
}

#[tokio::test]
async fn what_waits_is_counted_and_its_age_goes_by_the_clock() {
    let recorder = recorder().unwrap();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let store = EmbeddedStore::new();
    let notes: Collection<Note> = Store::Embedded(store.clone()).collection("test").unwrap();
    let clock = ManualClock::at(Timestamp::from_millis(1_000));
    let watch = Watch::new("test", notes.clone(), Arc::new(clock.clone()));
    assert_eq!(watch.report(), None);
    let told = || {
        let report = watch.report().unwrap().backlog;
        (
            report.documents,
            report.oldest_age_seconds,
            report.measured_at.millis(),
        )
    };
    watch.look().await.unwrap();
    assert_eq!(told(), (0, 0.0, 1_000));
    for name in ["first", "second"] {
        let name = name.to_owned();
        notes.insert(Note { name }).await.unwrap();
    }
    clock.advance(62_500);
    watch.look().await.unwrap();
    assert_eq!(told(), (2, 62.5, 63_500));
    // What was found before stays where nothing can be found, and a clock that was put back makes nothing negative.
    store.set_away(true);
    assert!(watch.look().await.is_err());
    assert_eq!(told(), (2, 62.5, 63_500));
    store.set_away(false);
    watch.published(3);
    watch.redriven(2);
    assert_eq!(watch.report().unwrap().redriven, 2);
    let text = recorder.handle().render();
    for line in [
        r#"orderflow_outbox_backlog{service="test"} 2"#,
        r#"orderflow_outbox_oldest_age_seconds{service="test"} 62.5"#,
        r#"orderflow_outbox_published_total{service="test"} 3"#,
        r#"orderflow_outbox_redriven_total{service="test"} 2"#,
    ] {
        assert!(
            text.lines().any(|told| told == line),
            "{line} is not in {text}"
        );
    }
    clock.set(Timestamp::from_millis(0));
    assert_eq!(watch.look().await.unwrap().oldest_age_seconds, 0.0);
}
