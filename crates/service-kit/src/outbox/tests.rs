//! What goes first. There is no Kafka here: whatever is published fails.

use kafka_client::{Client, ClientConfig, ProducerConfig};
use serde::{Deserialize, Serialize};

use super::*;
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

    fn mark_published(&mut self, _: &Self) -> bool {
        true
    }
}

fn relay() -> (Relay<Note>, Outbox<Note>) {
    let store = Store::Embedded(EmbeddedStore::new());
    let client = Client::new(ClientConfig::new("127.0.0.1:1")).unwrap();
    let producer = client.producer(ProducerConfig::default());
    let (relay, outbox) = Relay::new(store.collection("test").unwrap(), producer);
    let name = "queued".to_owned();
    outbox.publish_soon(Note { name });
    (relay, outbox)
}

#[tokio::test(start_paused = true)]
async fn an_overflow_is_seen_however_full_the_queue() {
    let (mut relay, outbox) = relay();
    outbox.overflow.notify_one();
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
    outbox.overflow.notify_one();
    let mut search = tokio::time::interval(SEARCH);
    let stop = CancellationToken::new();
    stop.cancel();
    assert!(!relay.publish_next(&mut search, &stop).await.unwrap());
    assert_eq!(relay.queue.len(), 1);
}
