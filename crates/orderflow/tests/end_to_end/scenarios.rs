//! What must hold on any broker and store. Each shop has products of its own, so that scenarios may share a database.

use std::collections::BTreeMap;

use contracts::{Money, ProductId};
use futures_util::future::join_all;
use inventory_service::stock::Product;
use orderflow::cli::Role;
use serde_json::{Value, json};

use crate::running::Urls;

pub(crate) fn product(id: &str, quantity: u64, cents: i64) -> Product {
    let id: ProductId = id.parse().unwrap();
    Product::new(id, quantity, Money::from_cents(cents).unwrap())
}

fn final_status(status: &str) -> bool {
    matches!(status, "SHIPPED" | "REFUNDED" | "DECLINED" | "CANCELLED")
}

/// An order is paid, taken from the stock and shipped, and each service tells the same of it.
pub(crate) async fn an_order_is_shipped(shop: &Urls, product: &str) {
    let before = shop
        .when(Role::Inventory, &format!("/inventory/{product}"), |_| true)
        .await;
    let id = shop.place(&[(product, 2, "29.99")]).await;
    let order = shop.order_when(&id, |status| status == "SHIPPED").await;
    assert_eq!(order["total_amount"], json!(59.98));
    assert_eq!(order["items"][0]["price"], json!(29.99));

    let payment = shop.found(Role::Payment, &format!("/payments/{id}")).await;
    assert_eq!(
        (&payment["status"], &payment["amount"]),
        (&json!("COMPLETED"), &json!(59.98))
    );
    let left = shop
        .found(Role::Inventory, &format!("/inventory/{product}"))
        .await;
    assert_eq!(
        left["quantity"].as_u64().unwrap(),
        before["quantity"].as_u64().unwrap() - 2
    );
    let shipment = shop
        .found(Role::Shipment, &format!("/shipments/{id}"))
        .await;
    let tracking = shipment["tracking_number"].as_str().unwrap();
    assert!(
        tracking.starts_with("TRK-") && tracking.len() == 12,
        "{tracking}"
    );
    let day = |field: &str| shipment[field].as_str().unwrap()[..10].to_owned();
    let date = |text: &str| text.parse::<chrono::NaiveDate>().unwrap();
    assert_eq!(
        date(&day("estimated_delivery")) - date(&day("created_at")),
        chrono::TimeDelta::days(3)
    );
}

/// More is ordered than there is, or what there is not: the order is rejected, with a reason, and takes nothing.
pub(crate) async fn what_cannot_be_had_is_rejected(shop: &Urls, scarce: &str, other: &str) {
    let path = format!("/inventory/{other}");
    let before = shop.when(Role::Inventory, &path, |_| true).await["quantity"].clone();
    for (items, reason) in [
        (vec![(other, 1, "1.00"), (scarce, 1_000, "1.00")], "left"),
        (
            vec![(other, 1, "1.00"), ("NO-SUCH-PRODUCT", 1, "1.00")],
            "unknown",
        ),
    ] {
        let id = shop.place(&items).await;
        let order = shop.order_when(&id, final_status).await;
        assert_eq!(
            history(&order),
            ["PENDING", "PAID", "REJECTED", "REFUNDED"],
            "{order}"
        );
        assert!(
            order["reason"].as_str().unwrap().contains(reason),
            "{order}"
        );
        let (status, _) = shop.get(Role::Shipment, &format!("/shipments/{id}")).await;
        assert_eq!(status, 404);
        let payment = shop.found(Role::Payment, &format!("/payments/{id}")).await;
        assert_eq!(payment["status"], "REFUNDED", "{payment}");
    }
    assert_eq!(shop.found(Role::Inventory, &path).await["quantity"], before);
}

fn history(order: &Value) -> Vec<&str> {
    let history = order["history"].as_array().unwrap();
    let statuses = history.iter().map(|past| past["status"].as_str().unwrap());
    statuses.collect()
}

/// An order that costs too much is declined: nothing is captured, taken or sent.
pub(crate) async fn what_costs_too_much_is_declined(shop: &Urls, product: &str) {
    let path = format!("/inventory/{product}");
    let before = shop.when(Role::Inventory, &path, |_| true).await["quantity"].clone();
    let id = shop.place(&[(product, 1, "100.01")]).await;
    let order = shop.order_when(&id, final_status).await;
    assert_eq!(history(&order), ["PENDING", "DECLINED"], "{order}");
    assert!(
        order["reason"].as_str().unwrap().contains("limit"),
        "{order}"
    );
    let payment = shop.found(Role::Payment, &format!("/payments/{id}")).await;
    assert_eq!(payment["status"], "DECLINED");
    let (status, problem) = shop.cancel(&id).await;
    assert_eq!(status, 409, "{problem}");
    assert_eq!(shop.found(Role::Inventory, &path).await["quantity"], before);
}

