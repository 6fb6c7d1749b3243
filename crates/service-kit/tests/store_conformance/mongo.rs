//! What only a MongoDB server does.

use std::time::{Duration, Instant};

use service_kit::store::{MongoStore, Timeouts};

use super::*;

/// A database of its own for one test.
pub(super) struct Database {
    pub(super) store: Store,
    pub(super) name: String,
    uri: String,
}

impl Database {
    pub(super) async fn new(test: &str) -> Self {
        let uri = std::env::var("MONGODB_URI").unwrap_or_else(|_| {
            panic!("MONGODB_URI is not set; it names the server, mongodb://127.0.0.1:27117")
        });
        // All tests run at once, so the server may be slow; how soon is too late is tested below.
        let patient = Timeouts {
            connect: Duration::from_secs(30),
            operation: Duration::from_secs(60),
        };
        let store = Store::Mongo(MongoStore::open(&uri, patient).await.unwrap());
        // MongoDB takes 63 bytes for a name.
        let short: String = test.chars().take(30).collect();
        Self {
            store,
            name: format!("test_{}_{short}", std::process::id()),
            uri,
        }
    }

    pub(super) async fn drop(self) {
        let client = ::mongodb::Client::with_uri_str(&self.uri).await.unwrap();
        client.database(&self.name).drop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MONGODB_URI: cargo test -p service-kit --test store_conformance -- --ignored"]
async fn a_document_that_cannot_be_read_hides_no_others() {
    let database = Database::new("unreadable").await;
    let tickets: Collection<Ticket> = database.store.collection(&database.name).unwrap();
    tickets.insert_many(super::tickets([1, 4])).await.unwrap();
    let client = ::mongodb::Client::with_uri_str(&database.uri)
        .await
        .unwrap();
    let raw = client
        .database(&database.name)
        .collection::<::mongodb::bson::Document>(Ticket::COLLECTION);
    for number in ["T00000", "T00002", "T00003", "T00005"] {
        let other = ::mongodb::bson::doc! { "_id": number, "version": 1_i64, "status": "NEW" };
        raw.insert_one(other).await.unwrap();
    }
    let new = Filter::all().and("status", "NEW");
    let first = tickets.list(&new, None, 1).await.unwrap();
    assert_eq!(first.items.len(), 1);
    let second = tickets.list(&new, first.next.as_ref(), 1).await.unwrap();
    let read = |listing: &Listing<Ticket>| listing.items[0].document.number.clone();
    assert_eq!([read(&first), read(&second)], ["T00001", "T00004"]);
    assert_eq!(second.next, None);
    let unreadable = tickets.get(&"T00003".to_owned()).await.unwrap_err();
    assert!(
        matches!(&unreadable, StoreError::Document { id, .. } if id == "T00003"),
        "{unreadable}"
    );
    database.drop().await;
}

async fn unavailable_soon(uri: &str) {
    let short = Duration::from_millis(200);
    let store = MongoStore::open(
        uri,
        Timeouts {
            connect: short,
            operation: short,
        },
    )
    .await
    .unwrap();
    let store = Store::Mongo(store);
    let start = Instant::now();
    let tickets: Collection<Ticket> = store.collection("db").unwrap();
    assert!(store.ping().await.unwrap_err().is_unavailable());
    assert!(tickets.prepare().await.unwrap_err().is_unavailable());
    assert!(
        tickets
            .insert(ticket("A"))
            .await
            .unwrap_err()
            .is_unavailable()
    );
    assert!(
        tickets
            .get(&"A".to_owned())
            .await
            .unwrap_err()
            .is_unavailable()
    );
    assert!(
        tickets
            .replace(at(1, ticket("A")))
            .await
            .unwrap_err()
            .is_unavailable()
    );
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    unavailable_soon(&format!("mongodb://{address}")).await;
}

#[tokio::test]
async fn a_server_that_hangs_is_unavailable() {
    // It takes connections, in its backlog, and never answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    unavailable_soon(&format!("mongodb://{}", listener.local_addr().unwrap())).await;
}

#[tokio::test]
async fn a_wrong_uri_is_told_without_its_password() {
    let refused = Store::open(Some("mongo://user:hunter2@host"))
        .await
        .unwrap_err();
    assert!(matches!(refused, StoreError::Settings { .. }));
    assert!(!refused.to_string().contains("hunter2"));
}
