//! What a service tells of its place in its group, and how one of its partitions is paused.

use orderflow::ShopSettings;
use orderflow::cli::Role;
use serde_json::{Value, json};

use crate::running::{Running, Urls, until};
use crate::scenarios::product;

async fn post(urls: &Urls, path: &str) -> (u16, Value) {
    let url = urls.url(Role::Payment, path);
    let response = urls.http.post(url).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// The rows of `order_placed`, by partition.
fn placed(rows: &Value) -> impl Iterator<Item = &Value> {
    let rows = rows["items"].as_array().unwrap().iter();
    rows.filter(|row| row["topic"] == "order_placed")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_tells_its_partitions_and_one_of_them_can_be_paused() {
    let shop = Running::start(ShopSettings::embedded(vec![product("P001", 1000, 100)])).await;
    let urls = &shop.urls;
    let stable = |member: &Value| member["phase"] == "stable";
    let member = urls.when(Role::Payment, "/member", stable).await;
    assert_eq!(
        (
            &member["group"],
            &member["leader"],
            member["partitions"].as_array().unwrap().len()
        ),
        (&json!("payment-service"), &json!(true), 6),
        "{member}"
    );
    assert_eq!(
        member["partitions"][1],
        json!({"topic": "inventory_updated", "partition": 1, "paused": false})
    );
    assert!(member["generation"].as_i64().unwrap() > 0, "{member}");

    let paused = json!({"topic": "order_placed", "partition": 0, "paused": true});
    // A partition that the member has, its worker may still be taking.
    until("the pause", async || {
        let (status, told) = post(urls, "/partitions/order_placed/0/pause").await;
        assert!(status == 404 || told == paused, "{told}");
        status == 200
    })
    .await;
    let orders = async |count: usize| {
        let mut placed = Vec::new();
        for _ in 0..count {
            placed.push(urls.place(&[("P001", 1, "1.00")]).await);
        }
        placed
    };
    let ids = orders(30).await;
    let others_done = |rows: &Value| {
        let ends: i64 = placed(rows).map(|row| row["end"].as_i64().unwrap()).sum();
        ends == 30 && placed(rows).all(|row| row["partition"] == 0 || row["lag"] == 0)
    };
    let rows = urls.when(Role::Payment, "/offsets", others_done).await;
    for row in placed(&rows) {
        let is_paused = row["partition"] == 0;
        assert_eq!(row["paused"], is_paused, "{row}");
        assert_eq!(row["lag"].as_i64() > Some(0), is_paused, "{row}");
    }

    let (status, told) = post(urls, "/partitions/order_placed/0/resume").await;
    assert_eq!((status, &told["paused"]), (200, &json!(false)));
    for id in ids {
        urls.order_when(&id, |status| status == "SHIPPED").await;
    }
    for (path, expected) in [
        ("/partitions/order_placed/99/pause", 404),
        ("/partitions/shipment_processed/0/pause", 404),
        ("/partitions/order_placed/0/pause?for=1h", 400),
    ] {
        assert_eq!(post(urls, path).await.0, expected, "{path}");
    }
    shop.stop().await;
}
