//! What the HTTP of the services answers to right and wrong requests.

use orderflow::cli::Role;
use orderflow::{Shop, ShopSettings};
use serde_json::{Value, json};

use crate::running::{Running, order};
use crate::scenarios::product;

/// An order with one thing changed.
fn but(change: impl FnOnce(&mut Value)) -> String {
    let mut body = order(&[("P001", 2, "29.99")]);
    change(&mut body);
    body.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_order_is_refused_and_the_problem_names_the_field() {
    let shop = Running::start(ShopSettings::embedded(vec![product("P001", 100, 2999)])).await;
    let cases: Vec<(String, u16, &str)> = vec![
        ("{\"customer_id\":".to_owned(), 400, ""),
        (String::new(), 400, ""),
        ("[]".to_owned(), 422, ""),
        // The fields' values in their order are no object.
        (
            json!(["C1", [["P001", 1, 29.99]], "arr", 29.99]).to_string(),
            422,
            "",
        ),
        (
            but(|o| o["items"][0] = json!(["P001", 2, 29.99])),
            422,
            "items[0]",
        ),
        (but(|o| o["items"] = json!([null])), 422, "items[0]"),
        (but(|o| o["items"] = json!({})), 422, "items"),
        (
            but(|o| o["items"][0]["foo"] = json!(1)),
            422,
            "items[0].foo",
        ),
        (
            format!("{{\"customer_id\":\"C2\",{}", &but(|_| ())[1..]),
            422,
            "customer_id",
        ),
        (but(|o| o["items"] = json!([])), 422, "items"),
        (but(|o| o["items"] = json!("P001")), 422, "items"),
        (
            but(|o| o["items"][0]["quantity"] = json!(0)),
            422,
            "items[0].quantity",
        ),
        (
            but(|o| o["items"][0]["quantity"] = json!(-3)),
            422,
            "items[0].quantity",
        ),
        (
            but(|o| o["items"][0]["quantity"] = json!(1.5)),
            422,
            "items[0].quantity",
        ),
        (
            but(|o| o["items"][0]["price"] = json!(-29.99)),
            422,
            "items[0].price",
        ),
        (
            but(|o| o["items"][0]["price"] = json!(29.999)),
            422,
            "items[0].price",
        ),
        (
            but(|o| o["items"][0]["price"] = json!("29.99")),
            422,
            "items[0].price",
        ),
        (
            but(|o| o["items"][0]["product_id"] = json!("")),
            422,
            "items[0].product_id",
        ),
        (
            but(|o| o["total_amount"] = json!(59.97)),
            422,
            "total_amount",
        ),
        (but(|o| o["customer_id"] = json!(null)), 422, "customer_id"),
        (but(|o| o["voucher"] = json!("10%")), 422, "voucher"),
        (
            but(|o| {
                o.as_object_mut().unwrap().remove("shipping_address");
            }),
            422,
            "shipping_address",
        ),
        (format!("\"{}\"", "x".repeat(300_000)), 413, ""),
    ];
    for (body, status, field) in cases {
        let url = shop.urls.url(Role::Order, "/orders");
        let shown: String = body.chars().take(120).collect();
        let response = shop.urls.http.post(url).body(body).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{shown}");
        // What is too large is not read, so the connection has to end, and the client must know it.
        let closes = response
            .headers()
            .get("connection")
            .is_some_and(|c| c == "close");
        assert_eq!(closes, status == 413, "{shown}");
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json",
            "{shown}"
        );
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["status"], status, "{shown}");
        assert!(!problem["detail"].as_str().unwrap().is_empty(), "{shown}");
        if status == 422 {
            assert_eq!(problem["errors"][0]["field"], field, "{shown}: {problem}");
        }
        if status == 422 && field.is_empty() {
            assert_eq!(problem["detail"], "the body must be an object", "{shown}");
        }
    }
    assert_eq!(
        shop.urls.found(Role::Order, "/orders").await["items"],
        json!([])
    );
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accepted_order_is_told_in_full_and_where_it_is() {
    let shop = Running::start(ShopSettings::embedded(vec![product("P001", 100, 2999)])).await;
    let request = shop.urls.http.post(shop.urls.url(Role::Order, "/orders"));
    let response = request
        .json(&order(&[("P001", 2, "29.99")]))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 201);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let placed: Value = response.json().await.unwrap();
    assert_eq!(
        location,
        format!("/orders/{}", placed["order_id"].as_str().unwrap())
    );
    assert_eq!(placed["status"], "PENDING");
    let mut fields: Vec<&String> = placed.as_object().unwrap().keys().collect();
    fields.sort();
    assert_eq!(
        fields,
        [
            "created_at",
            "customer_id",
            "history",
            "items",
            "order_id",
            "shipping_address",
            "status",
            "total_amount"
        ]
    );
    let found = shop.urls.found(Role::Order, &location).await;
    assert_eq!(found["order_id"], placed["order_id"]);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_ids_paths_and_methods_are_problems_and_lists_have_pages() {
    let shop = Running::start(ShopSettings::embedded(vec![
        product("A", 1, 1),
        product("B", 1, 1),
        product("C", 1, 1),
    ]))
    .await;
    for (role, path) in [
        (Role::Order, "/orders/01a207bd-a9c0-7000-8000-000000000001"),
        (Role::Order, "/orders/no-uuid"),
        (
            Role::Payment,
            "/payments/01a207bd-a9c0-7000-8000-000000000001",
        ),
        (Role::Inventory, "/inventory/NONE"),
        (
            Role::Shipment,
            "/shipments/01a207bd-a9c0-7000-8000-000000000001",
        ),
        (Role::Shipment, "/nowhere"),
    ] {
        let (status, problem) = shop.urls.get(role, path).await;
        assert_eq!(
            (status.as_u16(), &problem["title"]),
            (404, &json!("Not Found")),
            "{path}"
        );
    }
    let delete = shop
        .urls
        .http
        .delete(shop.urls.url(Role::Order, "/orders"))
        .send()
        .await
        .unwrap();
    assert_eq!(delete.status(), 405);
    assert_eq!(delete.headers()["allow"], "GET, HEAD, POST");

    shop.urls
        .when(Role::Inventory, "/inventory/C", |_| true)
        .await;
    let encoded = shop.urls.found(Role::Inventory, "/inventory/%43").await;
    assert_eq!(encoded["product_id"], "C");
    let first = shop.urls.found(Role::Inventory, "/inventory?limit=2").await;
    assert_eq!(
        (first["items"].as_array().unwrap().len(), &first["next"]),
        (2, &json!("B"))
    );
    let second = shop
        .urls
        .found(Role::Inventory, "/inventory?limit=2&after=B")
        .await;
    assert_eq!(
        (&second["items"][0]["product_id"], &second["next"]),
        (&json!("C"), &Value::Null)
    );
    for (path, ids, next) in [
        ("/inventory?order=desc&limit=2", &["C", "B"][..], json!("B")),
        ("/inventory?order=desc&limit=2&after=B", &["A"], Value::Null),
        ("/inventory?order=asc", &["A", "B", "C"], Value::Null),
    ] {
        let page = shop.urls.found(Role::Inventory, path).await;
        let items = page["items"].as_array().unwrap().iter();
        let found: Vec<_> = items.map(|item| item["product_id"].clone()).collect();
        assert_eq!(
            (found, &page["next"]),
            (ids.iter().map(|id| json!(id)).collect(), &next),
            "{path}"
        );
    }
    for (role, path, parameter) in [
        (Role::Order, "/orders?order=newest", "order"),
        (Role::Payment, "/payments?order=", "order"),
        (Role::Inventory, "/inventory?order=DESC", "order"),
        (Role::Shipment, "/shipments?order=1", "order"),
        (Role::Shipment, "/dead-letters?order=desc", "order"),
        (Role::Inventory, "/inventory?limit=zero", "limit"),
        (Role::Inventory, "/inventory?next=B", "next"),
        (Role::Inventory, "/inventory/B?after=A", "after"),
        (Role::Order, "/orders?status=PAID", "status"),
        (Role::Order, "/orders/x?status=PAID", "status"),
        (Role::Payment, "/payments?next=B", "next"),
        (Role::Payment, "/payments/x?after=A", "after"),
        (Role::Shipment, "/shipments?next=B", "next"),
        (Role::Shipment, "/shipments/x?after=A", "after"),
        (Role::Shipment, "/offsets?group=x", "group"),
    ] {
        let (status, problem) = shop.urls.get(role, path).await;
        assert_eq!(
            (status.as_u16(), &problem["errors"][0]["field"]),
            (400, &json!(parameter)),
            "{path}"
        );
    }
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_became_of_the_newest_orders_is_told_first_where_that_is_asked_for() {
    let shop = Running::start(ShopSettings::embedded(vec![product("P001", 100, 2999)])).await;
    let mut placed = Vec::new();
    for _ in 0..3 {
        let id = shop.urls.place(&[("P001", 1, "29.99")]).await;
        shop.urls
            .order_when(&id, |status| status == "SHIPPED")
            .await;
        placed.push(json!(id));
    }
    for (role, list) in [
        (Role::Order, "/orders"),
        (Role::Payment, "/payments"),
        (Role::Shipment, "/shipments"),
    ] {
        let newest = format!("{list}?order=desc&limit=2");
        let page = shop.urls.found(role, &newest).await;
        let ids = [&page["items"][0]["order_id"], &page["items"][1]["order_id"]];
        assert_eq!(ids, [&placed[2], &placed[1]], "{page}");
        let next = page["next"].as_str().unwrap();
        let rest = format!("{newest}&after={next}");
        let page = shop.urls.found(role, &rest).await;
        let items = page["items"].as_array().unwrap();
        assert_eq!(items.len(), 1, "{page}");
        assert_eq!(items[0]["order_id"], placed[0], "{page}");
    }
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_placed_only_by_a_request_that_is_all_understood() {
    let shop = Running::start(ShopSettings::embedded(vec![product("P001", 100, 2999)])).await;
    let orders = shop.urls.url(Role::Order, "/orders");
    let body = but(|_| ());
    let form = "application/x-www-form-urlencoded";
    for (url, content_type, status) in [
        (orders.clone(), form, 415),
        (format!("{orders}?dry_run=true"), "application/json", 400),
    ] {
        let request = shop
            .urls
            .http
            .post(&url)
            .header("content-type", content_type);
        let response = request.body(body.clone()).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{url}");
    }
    let head = shop.urls.http.head(&orders).send().await.unwrap();
    assert_eq!(head.status(), 200);
    assert_eq!(
        shop.urls.found(Role::Order, "/orders/").await["items"],
        json!([])
    );
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_with_a_key_makes_one_order_however_often_it_comes() {
    let shop = Running::start(ShopSettings::embedded(vec![product("P001", 100, 2999)])).await;
    let place = |key: &'static str, body: Value| {
        let request = shop.urls.http.post(shop.urls.url(Role::Order, "/orders"));
        async move {
            let request = request.header("Idempotency-Key", key).json(&body);
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            (status, response.json::<Value>().await.unwrap())
        }
    };
    let body = || order(&[("P001", 1, "29.99")]);
    // At once, so that none of them finds the order of another before it is stored.
    let answers = futures_util::future::join_all((0..8).map(|_| place("A", body()))).await;
    for (status, answer) in &answers {
        assert_eq!(*status, 201, "{answer}");
        assert_eq!(answer["order_id"], answers[0].1["order_id"]);
    }
    let id = answers[0].1["order_id"].as_str().unwrap();
    shop.urls.order_when(id, |status| status == "SHIPPED").await;
    let (status, later) = place("A", body()).await;
    assert_eq!((status, &later["status"]), (201, &json!("SHIPPED")));

    let (status, problem) = place("A", order(&[("P001", 2, "29.99")])).await;
    assert_eq!(
        (status, &problem["errors"][0]["field"]),
        (422, &json!("Idempotency-Key"))
    );
    let (status, another) = place("B", body()).await;
    assert_eq!(status, 201);
    assert_ne!(another["order_id"], answers[0].1["order_id"]);
    let (status, problem) = place("with space", body()).await;
    assert_eq!(
        (status, &problem["errors"][0]["field"]),
        (400, &json!("Idempotency-Key"))
    );
    let orders = shop.urls.found(Role::Order, "/orders").await;
    assert_eq!(orders["items"].as_array().unwrap().len(), 2);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_fills_up_the_stock() {
    let shop = Running::start(ShopSettings::embedded(vec![product("P001", 1, 2999)])).await;
    let restock = |path: &'static str, key: Option<&'static str>, body: Value| {
        let request = shop.urls.http.post(shop.urls.url(Role::Inventory, path));
        async move {
            let request = match key {
                Some(key) => request.header("Idempotency-Key", key),
                None => request,
            };
            let response = request.json(&body).send().await.unwrap();
            let status = response.status().as_u16();
            (status, response.json::<Value>().await.unwrap())
        }
    };
    shop.urls
        .when(Role::Inventory, "/inventory/P001", |_| true)
        .await;
    let path = "/inventory/P001/restock";
    for (key, left) in [(None, 4), (Some("monday"), 7), (Some("monday"), 7)] {
        let (status, product) = restock(path, key, json!({"quantity": 3})).await;
        assert_eq!(
            (status, &product["quantity"], &product["initial"]),
            (200, &json!(left), &json!(1)),
            "{product}"
        );
    }
    let id = shop.urls.place(&[("P001", 7, "29.99")]).await;
    shop.urls
        .order_when(&id, |status| status == "SHIPPED")
        .await;

    let (status, problem) = restock(path, Some("monday"), json!({"quantity": 4})).await;
    assert_eq!(
        (status, &problem["errors"][0]["field"]),
        (422, &json!("Idempotency-Key"))
    );
    let (status, problem) = restock(path, None, json!({"quantity": 0})).await;
    assert_eq!(
        (status, &problem["errors"][0]["field"]),
        (422, &json!("quantity"))
    );
    let (status, _) = restock("/inventory/NONE/restock", None, json!({"quantity": 1})).await;
    assert_eq!(status, 404);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_page_of_another_site_changes_anything_at_any_port() {
    let settings = ShopSettings {
        allowed_hosts: "shop.example".parse().unwrap(),
        ..ShopSettings::embedded(vec![product("P001", 100, 2999)])
    };
    let shop = Shop::on_free_ports(settings).await.unwrap();
    let shop = shop.with_dashboard(0, None).await.unwrap();
    let dashboard = format!("http://{}", shop.dashboard().unwrap());
    let shop = Running::run(shop);
    let has_all = |member: &Value| member["partitions"].as_array().unwrap().len() == 6;
    shop.urls.when(Role::Payment, "/member", has_all).await;
    let id = shop.urls.place(&[("P001", 1, "29.99")]).await;
    let pause = "/partitions/order_placed/0/pause";
    let paths = [
        shop.urls.url(Role::Payment, pause),
        shop.urls.url(Role::Order, &format!("/orders/{id}/cancel")),
        shop.urls.url(Role::Order, "/outbox/redrive"),
        format!("{dashboard}/api/load"),
    ];
    for (header, value, status) in [
        ("sec-fetch-site", "cross-site", 403),
        ("origin", "https://evil.example", 403),
        ("host", "evil.example", 421),
    ] {
        for url in &paths {
            let sent = shop.urls.http.post(url).header(header, value).send().await;
            assert_eq!(sent.unwrap().status(), status, "{url} {header}");
        }
    }
    let read = shop.urls.http.get(format!("{dashboard}/api/snapshot"));
    let read = read.header("host", "evil.example").send().await.unwrap();
    assert_eq!(read.status(), 421);
    let member = shop.urls.found(Role::Payment, "/member").await;
    let partitions = member["partitions"].as_array().unwrap();
    assert!(partitions.iter().all(|p| p["paused"] == false), "{member}");
    // As curl does it, and under a name that is allowed.
    let url = shop.urls.url(Role::Payment, pause);
    let sent = shop.urls.http.post(&url).header("host", "shop.example");
    assert_eq!(sent.send().await.unwrap().status(), 200);
    assert_eq!(
        shop.urls.http.post(&url).send().await.unwrap().status(),
        200
    );
    shop.stop().await;
}
