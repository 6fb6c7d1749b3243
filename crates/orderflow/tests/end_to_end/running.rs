//! A shop that runs while a test looks at it.

use std::time::Duration;

use orderflow::cli::Role;
use orderflow::{Shop, ShopError, ShopSettings};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long anything may take; nothing comes near it unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Where the services of a shop answer.
#[derive(Clone)]
pub(crate) struct Urls {
    pub(crate) http: Client,
    bases: Vec<(Role, String)>,
}

/// A shop in this process.
pub(crate) struct Running {
    pub(crate) urls: Urls,
    stop: CancellationToken,
    task: JoinHandle<Result<(), ShopError>>,
}

impl Running {
    pub(crate) async fn start(settings: ShopSettings) -> Self {
        Self::run(Shop::on_free_ports(settings).await.unwrap())
    }

    pub(crate) fn run(shop: Shop) -> Self {
        let urls = Urls::new(
            shop.addresses()
                .map(|(role, at)| (role, format!("http://{at}"))),
        );
        let stop = CancellationToken::new();
        let task = tokio::spawn(shop.run_until_stopped(stop.clone()));
        Self { urls, stop, task }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.ended().await.unwrap();
    }

    /// How it ended.
    pub(crate) async fn ended(self) -> Result<(), ShopError> {
        let ended = tokio::time::timeout(PATIENCE, self.task).await;
        ended.expect("ends").unwrap()
    }
}

impl Urls {
    pub(crate) fn new(bases: impl Iterator<Item = (Role, String)>) -> Self {
        Self {
            http: Client::new(),
            bases: bases.collect(),
        }
    }

    pub(crate) fn url(&self, role: Role, path: &str) -> String {
        let (_, base) = self
            .bases
            .iter()
            .find(|(known, _)| *known == role)
            .expect("runs here");
        format!("{base}{path}")
    }

    pub(crate) async fn get(&self, role: Role, path: &str) -> (StatusCode, Value) {
        let response = self.http.get(self.url(role, path)).send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    /// What is there, which must be there.
    pub(crate) async fn found(&self, role: Role, path: &str) -> Value {
        let (status, body) = self.get(role, path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    pub(crate) async fn post_order(&self, body: &Value) -> (StatusCode, Value) {
        let request = self.http.post(self.url(Role::Order, "/orders")).json(body);
        let response = request.send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    /// Places an order, which must be accepted, and returns its id.
    pub(crate) async fn place(&self, items: &[(&str, u32, &str)]) -> String {
        let (status, order) = self.post_order(&order(items)).await;
        assert_eq!(status, StatusCode::CREATED, "{order}");
        order["order_id"].as_str().unwrap().to_owned()
    }

    /// Asks for an order back.
    pub(crate) async fn cancel(&self, id: &str) -> (StatusCode, Value) {
        let url = self.url(Role::Order, &format!("/orders/{id}/cancel"));
        let response = self.http.post(url).send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    /// Waits until the order is where `done` wants it, and returns it.
    pub(crate) async fn order_when(&self, id: &str, done: impl Fn(&str) -> bool) -> Value {
        let path = format!("/orders/{id}");
        self.when(Role::Order, &path, |order| {
            done(order["status"].as_str().unwrap())
        })
        .await
    }

    /// Waits until what is at `path` is as `done` wants it.
    pub(crate) async fn when(
        &self,
        role: Role,
        path: &str,
        done: impl Fn(&Value) -> bool,
    ) -> Value {
        let mut look = tokio::time::interval(Duration::from_millis(5));
        let mut last = Value::Null;
        let looking = async {
            loop {
                look.tick().await;
                // A service in a process of its own may not listen yet.
                let Ok(response) = self.http.get(self.url(role, path)).send().await else {
                    continue;
                };
                let status = response.status();
                let body = response.json().await.unwrap();
                if status == StatusCode::OK && done(&body) {
                    return body;
                }
                last = body;
            }
        };
        match tokio::time::timeout(PATIENCE, looking).await {
            Ok(found) => found,
            Err(_) => panic!("{path} stays {last}"),
        }
    }
}

/// Waits until it is so.
pub(crate) async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let mut look = tokio::time::interval(Duration::from_millis(5));
    let looking = async {
        while !is_so().await {
            look.tick().await;
        }
    };
    let looked = tokio::time::timeout(PATIENCE, looking).await;
    looked.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"));
}

/// The body of an order of these products, quantities and prices.
pub(crate) fn order(items: &[(&str, u32, &str)]) -> Value {
    let cents = |price: &str| price.replace('.', "").parse::<u64>().unwrap();
    let total: u64 = items
        .iter()
        .map(|(_, quantity, price)| u64::from(*quantity) * cents(price))
        .sum();
    let lines: Vec<Value> = items
        .iter()
        .map(|(product, quantity, price)| {
            json!({"product_id": product, "quantity": quantity, "price": number(price)})
        })
        .collect();
    json!({
        "customer_id": "CUST-42",
        "items": lines,
        "shipping_address": "1 Main Street, Springfield",
        "total_amount": number(&format!("{}.{:02}", total / 100, total % 100)),
    })
}

fn number(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}
