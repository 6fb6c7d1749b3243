//! What a store promises, held against every store: the embedded one always, MongoDB where it is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly too"
)]

mod changes;

use std::collections::BTreeMap;
use std::ops::Bound;

use changes::{changed_by_all_who_want_to, changed_where_they_are_there_and_differ};

use contracts::Money;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use service_kit::store::{
    Collection, Document, EmbeddedStore, Filter, Index, Insert, Listing, Replace, Store,
    StoreError, Value, Versioned,
};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Ticket {
    number: String,
    status: String,
    amount: Money,
    count: i64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    open: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<i64>,
}

impl Document for Ticket {
    type Id = String;
    const COLLECTION: &'static str = "tickets";
    const INDEXES: &'static [Index] =
        &[Index::on("status"), Index::on("open"), Index::unique("key")];

    fn id(&self) -> String {
        self.number.clone()
    }

    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "status" => Some(self.status.clone().into()),
            "open" => self.open.then_some(true.into()),
            "key" => self.key.map(Value::from),
            _ => None,
        }
    }
}

fn ticket(number: impl ToString) -> Ticket {
    Ticket {
        number: number.to_string(),
        status: "NEW".to_owned(),
        amount: "59.98".parse().unwrap(),
        count: 0,
        open: false,
        key: None,
    }
}

fn tickets(numbers: impl IntoIterator<Item = usize>) -> Vec<Ticket> {
    numbers
        .into_iter()
        .map(|number| ticket(format!("T{number:05}")))
        .collect()
}

fn at(version: i64, document: Ticket) -> Versioned<Ticket> {
    Versioned { version, document }
}

async fn numbers(tickets: &Collection<Ticket>, filter: &Filter) -> Vec<String> {
    let listing = tickets.list(filter, None, 1000).await.unwrap();
    listing
        .items
        .into_iter()
        .map(|item| item.document.number)
        .collect()
}

async fn inserted_once_and_kept(tickets: Collection<Ticket>) {
    assert_eq!(tickets.get(&"A".to_owned()).await.unwrap(), None);
    let batch = vec![ticket("A"), ticket("B"), ticket("A")];
    let outcomes = tickets.insert_many(batch).await.unwrap();
    assert_eq!(
        outcomes,
        [Insert::Inserted, Insert::Inserted, Insert::AlreadyThere]
    );

    let other = Ticket {
        count: 9,
        ..ticket("B")
    };
    let outcomes = tickets
        .insert_many(vec![ticket("C"), other, ticket("D")])
        .await
        .unwrap();
    assert_eq!(
        outcomes,
        [Insert::Inserted, Insert::AlreadyThere, Insert::Inserted]
    );
    assert_eq!(
        tickets.get(&"B".to_owned()).await.unwrap(),
        Some(at(1, ticket("B")))
    );
    assert_eq!(tickets.insert_many(Vec::new()).await.unwrap(), []);
}

async fn got_in_the_order_asked(tickets: Collection<Ticket>) {
    tickets
        .insert_many(vec![ticket("A"), ticket("B")])
        .await
        .unwrap();
    let asked = ["B", "none", "A", "B"].map(str::to_owned);
    let found = tickets.get_many(&asked).await.unwrap();
    let found: Vec<_> = found
        .iter()
        .map(|found| found.as_ref().map(|f| f.document.number.as_str()))
        .collect();
    assert_eq!(found, [Some("B"), None, Some("A"), Some("B")]);
    assert_eq!(tickets.get_many(&[]).await.unwrap(), []);
}

async fn replaced_only_at_the_version_expected(tickets: Collection<Ticket>) {
    tickets
        .insert_many(vec![ticket("A"), ticket("B"), ticket("C")])
        .await
        .unwrap();
    let paid = |number: &str| Ticket {
        status: "PAID".to_owned(),
        open: true,
        ..ticket(number)
    };
    let batch = vec![
        at(1, paid("A")),
        at(2, paid("B")),
        at(1, paid("none")),
        at(1, paid("C")),
    ];
    let outcomes = tickets.replace_many(batch).await.unwrap();
    use Replace::{Conflict, Replaced};
    assert_eq!(outcomes, [Replaced, Conflict, Conflict, Replaced]);
    assert_eq!(
        tickets.get(&"A".to_owned()).await.unwrap(),
        Some(at(2, paid("A")))
    );
    assert_eq!(
        tickets.get(&"B".to_owned()).await.unwrap(),
        Some(at(1, ticket("B")))
    );
    assert_eq!(tickets.get(&"none".to_owned()).await.unwrap(), None);

    // A batch is done in its order, and a replacement takes the fields away that it does not have.
    let batch = vec![at(2, ticket("A")), at(2, paid("A")), at(3, ticket("A"))];
    assert_eq!(
        tickets.replace_many(batch).await.unwrap(),
        [Replaced, Conflict, Replaced]
    );
    assert_eq!(
        tickets.get(&"A".to_owned()).await.unwrap(),
        Some(at(4, ticket("A")))
    );
    assert_eq!(
        numbers(&tickets, &Filter::all().and("open", true)).await,
        ["C"]
    );
    assert_eq!(tickets.replace_many(Vec::new()).await.unwrap(), []);
}

