//! The load against a shop: what it posts arrives, once each, and what it tells of it is so.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use contracts::OrderStatus;
use orderflow::ShopSettings;
use orderflow::cli::Role;
use orderflow::load::{LoadReport, LoadSettings, Progress, run};
use payment_service::payment::DeclineRule;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::running::{Running, Urls};
use crate::scenarios::product;

/// Against this shop.
pub(crate) fn settings(urls: &Urls, orders: u64) -> LoadSettings {
    LoadSettings {
        order_url: urls.url(Role::Order, "").parse().unwrap(),
        inventory_url: urls.url(Role::Inventory, "/").parse().unwrap(),
        ..LoadSettings::local(orders)
    }
}

pub(crate) async fn load(settings: &LoadSettings) -> LoadReport {
    let progress = Arc::new(Progress::default());
    let report = run(settings, &progress).await.unwrap();
    assert_eq!(progress.accepted(), report.accepted);
    assert_eq!(
        progress.settled(),
        report.by_status.values().sum::<u64>(),
        "{report}"
    );
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_orders_of_a_load_come_to_an_end() {
    let stock = vec![product("P001", 100, 2999), product("P002", 50, 4999)];
    let shop = Running::start(ShopSettings {
        decline: DeclineRule {
            above: "150.00".parse().unwrap(),
        },
        ..ShopSettings::embedded(stock)
    })
    .await;
    let report = load(&LoadSettings {
        cancel_percent: 30,
        ..settings(&shop.urls, 700)
    })
    .await;
    assert_eq!(report.complaints(), [] as [&str; 0], "{report}");
    assert_eq!(
        (report.accepted, report.not_final, report.failed_requests),
        (700, 0, 0)
    );
    // Too little for all, and orders above the limit.
    for status in [
        OrderStatus::Shipped,
        OrderStatus::Refunded,
        OrderStatus::Declined,
    ] {
        assert!(report.by_status.contains_key(&status), "{report}");
    }
    let cancels = report.cancels_accepted + report.cancels_too_late;
    assert!((100..400).contains(&cancels), "{report}");
    assert!(
        report.post.max_ms <= report.post_to_final.max_ms,
        "{report}"
    );
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_restocks_is_shipped_and_leaves_the_stock_as_it_was() {
    let stock = vec![product("P001", 1, 100), product("P002", 0, 200)];
    let shop = Running::start(ShopSettings::embedded(stock)).await;
    let report = load(&LoadSettings {
        restock: true,
        // Five are due every millisecond, so that some have to wait for one of the two connections.
        rate: Some(5000.0),
        concurrency: 2,
        ..settings(&shop.urls, 200)
    })
    .await;
    assert_eq!(report.by_status.get(&OrderStatus::Shipped), Some(&200));
    let inventory = shop.urls.found(Role::Inventory, "/inventory").await;
    let column = |name: &str| -> Vec<u64> {
        let items = inventory["items"].as_array().unwrap();
        items.iter().map(|p| p[name].as_u64().unwrap()).collect()
    };
    assert_eq!(column("quantity"), [1, 0], "{inventory}");
    assert_eq!(column("restocked").iter().sum::<u64>(), report.restocked);
    shop.stop().await;
}

/// A service that loses its first answers, and then says what it would have said.
struct Forgetful {
    listener: TcpListener,
    keys: Vec<String>,
}

const ID: &str = "018bcfe5-6800-7bab-abab-abababababab";

impl Forgetful {
    /// Answers requests, a connection after the other, until one asks for the list of orders a second time.
    async fn serve(mut self) -> Vec<String> {
        let mut lists = 0;
        loop {
            let (stream, _) = self.listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let (line, key) = request(&mut stream).await;
            let (status, body) = match line.split(['?', ' ']).nth(1).unwrap() {
                "/inventory" => (
                    200,
                    r#"{"items":[{"product_id":"P001","price":1.00}],"next":null}"#.to_owned(),
                ),
                "/orders" if line.starts_with("POST") => {
                    self.keys.push(key.unwrap());
                    match self.keys.len() {
                        // It has taken the order, and dies before it says so.
                        1 => continue,
                        2 => (503, "{}".to_owned()),
                        _ => (201, format!(r#"{{"order_id":"{ID}","status":"PENDING"}}"#)),
                    }
                }
                _ => {
                    lists += 1;
                    let status = if lists == 1 { "REJECTED" } else { "REFUNDED" };
                    (
                        200,
                        format!(
                            r#"{{"items":[{{"order_id":"{ID}","status":"{status}"}}],"next":null}}"#
                        ),
                    )
                }
            };
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            stream.get_mut().write_all(answer.as_bytes()).await.unwrap();
            if lists == 2 {
                return self.keys;
            }
        }
    }
}

/// The first line of a request, and its key.
async fn request(stream: &mut BufReader<TcpStream>) -> (String, Option<String>) {
    let (mut first, mut key, mut length) = (String::new(), None, 0);
    stream.read_line(&mut first).await.unwrap();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        match line.trim().split_once(": ") {
            Some(("idempotency-key", value)) => key = Some(value.to_owned()),
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    (first, key)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_without_an_answer_is_sent_again_with_its_key() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let keys = Vec::new();
    let service = tokio::spawn(Forgetful { listener, keys }.serve());
    let report = load(&LoadSettings {
        order_url: url.parse().unwrap(),
        inventory_url: url.parse().unwrap(),
        ..LoadSettings::local(1)
    })
    .await;
    assert_eq!(
        (report.accepted, report.retries, report.failed_requests),
        (1, 2, 0),
        "{report}"
    );
    assert_eq!(report.by_status.get(&OrderStatus::Refunded), Some(&1));
    let keys = service.await.unwrap();
    assert_eq!(keys.len(), 3);
    assert_eq!(
        keys.iter().collect::<BTreeSet<_>>().len(),
        1,
        "one order: {keys:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_accepted_is_told() {
    let shop = Running::start(ShopSettings::embedded(vec![product("P001", 9, 100)])).await;
    // A port that no test may listen on, and no service does.
    let report = load(&LoadSettings {
        order_url: "http://127.0.0.1:1".parse().unwrap(),
        follow_for: Duration::ZERO,
        ..settings(&shop.urls, 3)
    })
    .await;
    assert_eq!((report.accepted, report.failed_requests), (0, 3));
    let complaints = report.complaints().join("; ");
    assert!(
        complaints.contains("3 of 3 orders were not accepted")
            && complaints.contains("cannot be reached"),
        "{complaints}"
    );
    shop.stop().await;
}
