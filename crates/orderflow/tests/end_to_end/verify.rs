//! What `verify` finds in a shop: nothing where all is well, and what was broken.

use std::sync::Arc;
use std::time::Duration;

use contracts::{OrderStatus, names};
use kafka_broker::{Broker, BrokerConfig};
use kafka_client::{Client, ClientConfig, ProducerConfig, ProducerRecord};
use orderflow::cli::Role;
use orderflow::load::{self, LoadSettings};
use orderflow::verify::{Progress, Verified, VerifySettings, run};
use orderflow::{Shop, ShopSettings};
use payment_service::payment::{DATABASE, DeclineRule, Payment};
use service_kit::store::{EmbeddedStore, Store};

use crate::load::{load as load_all, settings};
use crate::running::{PATIENCE, Running, Urls};
use crate::scenarios::product;

async fn verify(urls: &Urls, servers: &str, wait: Duration) -> Verified {
    let settings = VerifySettings {
        order_url: urls.url(Role::Order, "").parse().unwrap(),
        payment_url: urls.url(Role::Payment, "").parse().unwrap(),
        inventory_url: urls.url(Role::Inventory, "").parse().unwrap(),
        shipment_url: urls.url(Role::Shipment, "").parse().unwrap(),
        wait,
        ..VerifySettings::local(servers).unwrap()
    };
    let progress = Progress::default();
    let verified = run(&settings, &progress).await.unwrap();
    assert_eq!(progress.orders(), verified.orders);
    verified
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_load_with_cancellations_and_too_little_stock_nothing_is_broken() {
    let stock = vec![product("P001", 300, 2999), product("P002", 150, 4999)];
    let shop = Shop::on_free_ports(ShopSettings {
        decline: DeclineRule {
            above: "150.00".parse().unwrap(),
        },
        ..ShopSettings::embedded(stock)
    })
    .await
    .unwrap();
    let servers = shop.bootstrap_servers();
    let shop = Running::run(shop);
    let report = load_all(&LoadSettings {
        cancel_percent: 30,
        ..settings(&shop.urls, 1200)
    })
    .await;
    assert!(report.by_status.len() >= 3, "{report}");
    let verified = verify(&shop.urls, &servers, PATIENCE).await;
    assert_eq!(verified.violations, [], "{verified}");
    assert_eq!(
        (verified.orders, &verified.by_status),
        (1200, &report.by_status)
    );
    // Placed, and paid or declined or called off, at least.
    assert!(verified.events >= 2 * 1200, "{verified}");
    assert_eq!((verified.products, verified.unreadable), (2, 0));
    shop.stop().await;
}

/// A payment that was changed in the store behind the service's back, and what is no event on a topic.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_broken_is_found() {
    let store = Store::Embedded(EmbeddedStore::new());
    let shop = Shop::on_free_ports(ShopSettings {
        store: store.clone(),
        ..ShopSettings::embedded(vec![product("P001", 100, 100)])
    })
    .await
    .unwrap();
    let servers = shop.bootstrap_servers();
    let shop = Running::run(shop);
    load_all(&settings(&shop.urls, 20)).await;
    let verified = verify(&shop.urls, &servers, PATIENCE).await;
    assert_eq!(verified.violations, [], "{verified}");
    assert_eq!(verified.by_status.get(&OrderStatus::Shipped), Some(&20));

    let payments = store.collection::<Payment>(DATABASE).unwrap();
    let all = service_kit::store::Filter::all();
    let first = payments.list(&all, None, 1).await.unwrap().items[0]
        .document
        .order_id;
    payments
        .change_many([first], |payment| {
            payment.refund(None, payment.timestamp.plus_days(1))
        })
        .await
        .unwrap();
    let client = Client::new(ClientConfig::new(&servers)).unwrap();
    let producer = client.producer(ProducerConfig::default());
    let poison = ProducerRecord::new(names::ORDER_PLACED).value(b"{");
    producer.send(&poison).await.unwrap().await.unwrap();

    let verified = verify(&shop.urls, &servers, Duration::ZERO).await;
    assert_eq!(verified.violations.len(), 1, "{verified:?}");
    let told = verified.violations[0].to_string();
    for part in [&*first.to_string(), "COMPLETED", "REFUNDED"] {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(verified.unreadable, 1);
    shop.stop().await;
}

/// Whatever a shop is in the midst of when it stops, its next run takes up; and a customer who asks again has ordered once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_goes_on_while_the_shop_is_started_again() {
    let broker = Broker::start(BrokerConfig::default()).await.unwrap();
    let servers = broker.bootstrap_servers();
    let shop_settings = ShopSettings {
        bootstrap_servers: Some(servers.clone()),
        ..ShopSettings::embedded(vec![product("P001", 1000, 100), product("P002", 9, 200)])
    };
    let shop = Shop::on_free_ports(shop_settings.clone()).await.unwrap();
    let ports: Vec<_> = shop
        .addresses()
        .map(|(role, at)| (role, at.port()))
        .collect();
    let shop = Running::run(shop);

    let progress = Arc::new(orderflow::load::Progress::default());
    let load_settings = LoadSettings {
        cancel_percent: 10,
        ..settings(&shop.urls, 2000)
    };
    let watched = Arc::clone(&progress);
    let loading = tokio::spawn(async move { load::run(&load_settings, &watched).await });
    let mut look = tokio::time::interval(Duration::from_millis(1));
    let under_way = async {
        while progress.accepted() < 100 {
            look.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, under_way).await.unwrap();
    shop.stop().await;
    let host = std::net::Ipv4Addr::LOCALHOST.into();
    let shop = Running::run(Shop::build(&ports, shop_settings, host).await.unwrap());

    let report = loading.await.unwrap().unwrap();
    assert_eq!(report.complaints(), [] as [&str; 0], "{report}");
    assert_eq!(report.accepted, 2000, "{report}");
    assert_ne!(report.retries, 0, "{report}");
    let verified = verify(&shop.urls, &servers, PATIENCE).await;
    assert_eq!(verified.violations, [], "{verified}");
    assert_eq!(verified.orders, 2000, "{verified}");
    shop.stop().await;
    broker.stop().await;
}