async fn listed_page_by_page(tickets: Collection<Ticket>) {
    // Inserted from the last to the first: the order is that of the ids.
    tickets
        .insert_many(self::tickets((0..25).rev()))
        .await
        .unwrap();
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = tickets
            .list(&Filter::all(), after.as_ref(), 10)
            .await
            .unwrap();
        assert!(page.items.len() <= 10);
        seen.extend(page.items.into_iter().map(|item| item.document));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, self::tickets(0..25));
    let page = tickets.list(&Filter::all(), None, 25).await.unwrap();
    assert_eq!(page.next, None, "a full last page has no next one");
    assert_eq!(
        tickets
            .list(&Filter::all(), Some(&"T99999".to_owned()), 9)
            .await
            .unwrap()
            .items,
        []
    );
}

async fn listed_and_counted_by_fields(tickets: Collection<Ticket>) {
    let mut batch = self::tickets(0..6);
    for (at, ticket) in batch.iter_mut().enumerate() {
        ticket.open = at % 2 == 0;
        ticket.status = if at < 3 { "PAID" } else { "NEW" }.to_owned();
    }
    tickets.insert_many(batch).await.unwrap();
    let paid = Filter::all().and("status", "PAID");
    assert_eq!(
        numbers(&tickets, &paid).await,
        ["T00000", "T00001", "T00002"]
    );
    assert_eq!(
        numbers(&tickets, &paid.clone().and("open", true)).await,
        ["T00000", "T00002"]
    );
    assert_eq!(
        numbers(&tickets, &Filter::all().and("status", "GONE")).await,
        [""; 0]
    );
    assert_eq!(
        tickets
            .count(&paid.clone().and("open", true))
            .await
            .unwrap(),
        2
    );
    assert_eq!(tickets.count(&paid).await.unwrap(), 3);
    assert_eq!(tickets.count(&Filter::all()).await.unwrap(), 6);

    let closed = at(
        1,
        Ticket {
            open: false,
            status: "PAID".to_owned(),
            ..ticket("T00002")
        },
    );
    tickets.replace(closed).await.unwrap();
    assert_eq!(numbers(&tickets, &paid.and("open", true)).await, ["T00000"]);
    let page = tickets
        .list(
            &Filter::all().and("status", "PAID"),
            Some(&"T00000".to_owned()),
            1,
        )
        .await
        .unwrap();
    assert_eq!(
        (page.items.len(), page.next),
        (1, Some("T00001".to_owned()))
    );

    let refused = tickets
        .list(&Filter::all().and("count", 1), None, 1)
        .await
        .unwrap_err();
    assert!(matches!(
        refused,
        StoreError::NotIndexed { field: "count", .. }
    ));
}

async fn unique_values_stay_unique(tickets: Collection<Ticket>) {
    let keyed = |number: &str, key: i64| Ticket {
        key: Some(key),
        ..ticket(number)
    };
    let batch = vec![
        keyed("A", 1),
        keyed("B", 1),
        keyed("C", 2),
        ticket("D"),
        ticket("E"),
    ];
    use Insert::{AlreadyThere, Inserted};
    assert_eq!(
        tickets.insert_many(batch).await.unwrap(),
        [Inserted, AlreadyThere, Inserted, Inserted, Inserted]
    );
    assert_eq!(
        tickets.replace(at(1, keyed("D", 2))).await.unwrap(),
        Replace::Conflict
    );
    assert_eq!(
        tickets.replace(at(1, keyed("A", 1))).await.unwrap(),
        Replace::Replaced
    );
    // A value that was given up is free again.
    assert_eq!(
        tickets.replace(at(2, keyed("A", 3))).await.unwrap(),
        Replace::Replaced
    );
    assert_eq!(tickets.insert(keyed("F", 1)).await.unwrap(), Inserted);
    assert_eq!(numbers(&tickets, &Filter::all().and("key", 3)).await, ["A"]);
}

