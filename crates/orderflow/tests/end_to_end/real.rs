//! On a real Kafka and MongoDB.
//!
//! `eval "$(deploy/testbed/up)"`, then `cargo test -p orderflow --test end_to_end -- --ignored --test-threads=1`: the tests
//! share the services' consumer groups, so they run one after the other.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use inventory_service::stock::Product;
use orderflow::cli::Role;
use orderflow::{Shop, ShopSettings};
use service_kit::store::Store;

use crate::processes::Process;
use crate::running::{Running, Urls};
use crate::scenarios::{self, product};

pub(crate) fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: eval \"$(deploy/testbed/up)\""))
}

/// A name that no earlier run has used: the database may have lived longer than this test.
pub(crate) fn fresh(name: &str) -> String {
    let nanos = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    format!("{name}-{nanos}")
}

async fn start(roles: &[Role], stock: Vec<Product>) -> Running {
    let store = Store::open(Some(&variable("MONGODB_URI"))).await.unwrap();
    let settings = ShopSettings {
        bootstrap_servers: Some(variable("KAFKA_BOOTSTRAP_SERVERS")),
        store,
        ..ShopSettings::embedded(stock)
    };
    let roles: Vec<(Role, u16)> = roles.iter().map(|role| (*role, 0)).collect();
    Running::run(
        Shop::build(&roles, settings, Ipv4Addr::LOCALHOST.into())
            .await
            .unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KAFKA_BOOTSTRAP_SERVERS and MONGODB_URI: eval \"$(deploy/testbed/up)\""]
async fn an_order_is_shipped() {
    let (product_a, product_b) = (fresh("A"), fresh("B"));
    let stock = vec![product(&product_a, 100, 2999), product(&product_b, 50, 100)];
    let shop = start(&Role::PIPELINE, stock).await;
    scenarios::an_order_is_shipped(&shop.urls, &product_a).await;
    scenarios::what_cannot_be_had_is_rejected(&shop.urls, &product_b, &product_a).await;
    scenarios::orders_that_are_asked_back_end_in_a_right_state(&shop.urls, &product_a).await;
    scenarios::at_rest_nothing_lags(&shop.urls).await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KAFKA_BOOTSTRAP_SERVERS and MONGODB_URI: eval \"$(deploy/testbed/up)\""]
async fn two_thousand_orders_at_once() {
    let (hot, cold) = (fresh("HOT"), fresh("COLD"));
    let stock = vec![product(&hot, 1500, 100), product(&cold, 100_000, 50)];
    let shop = start(&Role::PIPELINE, stock).await;
    scenarios::many_at_once(&shop.urls, 2000, &hot, &cold).await;
    scenarios::at_rest_nothing_lags(&shop.urls).await;
    shop.stop().await;
}

/// The shop without its payment service, and the urls of the shop with one that runs elsewhere.
fn with_payment(shop: &Running, payment: &Process) -> Urls {
    let here =
        [Role::Order, Role::Inventory, Role::Shipment].map(|role| (role, shop.urls.url(role, "")));
    Urls::new(
        here.into_iter()
            .chain([(Role::Payment, payment.urls.url(Role::Payment, ""))]),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KAFKA_BOOTSTRAP_SERVERS and MONGODB_URI: eval \"$(deploy/testbed/up)\""]
async fn a_killed_payment_service_loses_and_doubles_nothing() {
    let (hot, cold) = (fresh("HOT"), fresh("COLD"));
    let stock = vec![product(&hot, 10_000, 100), product(&cold, 10_000, 50)];
    let shop = start(&[Role::Order, Role::Inventory, Role::Shipment], stock).await;
    shop.urls
        .when(Role::Inventory, &format!("/inventory/{hot}"), |_| true)
        .await;
    let first = Process::payment();
    let placed = scenarios::place_many(&shop.urls, 250, &hot, &cold).await;
    // It is in the middle of its work: some orders are paid, others are on their way to it.
    shop.urls
        .order_when(&placed[0], |status| status != "PENDING")
        .await;
    let more = {
        let (urls, hot, cold) = (shop.urls.clone(), hot.clone(), cold.clone());
        tokio::spawn(async move { scenarios::place_many(&urls, 250, &hot, &cold).await })
    };
    first.kill();
    let second = Process::payment();
    let ids = [placed, more.await.unwrap()].concat();
    scenarios::all_end_well(&with_payment(&shop, &second), &ids, &hot, 10_000).await;
    kafka_shows_no_lag("payment-service");
    second.terminate().await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KAFKA_BOOTSTRAP_SERVERS and MONGODB_URI: eval \"$(deploy/testbed/up)\""]
async fn two_payment_services_share_the_partitions() {
    let (hot, cold) = (fresh("HOT"), fresh("COLD"));
    let stock = vec![product(&hot, 10_000, 100), product(&cold, 10_000, 50)];
    let shop = start(&[Role::Order, Role::Inventory, Role::Shipment], stock).await;
    shop.urls
        .when(Role::Inventory, &format!("/inventory/{hot}"), |_| true)
        .await;
    let first = Process::payment();
    owns(&first, 6..=6).await;
    let mut ids = scenarios::place_many(&shop.urls, 200, &hot, &cold).await;
    let second = Process::payment();
    ids.extend(scenarios::place_many(&shop.urls, 200, &hot, &cold).await);
    owns(&second, 2..=4).await;
    owns(&first, 2..=4).await;
    ids.extend(scenarios::place_many(&shop.urls, 200, &hot, &cold).await);
    second.terminate().await;
    ids.extend(scenarios::place_many(&shop.urls, 200, &hot, &cold).await);
    owns(&first, 6..=6).await;
    scenarios::all_end_well(&with_payment(&shop, &first), &ids, &hot, 10_000).await;
    first.terminate().await;
    shop.stop().await;
}

/// Waits until the process reads that many of the partitions of the two topics.
async fn owns(process: &Process, partitions: std::ops::RangeInclusive<usize>) {
    process
        .urls
        .when(Role::Payment, "/offsets", |rows| {
            let rows = rows["items"].as_array().unwrap();
            partitions.contains(&rows.iter().filter(|row| row["owner"] == true).count())
        })
        .await;
}

/// Kafka's own tool sees our commits, at the end of every partition.
fn kafka_shows_no_lag(group: &str) {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/testbed/tool");
    let output = Command::new("bash")
        .arg(tool)
        .arg("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand")
        .args([
            "--bootstrap-server",
            &variable("KAFKA_BOOTSTRAP_SERVERS"),
            "--describe",
            "--group",
            group,
        ])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let rows: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|cells| cells.first() == Some(&group))
        .collect();
    assert_eq!(
        rows.len(),
        6,
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for row in rows {
        // GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG …
        assert_eq!((row[3], row[5]), (row[4], "0"), "{text}");
    }
}
