//! On the embedded broker and store.

use std::sync::Arc;

use contracts::Timestamp;
use kafka_client::{Client, ClientConfig, ProducerConfig, ProducerRecord};
use orderflow::cli::Role;
use orderflow::processing::ProcessingTime;
use orderflow::{Shop, ShopSettings};
use payment_service::payment::DeclineRule;
use service_kit::clock::ManualClock;
use service_kit::store::{EmbeddedStore, Store};

use crate::running::{Running, order};
use crate::scenarios::{self, product};

fn settings() -> ShopSettings {
    ShopSettings::embedded(vec![product("P001", 100, 2999), product("P002", 50, 4999)])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_shipped() {
    let shop = Running::start(settings()).await;
    scenarios::an_order_is_shipped(&shop.urls, "P001").await;
    scenarios::at_rest_nothing_lags(&shop.urls).await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_had_is_rejected() {
    let shop = Running::start(settings()).await;
    scenarios::what_cannot_be_had_is_rejected(&shop.urls, "P001", "P002").await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_costs_too_much_is_declined() {
    let decline = DeclineRule {
        above: "100.00".parse().unwrap(),
    };
    let shop = Running::start(ShopSettings {
        decline,
        ..settings()
    })
    .await;
    scenarios::what_costs_too_much_is_declined(&shop.urls, "P001").await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_that_are_asked_back_end_in_a_right_state() {
    let shop = Running::start(settings()).await;
    scenarios::orders_that_are_asked_back_end_in_a_right_state(&shop.urls, "P001").await;
    scenarios::at_rest_nothing_lags(&shop.urls).await;
    shop.stop().await;
}

/// With work that takes its time, orders are asked back while they are on their way, and none is both sent and paid back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_that_are_asked_back_while_the_services_work_end_in_a_right_state() {
    let shop = Running::start(ShopSettings {
        processing_time: ProcessingTime::each(std::time::Duration::from_millis(20)),
        ..settings()
    })
    .await;
    scenarios::orders_that_are_asked_back_end_in_a_right_state(&shop.urls, "P001").await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_orders_at_once() {
    let stock = vec![product("HOT", 1500, 100), product("COLD", 100_000, 50)];
    let shop = Running::start(ShopSettings::embedded(stock)).await;
    scenarios::many_at_once(&shop.urls, 2000, "HOT", "COLD").await;
    scenarios::at_rest_nothing_lags(&shop.urls).await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_kafka_away_orders_are_taken_and_go_out_when_it_is_back() {
    let clock = ManualClock::at(Timestamp::from_millis(1_800_000_000_000));
    let settings = ShopSettings {
        clock: Arc::new(clock.clone()),
        ..settings()
    };
    let shop = Shop::on_free_ports(settings).await.unwrap();
    let broker = shop.broker().map(Arc::clone).unwrap();
    let shop = Running::run(shop);
    scenarios::an_order_is_shipped(&shop.urls, "P001").await;
    broker.crash_node(1).await.unwrap();
    let mut placed = Vec::new();
    for _ in 0..20 {
        placed.push(shop.urls.place(&[("P002", 1, "49.99")]).await);
    }
    let (status, health) = shop.urls.get(Role::Order, "/health").await;
    assert_eq!(status, 200, "{health}");
    assert_eq!(health["checks"]["kafka"]["status"], "down", "{health}");
    let (status, problem) = shop.urls.get(Role::Order, "/offsets").await;
    assert_eq!(status, 503, "{problem}");
    clock.advance(60_000);
    let redrive = || async {
        let url = shop.urls.url(Role::Order, "/outbox/redrive");
        let response = shop.urls.http.post(url).send().await.unwrap();
        assert_eq!(response.status(), 202);
        response.json::<serde_json::Value>().await.unwrap()
    };
    let found = redrive().await;
    assert_eq!(
        (&found["backlog"], &found["oldest_age_seconds"]),
        (&serde_json::json!(20), &serde_json::json!(60.0)),
        "{found}"
    );
    let (status, health) = shop.urls.get(Role::Order, "/health").await;
    assert_eq!((status.as_u16(), &health["status"]), (200, &"up".into()));
    let told = &health["checks"]["outbox"];
    assert_eq!(
        (&told["status"], &told["detail"]["backlog"]),
        (&"up".into(), &20.into())
    );
    broker.start_node(1).await.unwrap();
    for id in placed {
        shop.urls
            .order_when(&id, |status| status == "SHIPPED")
            .await;
    }
    redrive().await;
    shop.urls
        .when(Role::Order, "/health", |health| {
            let told = &health["checks"]["outbox"]["detail"];
            told["backlog"] == 0 && told["oldest_age_seconds"] == 0.0
        })
        .await;
    shop.stop().await;
}

/// A broker that keeps its topics in memory was started again, or somebody deleted them: orders go on all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_that_have_gone_are_made_anew() {
    let shop = Shop::on_free_ports(settings()).await.unwrap();
    let broker = shop.broker().map(Arc::clone).unwrap();
    let shop = Running::run(shop);
    scenarios::an_order_is_shipped(&shop.urls, "P001").await;
    for topic in contracts::names::TOPICS {
        assert!(broker.delete_topic(topic));
    }
    scenarios::an_order_is_shipped(&shop.urls, "P001").await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_store_away_nothing_is_half_done() {
    let store = EmbeddedStore::new();
    let settings = ShopSettings {
        store: Store::Embedded(store.clone()),
        ..settings()
    };
    let shop = Running::start(settings).await;
    scenarios::an_order_is_shipped(&shop.urls, "P001").await;
    store.set_away(true);
    let (status, problem) = shop.urls.post_order(&order(&[("P001", 1, "29.99")])).await;
    assert_eq!(
        (status.as_u16(), &problem["status"]),
        (503, &serde_json::json!(503))
    );
    let (status, _) = shop.urls.get(Role::Payment, "/health").await;
    assert_eq!(status, 503);
    store.set_away(false);
    let orders = shop.urls.found(Role::Order, "/orders").await;
    assert_eq!(
        orders["items"].as_array().unwrap().len(),
        1,
        "the refused order is nowhere"
    );
    scenarios::an_order_is_shipped(&shop.urls, "P001").await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_partition_does_not_hold_up_the_others() {
    // With work of this length an order takes three times it when nobody is in its way. Orders of one partition wait for
    // one another; that all partitions work at once shows in the order in which the orders end.
    let processing_time = ProcessingTime::each(std::time::Duration::from_millis(50));
    let shop = Running::start(ShopSettings {
        processing_time,
        concurrency: 1,
        ..settings()
    })
    .await;
    let mut ids = Vec::new();
    for _ in 0..12 {
        ids.push(shop.urls.place(&[("P001", 1, "29.99")]).await);
    }
    for id in &ids {
        shop.urls.order_when(id, |status| status == "SHIPPED").await;
    }
    scenarios::at_rest_nothing_lags(&shop.urls).await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_the_stock_and_the_orders() {
    let store = EmbeddedStore::new();
    let again = || ShopSettings {
        store: Store::Embedded(store.clone()),
        ..settings()
    };
    let shop = Running::start(again()).await;
    scenarios::an_order_is_shipped(&shop.urls, "P001").await;
    shop.stop().await;
    let shop = Running::start(again()).await;
    let product = shop
        .urls
        .when(Role::Inventory, "/inventory/P001", |_| true)
        .await;
    assert_eq!(product["quantity"], 98);
    assert_eq!(
        shop.urls.found(Role::Order, "/orders").await["items"][0]["status"],
        "SHIPPED"
    );
    shop.stop().await;
}

/// A crash between storing an order and publishing it: the next run finds it in the store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_was_stored_and_not_published_goes_out_at_the_next_start() {
    let store = EmbeddedStore::new();
    let with_store = || ShopSettings {
        store: Store::Embedded(store.clone()),
        ..settings()
    };
    let shop = Shop::on_free_ports(with_store()).await.unwrap();
    let broker = shop.broker().map(Arc::clone).unwrap();
    let shop = Running::run(shop);
    scenarios::an_order_is_shipped(&shop.urls, "P001").await;
    broker.crash_node(1).await.unwrap();
    let id = shop.urls.place(&[("P002", 1, "49.99")]).await;
    shop.stop().await;
    // Another broker, which has never heard of the order.
    let shop = Running::start(with_store()).await;
    shop.urls
        .order_when(&id, |status| status == "SHIPPED")
        .await;
    shop.stop().await;
}

/// What is no event is put aside, and is seen and sent back over HTTP; orders go on meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_handled_is_put_aside_and_can_be_sent_back() {
    let shop = Shop::on_free_ports(settings()).await.unwrap();
    let servers = shop.bootstrap_servers();
    let shop = Running::run(shop);
    scenarios::an_order_is_shipped(&shop.urls, "P001").await;
    let client = Client::new(ClientConfig::new(&servers)).unwrap();
    let producer = client.producer(ProducerConfig::default());
    let poison = ProducerRecord::new("order_placed").key(b"k").value(b"{");
    for _ in 0..2 {
        producer.send(&poison).await.unwrap().await.unwrap();
    }

    let two = |letters: &serde_json::Value| letters["items"].as_array().unwrap().len() == 2;
    let letters = shop.urls.when(Role::Payment, "/dead-letters", two).await;
    assert_eq!(letters["next"], serde_json::Value::Null);
    let letter = &letters["items"][0];
    let first = shop
        .urls
        .found(Role::Payment, "/dead-letters?limit=1")
        .await;
    assert_eq!(&first["items"], &serde_json::json!([letter]));
    let path = format!("/dead-letters?after={}", first["next"].as_str().unwrap());
    let second = shop.urls.found(Role::Payment, &path).await;
    assert_eq!(&second["items"], &serde_json::json!([letters["items"][1]]));
    let (status, problem) = shop.urls.get(Role::Payment, "/dead-letters?after=x").await;
    assert_eq!(
        (status.as_u16(), &problem["errors"][0]["field"]),
        (400, &"after".into())
    );
    assert_eq!(letter["topic"], "order_placed.payment-service.dlq");
    assert_eq!(
        (&letter["origin"]["topic"], &letter["value"]),
        (&"order_placed".into(), &"{".into())
    );
    scenarios::an_order_is_shipped(&shop.urls, "P001").await;

    let act = async |topic: &str, what: &str| {
        let path = format!("/dead-letters/{topic}/{what}");
        let url = shop.urls.url(Role::Payment, &path);
        let response = shop
            .urls
            .http
            .post(url)
            .body("{\"all\":true}")
            .send()
            .await
            .unwrap();
        (
            response.status().as_u16(),
            response.json::<serde_json::Value>().await.unwrap(),
        )
    };
    let topic = "order_placed.payment-service.dlq";
    let (status, done) = act(topic, "redrive").await;
    assert_eq!((status, &done["letters"]), (200, &2.into()), "{done}");
    // They are no better than before, and are put aside again.
    let again = |letters: &serde_json::Value| letters["items"][1]["offset"] == 3;
    shop.urls.when(Role::Payment, "/dead-letters", again).await;
    let (status, done) = act(topic, "drop").await;
    assert_eq!((status, &done["letters"]), (200, &2.into()), "{done}");
    let none = shop.urls.found(Role::Payment, "/dead-letters").await;
    assert_eq!(none["items"], serde_json::json!([]));
    // Another group's letters are not this service's, and orders are no letters.
    for other in ["order_placed", "order_placed.order-service.dlq"] {
        assert_eq!(act(other, "drop").await.0, 404, "{other}");
    }
    shop.stop().await;
}