async fn inserted_or_got(tickets: Collection<Ticket>) {
    let keyed = |number: &str, key: i64, count: i64| Ticket {
        key: Some(key),
        count,
        ..ticket(number)
    };
    tickets.insert(keyed("A", 1, 1)).await.unwrap();
    let batch = vec![ticket("B"), keyed("A", 2, 9), ticket("B")];
    assert_eq!(
        tickets.insert_or_get(batch).await.unwrap(),
        [ticket("B"), keyed("A", 1, 1), ticket("B")],
        "what is in the store, not what was handed in"
    );
    // Both its id and its value are there: its id is what counts.
    tickets.insert(keyed("C", 3, 3)).await.unwrap();
    let again = tickets.insert_or_get(vec![keyed("A", 3, 9)]).await;
    assert_eq!(again.unwrap(), [keyed("A", 1, 1)]);

    let refused = tickets.insert_or_get(vec![keyed("D", 3, 4)]).await;
    let refused = refused.unwrap_err();
    assert!(!refused.is_unavailable());
    assert_eq!(
        refused.to_string(),
        "tickets has no D, and its key belongs to C"
    );
    assert_eq!(tickets.get(&"D".to_owned()).await.unwrap(), None);
}

async fn batches_of_any_size(tickets: Collection<Ticket>) {
    let batch = self::tickets(0..5_000);
    assert!(
        tickets
            .insert_many(batch.clone())
            .await
            .unwrap()
            .iter()
            .all(|o| *o == Insert::Inserted)
    );
    let batch: Vec<_> = batch
        .into_iter()
        .enumerate()
        .map(|(n, t)| at(1 + i64::from(n % 7 == 0), t))
        .collect();
    for (n, outcome) in tickets
        .replace_many(batch)
        .await
        .unwrap()
        .into_iter()
        .enumerate()
    {
        assert_eq!(outcome == Replace::Conflict, n % 7 == 0, "{n}");
    }
    let ids: Vec<_> = (0..5_000).map(|n| format!("T{n:05}")).collect();
    assert!(
        tickets
            .get_many(&ids)
            .await
            .unwrap()
            .iter()
            .all(Option::is_some)
    );
    assert_eq!(tickets.count(&Filter::all()).await.unwrap(), 5_000);
}

async fn nothing_is_lost_between_many_writers(tickets: Collection<Ticket>) {
    const WRITERS: usize = 8;
    const ROUNDS: i64 = 25;
    let hot = ["A", "B", "C"].map(str::to_owned);
    tickets
        .insert_many(hot.iter().map(ticket).collect())
        .await
        .unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let (tickets, hot) = (tickets.clone(), hot.clone());
        writers.spawn(async move {
            let mut left = [ROUNDS; 3];
            while left != [0; 3] {
                // The three go in one batch, so each answer has to be about its own document.
                let read = tickets.get_many(&hot).await.unwrap();
                let wanted = read
                    .into_iter()
                    .flatten()
                    .zip(&mut left)
                    .filter(|(_, left)| **left > 0);
                let (batch, mut left): (Vec<_>, Vec<_>) = wanted
                    .map(|(mut read, left)| {
                        read.document.count += 1;
                        (read, left)
                    })
                    .unzip();
                let outcomes = tickets.replace_many(batch).await.unwrap();
                for (outcome, left) in outcomes.into_iter().zip(&mut left) {
                    **left -= i64::from(outcome == Replace::Replaced);
                }
            }
        });
    }
    writers.join_all().await;
    for found in tickets.get_many(&hot).await.unwrap().into_iter().flatten() {
        assert_eq!(found.document.count, ROUNDS * WRITERS as i64);
        assert_eq!(found.version, found.document.count + 1);
    }
}

async fn one_of_many_inserts_wins(tickets: Collection<Ticket>) {
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8_i64 {
        let tickets = tickets.clone();
        writers.spawn(async move {
            let batch = self::tickets(0..50)
                .into_iter()
                .map(|ticket| Ticket {
                    count: writer,
                    ..ticket
                })
                .collect();
            (writer, tickets.insert_many(batch).await.unwrap())
        });
    }
    let mut winners = vec![Vec::new(); 50];
    for (writer, outcomes) in writers.join_all().await {
        for (won, outcome) in winners.iter_mut().zip(outcomes) {
            if outcome == Insert::Inserted {
                won.push(writer);
            }
        }
    }
    let found = tickets.list(&Filter::all(), None, 100).await.unwrap().items;
    for (won, found) in winners.into_iter().zip(found) {
        assert_eq!(
            won,
            [found.document.count],
            "one writer inserted it, and it is that one's"
        );
    }
}