/// Orders that are asked back at any moment of their way end as CANCELLED, with the payment given back and the stock as it was,
/// or as SHIPPED; and what was shipped cannot be asked back.
pub(crate) async fn orders_that_are_asked_back_end_in_a_right_state(shop: &Urls, product: &str) {
    let path = format!("/inventory/{product}");
    let before = shop.when(Role::Inventory, &path, |_| true).await["quantity"]
        .as_u64()
        .unwrap();
    let mut shipped = 0;
    for round in 0..12 {
        let id = shop.place(&[(product, 2, "1.00")]).await;
        // At once, and then ever later on its way.
        const WAY: [&str; 4] = ["PENDING", "PAID", "RESERVED", "SHIPPED"];
        shop.order_when(&id, |status| WAY[round % 4..].contains(&status))
            .await;
        let (status, answer) = shop.cancel(&id).await;
        assert!([200, 202, 409].contains(&status.as_u16()), "{answer}");
        let order = shop.order_when(&id, final_status).await;
        let payment = shop.found(Role::Payment, &format!("/payments/{id}")).await;
        match order["status"].as_str().unwrap() {
            "SHIPPED" => {
                shipped += 1;
                assert_eq!(payment["status"], "COMPLETED", "{order}");
                assert_eq!(shop.cancel(&id).await.0, 409);
            }
            "CANCELLED" => {
                let paid = history(&order).contains(&"PAID");
                let undone = if paid { "REFUNDED" } else { "CANCELLED" };
                assert_eq!(payment["status"], undone, "{order}");
                let shipment = shop
                    .found(Role::Shipment, &format!("/shipments/{id}"))
                    .await;
                assert_eq!(shipment["status"], "CANCELLED", "{order}");
                assert_eq!(shop.cancel(&id).await.0, 200, "asked back before");
            }
            other => panic!("{other}: {order}"),
        }
    }
    let left = |stock: &Value| stock["quantity"].as_u64() == Some(before - 2 * shipped);
    shop.when(Role::Inventory, &path, left).await;
}

/// Many orders at once for less stock than they want: every one ends, the stock adds up, one payment each.
pub(crate) async fn many_at_once(shop: &Urls, orders: usize, hot: &str, cold: &str) {
    let hot_path = format!("/inventory/{hot}");
    let start = shop.when(Role::Inventory, &hot_path, |_| true).await["quantity"]
        .as_u64()
        .unwrap();
    let ids = place_many(shop, orders, hot, cold).await;
    all_end_well(shop, &ids, hot, start).await;
}

/// Places this many orders, each of one hot and one cold piece.
pub(crate) async fn place_many(shop: &Urls, orders: usize, hot: &str, cold: &str) -> Vec<String> {
    let mut ids = Vec::with_capacity(orders);
    // As many connections as a busy browser farm would open, not as many as there are orders.
    while ids.len() < orders {
        let wave = (orders - ids.len()).min(100);
        let items = [(hot, 1, "1.00"), (cold, 1, "0.50")];
        ids.extend(join_all((0..wave).map(|_| shop.place(&items))).await);
    }
    ids
}

/// Every order is final, has one payment, and the hot product has lost one piece for each that was shipped.
pub(crate) async fn all_end_well(shop: &Urls, ids: &[String], hot: &str, start: u64) {
    let mut statuses: BTreeMap<String, u64> = BTreeMap::new();
    for id in ids {
        let order = shop.order_when(id, final_status).await;
        let status = order["status"].as_str().unwrap().to_owned();
        let payment = shop.found(Role::Payment, &format!("/payments/{id}")).await;
        assert_eq!(payment["amount"], json!(1.5));
        let (shipped, _) = shop.get(Role::Shipment, &format!("/shipments/{id}")).await;
        assert_eq!(shipped == 200, status == "SHIPPED", "{order}");
        *statuses.entry(status).or_default() += 1;
    }
    let shipped = statuses.get("SHIPPED").copied().unwrap_or_default();
    let left = shop
        .found(Role::Inventory, &format!("/inventory/{hot}"))
        .await["quantity"]
        .as_u64();
    assert_eq!(left, Some(start - shipped), "{statuses:?}");
    assert_eq!(shipped, start.min(ids.len() as u64), "{statuses:?}");
}

/// At rest every partition of every service is read by somebody and committed to its end.
pub(crate) async fn at_rest_nothing_lags(shop: &Urls) {
    for (role, partitions) in [
        (Role::Order, 9),
        (Role::Payment, 6),
        (Role::Inventory, 6),
        (Role::Shipment, 6),
    ] {
        let at_rest = |rows: &Value| {
            rows["items"]
                .as_array()
                .unwrap()
                .iter()
                .all(|row| row["owner"] == true && row["lag"] == 0)
        };
        let rows = shop.when(role, "/offsets", at_rest).await;
        let rows = rows["items"].as_array().unwrap();
        assert_eq!(rows.len(), partitions, "{rows:?}");
        for row in rows {
            for field in [
                "topic",
                "partition",
                "owner",
                "position",
                "committed",
                "end",
                "lag",
            ] {
                assert!(row.get(field).is_some(), "{field} of {row}");
            }
        }
    }
}
