//! The dashboard in the process of the shop, and by itself.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use orderflow::cli::Role;
use orderflow::{Shop, ShopSettings};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::command_line::{orderflow, refused};
use crate::running::{PATIENCE, Running, until};
use crate::scenarios::product;

async fn shop(token: Option<&str>) -> (Running, String) {
    let settings = ShopSettings::embedded(vec![product("P001", 1000, 100)]);
    let shop = Shop::on_free_ports(settings).await.unwrap();
    let token = token.map(|token| token.to_owned().into());
    let shop = shop.with_dashboard(0, token).await.unwrap();
    let url = format!("http://{}", shop.dashboard().unwrap());
    (Running::run(shop), url)
}

async fn snapshot(shop: &Running, dashboard: &str) -> Value {
    let asked = shop.urls.http.get(format!("{dashboard}/api/snapshot"));
    asked.send().await.unwrap().json().await.unwrap()
}

/// Waits until the page shows the state of payment-service's first instance.
async fn until_payment_is(shop: &Running, dashboard: &str, state: &str) {
    until("the state of the instance", async || {
        let snapshot = snapshot(shop, dashboard).await;
        let services = snapshot["services"].as_array().unwrap();
        let payment = services
            .iter()
            .find(|service| service["service"] == "payment-service");
        payment.is_some_and(|payment| payment["instances"][0]["state"] == state)
    })
    .await;
}

async fn post(shop: &Running, url: String, token: Option<&str>) -> StatusCode {
    let request = shop.urls.http.post(url).json(&json!({}));
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    request.send().await.unwrap().status()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_is_crashed_and_started_from_the_page() {
    let (shop, dashboard) = shop(None).await;
    until_payment_is(&shop, &dashboard, "running").await;
    let instance = format!("{dashboard}/api/instances/payment-service-1");
    for (what, state) in [("crash", "crashed"), ("start", "running")] {
        let status = post(&shop, format!("{instance}/{what}"), None).await;
        assert_eq!(status, 200, "{what}");
        until_payment_is(&shop, &dashboard, state).await;
    }
    let id = shop.urls.place(&[("P001", 1, "1.00")]).await;
    shop.urls
        .order_when(&id, |status| status == "SHIPPED")
        .await;
    let again = post(&shop, format!("{instance}/start"), None).await;
    assert_eq!(again, 409);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_there_is_a_token_nobody_does_anything_without_it() {
    let (shop, dashboard) = shop(Some("secret")).await;
    let stop = format!("{dashboard}/api/instances/payment-service-1/stop");
    for token in [None, Some("wrong")] {
        assert_eq!(post(&shop, stop.clone(), token).await, 401);
    }
    assert_eq!(post(&shop, stop, Some("secret")).await, 200);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_itself_it_shows_a_shop_and_does_nothing_to_it() {
    let settings = ShopSettings::embedded(vec![product("P001", 1000, 100)]);
    let shop = Shop::on_free_ports(settings).await.unwrap();
    let servers = shop.bootstrap_servers();
    let shop = Running::run(shop);
    let mut command = orderflow(&["dashboard", "--http-port", "0"]);
    command.args(["--bootstrap-servers", &servers]);
    for (name, role) in [
        ("ORDER_URL", Role::Order),
        ("PAYMENT_URL", Role::Payment),
        ("INVENTORY_URL", Role::Inventory),
        ("SHIPMENT_URL", Role::Shipment),
    ] {
        command.env(name, shop.urls.url(role, ""));
    }
    command.stdout(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut welcome = String::new();
    let stdout = process.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut welcome).unwrap();
    let url = welcome.split_once("open ").unwrap().1;
    let url = url.split(',').next().unwrap().to_owned();

    until_payment_is(&shop, &url, "running").await;
    let stop = format!("{url}/api/instances/payment-service-1/stop");
    assert_eq!(post(&shop, stop, None).await, 403);
    process.kill().unwrap();
    process.wait().unwrap();
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_is_taken_is_said_clearly() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut command = orderflow(&["dashboard", "--http-port", &port.to_string()]);
    let told = tokio::task::spawn_blocking(move || refused(&mut command));
    let told = tokio::time::timeout(PATIENCE, told).await.unwrap().unwrap();
    let expected = format!("the dashboard cannot listen on 127.0.0.1:{port}");
    assert!(told.contains(&expected), "{told}");
}