/// One step of the model test.
#[derive(Clone, Debug)]
enum Step {
    Insert(Vec<Ticket>),
    Replace(Vec<Versioned<Ticket>>),
    List(Option<&'static str>, Option<usize>, usize),
}

fn any_ticket() -> impl Strategy<Value = Ticket> {
    (
        0..12_usize,
        prop::sample::select(vec!["NEW", "PAID"]),
        any::<bool>(),
        prop::option::of(0..4_i64),
    )
        .prop_map(|(number, status, open, key)| Ticket {
            status: status.to_owned(),
            open,
            key,
            ..ticket(format!("{number:02}"))
        })
}

fn any_step() -> impl Strategy<Value = Step> {
    let replace = (1..4_i64, any_ticket()).prop_map(|(version, document)| at(version, document));
    prop_oneof![
        prop::collection::vec(any_ticket(), 0..5).prop_map(Step::Insert),
        prop::collection::vec(replace, 0..6).prop_map(Step::Replace),
        (
            prop::option::of(prop::sample::select(vec!["NEW", "PAID"])),
            prop::option::of(0..12_usize),
            1..6_usize
        )
            .prop_map(|(status, after, limit)| Step::List(status, after, limit)),
    ]
}

type Model = BTreeMap<String, Versioned<Ticket>>;

fn key_taken(model: &Model, ticket: &Ticket) -> bool {
    let has = |other: &Ticket| other.number != ticket.number && other.key == ticket.key;
    ticket.key.is_some() && model.values().any(|other| has(&other.document))
}

/// Does the same to the store and to a plain map and compares every answer.
async fn follows_the_model(tickets: Collection<Ticket>, steps: Vec<Step>) {
    let mut model = Model::new();
    for step in steps {
        match step {
            Step::Insert(batch) => {
                let expected: Vec<_> = batch
                    .iter()
                    .map(|ticket| insert(&mut model, ticket))
                    .collect();
                assert_eq!(tickets.insert_many(batch).await.unwrap(), expected);
            }
            Step::Replace(mut batch) => {
                if batch.len() > 1 {
                    // Who gets a unique value that changes hands within a batch is not promised.
                    for new in &mut batch {
                        new.document.key = model
                            .get(&new.document.number)
                            .and_then(|old| old.document.key);
                    }
                }
                let expected: Vec<_> = batch.iter().map(|new| replace(&mut model, new)).collect();
                assert_eq!(tickets.replace_many(batch).await.unwrap(), expected);
            }
            Step::List(status, after, limit) => {
                let after = after.map(|after| format!("{after:02}"));
                let from = (
                    after.as_ref().map_or(Bound::Unbounded, Bound::Excluded),
                    Bound::Unbounded,
                );
                let behind = model.range::<String, _>(from).map(|(_, found)| found);
                let mut expected: Vec<_> = behind
                    .filter(|f| status.is_none_or(|status| f.document.status == status))
                    .cloned()
                    .collect();
                let more = expected.len() > limit;
                expected.truncate(limit);
                let filter =
                    status.map_or(Filter::all(), |status| Filter::all().and("status", status));
                let found = tickets.list(&filter, after.as_ref(), limit).await.unwrap();
                assert_eq!(found.next.is_some(), more);
                assert_eq!(found.items, expected);
            }
        }
    }
    let everything = tickets.list(&Filter::all(), None, 100).await.unwrap().items;
    assert_eq!(everything, model.into_values().collect::<Vec<_>>());
}

fn insert(model: &mut Model, ticket: &Ticket) -> Insert {
    if model.contains_key(&ticket.number) || key_taken(model, ticket) {
        return Insert::AlreadyThere;
    }
    model.insert(ticket.number.clone(), at(1, ticket.clone()));
    Insert::Inserted
}

fn replace(model: &mut Model, new: &Versioned<Ticket>) -> Replace {
    let there = model
        .get(&new.document.number)
        .is_some_and(|old| old.version == new.version);
    if !there || key_taken(model, &new.document) {
        return Replace::Conflict;
    }
    model.insert(
        new.document.number.clone(),
        at(new.version + 1, new.document.clone()),
    );
    Replace::Replaced
}

/// Without an index, since MongoDB cuts off the keys of an index at some size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Large {
    number: String,
    text: String,
}

impl Document for Large {
    type Id = String;
    const COLLECTION: &'static str = "large";

    fn id(&self) -> String {
        self.number.clone()
    }
}

