//! What a store promises, held against every store: the embedded one always, MongoDB where it is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly too"
)]

mod changes;
mod model;
#[cfg(feature = "mongodb")]
mod mongo;

use std::collections::BTreeMap;
use std::ops::Bound;

use changes::{
    changed_by_all_who_want_to, changed_where_they_are_there_and_differ,
    nothing_is_lost_between_many_writers, one_of_many_inserts_wins,
};
use contracts::Money;
use model::{any_step, follows_the_model};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use service_kit::store::{
    Collection, Direction, Document, EmbeddedStore, Filter, Index, Insert, Listing, Replace, Store,
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
    for direction in [Direction::Ascending, Direction::Descending] {
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = tickets
                .list_in(direction, &Filter::all(), after.as_ref(), 10)
                .await
                .unwrap();
            assert!(page.items.len() <= 10);
            seen.extend(page.items.into_iter().map(|item| item.document));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        if direction == Direction::Descending {
            seen.reverse();
        }
        assert_eq!(seen, self::tickets(0..25), "{direction:?}");
    }
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