async fn batches_of_many_bytes(large: Collection<Large>) {
    // 30 MB, more than a command of MongoDB takes.
    let all: Vec<_> = (0..100)
        .map(|n| Large {
            number: format!("L{n:03}"),
            text: "x".repeat(300_000),
        })
        .collect();
    let outcomes = large.insert_many(all.clone()).await.unwrap();
    assert!(outcomes.iter().all(|outcome| *outcome == Insert::Inserted));
    let versioned = all
        .into_iter()
        .map(|document| Versioned {
            version: 1,
            document,
        })
        .collect();
    let outcomes = large.replace_many(versioned).await.unwrap();
    assert!(outcomes.iter().all(|outcome| *outcome == Replace::Replaced));
    let found = large.list(&Filter::all(), None, 100).await.unwrap().items;
    assert!(
        found.len() == 100
            && found
                .iter()
                .all(|found| found.version == 2 && found.document.text.len() == 300_000)
    );
}

macro_rules! conformance {
    ($($name:ident),+ $(,)?) => {
        mod embedded {
            use super::*;

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let store = Store::Embedded(EmbeddedStore::new());
                    super::$name(store.collection("conformance").unwrap()).await;
                }
            )+

            proptest! {
                #[test]
                fn follows_the_model(steps in prop::collection::vec(any_step(), 0..30)) {
                    let store = Store::Embedded(EmbeddedStore::new());
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    runtime.block_on(super::follows_the_model(store.collection("conformance").unwrap(), steps));
                }
            }
        }

        #[cfg(feature = "mongodb")]
        mod mongodb {
            use super::*;

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                #[ignore = "needs MONGODB_URI: cargo test -p service-kit --test store_conformance -- --ignored"]
                async fn $name() {
                    let database = mongo::Database::new(stringify!($name)).await;
                    super::$name(database.store.collection(&database.name).unwrap()).await;
                    database.drop().await;
                }
            )+

            #[test]
            #[ignore = "needs MONGODB_URI: cargo test -p service-kit --test store_conformance -- --ignored"]
            fn follows_the_model() {
                let runtime = tokio::runtime::Runtime::new().unwrap();
                let config = ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() };
                let mut runner = proptest::test_runner::TestRunner::new(config);
                let steps = prop::collection::vec(any_step(), 0..30);
                let database = std::cell::Cell::new(0);
                runner
                    .run(&steps, |steps| {
                        database.set(database.get() + 1);
                        runtime.block_on(async {
                            let database = mongo::Database::new(&format!("model{}", database.get())).await;
                            super::follows_the_model(database.store.collection(&database.name).unwrap(), steps).await;
                            database.drop().await;
                        });
                        Ok(())
                    })
                    .unwrap();
            }
        }
    };
}

conformance! {
    inserted_once_and_kept,
    got_in_the_order_asked,
    replaced_only_at_the_version_expected,
    listed_page_by_page,
    listed_and_counted_by_fields,
    unique_values_stay_unique,
    inserted_or_got,
    batches_of_any_size,
    batches_of_many_bytes,
    changed_by_all_who_want_to,
    changed_where_they_are_there_and_differ,
    nothing_is_lost_between_many_writers,
    one_of_many_inserts_wins,
}

#[tokio::test]
async fn a_write_fails_where_it_is_told_to() {
    for (applied, there) in [(false, vec!["T00000"]), (true, vec!["T00000", "T00001"])] {
        let store = EmbeddedStore::new();
        let collection = Store::Embedded(store.clone()).collection("faults").unwrap();
        store.fail_write(2, applied);
        let error = collection.insert_many(tickets(0..3)).await.unwrap_err();
        assert!(error.is_unavailable() && !store.has_fault(), "{error}");
        assert_eq!(numbers(&collection, &Filter::all()).await, there);
        collection.insert_many(tickets(0..3)).await.unwrap();
        assert_eq!(numbers(&collection, &Filter::all()).await.len(), 3);
    }
}

#[tokio::test]
async fn instances_in_one_process_share_an_embedded_store() {
    let store = EmbeddedStore::new();
    let one: Collection<Ticket> = Store::Embedded(store.clone()).collection("db").unwrap();
    let two: Collection<Ticket> = Store::Embedded(store.clone()).collection("db").unwrap();
    let other: Collection<Ticket> = Store::Embedded(store.clone()).collection("other").unwrap();
    one.insert(ticket("A")).await.unwrap();
    assert!(two.get(&"A".to_owned()).await.unwrap().is_some());
    assert!(other.get(&"A".to_owned()).await.unwrap().is_none());

    store.set_away(true);
    assert!(two.insert(ticket("B")).await.unwrap_err().is_unavailable());
    assert!(
        Store::Embedded(store.clone())
            .ping()
            .await
            .unwrap_err()
            .is_unavailable()
    );
    store.set_away(false);
    assert_eq!(two.insert(ticket("B")).await.unwrap(), Insert::Inserted);
}

#[cfg(feature = "mongodb")]
mod mongo {
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
}
