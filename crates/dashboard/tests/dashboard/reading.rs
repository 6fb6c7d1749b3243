//! Records, lists and the page itself.

use contracts::names::ORDER_PLACED;
use kafka_client::TopicPartition;
use serde_json::{Value, json};

use crate::bed::Bed;

const ORDER: &str = "019ab3c4-0000-7000-8000-0123456789ab";

fn offsets(page: &Value) -> Vec<i64> {
    let items = page["items"].as_array().unwrap();
    items
        .iter()
        .map(|it| it["offset"].as_i64().unwrap())
        .collect()
}

#[tokio::test]
async fn records_are_read_from_an_offset_on_page_by_page() {
    let bed = Bed::start().await;
    for n in 0..30 {
        let value = format!("{{\"n\":{n}}}");
        bed.write(ORDER_PLACED, 2, &format!("key-{n}"), value.as_bytes())
            .await;
    }
    let page = |query: &str| {
        let path = format!("/api/records?topic={ORDER_PLACED}&partition=2&{query}");
        let bed = &bed;
        async move { bed.get(&path).await.json() }
    };
    let first = page("offset=0").await;
    assert_eq!(offsets(&first), (0..20).collect::<Vec<_>>());
    assert_eq!(first["next"], "20");
    let record = &first["items"][3];
    assert_eq!(record["key"], "key-3");
    assert_eq!(record["value"], "{\"n\":3}");
    assert_eq!(record["value_encoding"], "utf-8");
    assert_eq!(record["truncated"], false);
    assert_eq!(record["headers"][0], json!(["ce_type", ORDER_PLACED]));
    let last = page("offset=25&limit=100").await;
    assert_eq!(offsets(&last), [25, 26, 27, 28, 29]);
    assert_eq!(last["next"], Value::Null);
    for beyond in ["offset=30", "offset=1000"] {
        assert_eq!(page(beyond).await, json!({"items": [], "next": null}));
    }
    let place = TopicPartition::new(ORDER_PLACED, 2);
    let deleted = bed.client.admin().delete_records(&[(place, 12)]).await;
    assert!(deleted.unwrap()[0].1.is_ok());
    assert_eq!(offsets(&page("offset=3&limit=2").await), [12, 13]);
    assert_eq!(offsets(&page("offset=-5&limit=1").await), [12]);
    bed.stop().await;
}

#[tokio::test]
async fn a_value_that_is_large_is_cut_and_one_that_is_no_text_is_base64() {
    let bed = Bed::start().await;
    bed.write(ORDER_PLACED, 0, "large", "x".repeat(100_000).as_bytes())
        .await;
    bed.write(ORDER_PLACED, 0, "binary", &[0xff, 0xef, 0xbe])
        .await;
    let path = format!("/api/records?topic={ORDER_PLACED}&partition=0&offset=0");
    let page = bed.get(&path).await.json();
    let (large, binary) = (&page["items"][0], &page["items"][1]);
    assert_eq!(large["value"].as_str().unwrap().len(), 64 * 1024);
    assert_eq!(large["truncated"], true);
    assert_eq!(binary["value"], "/+++");
    assert_eq!(binary["value_encoding"], "base64");
    bed.stop().await;
}

#[tokio::test]
async fn what_is_not_there_or_not_understood_is_told() {
    let bed = Bed::start().await;
    for (query, status) in [
        ("topic=nowhere&partition=0&offset=0", 404),
        ("topic=order_placed&partition=3&offset=0", 404),
        ("topic=order_placed&partition=-1&offset=0", 404),
        ("topic=order_placed&partition=0", 400),
        ("topic=order_placed&offset=0", 400),
        ("partition=0&offset=0", 400),
        ("topic=order_placed&partition=0&offset=x", 400),
        ("topic=order_placed&partition=0&offset=0&limit=0", 400),
        ("topic=order_placed&partition=0&offset=0&limit=101", 400),
        ("topic=order_placed&partition=0&offset=0&more=1", 400),
    ] {
        let answer = bed.get(&format!("/api/records?{query}")).await;
        assert_eq!(answer.status, status, "{query}");
        assert!(answer.head.contains("application/problem+json"), "{query}");
    }
    assert_eq!(bed.get("/api/nothing").await.status, 404);
    assert_eq!(bed.get("/api/orders/no-id").await.status, 404);
    assert_eq!(bed.get("/api/load").await.status, 405);
    bed.stop().await;
}

#[tokio::test]
async fn the_list_of_orders_is_that_of_order_service() {
    let bed = Bed::start().await;
    let page = json!({"items": [{"order_id": ORDER}], "next": null});
    bed.played.answer("GET /orders", 200, page.clone());
    assert_eq!(bed.get("/api/orders").await.json(), page);
    assert_eq!(bed.get("/api/orders?limit=5").await.json(), page);
    assert_eq!(bed.get("/api/orders?limit=501").await.status, 400);
    bed.played
        .answer("GET /orders", 503, json!({"status": 503}));
    assert_eq!(bed.get("/api/orders").await.status, 503);
    bed.stop().await;
}

#[tokio::test]
async fn the_page_is_served_from_here_alone_and_kept_while_it_is_the_same() {
    let bed = Bed::start().await;
    let page = bed.get("/").await;
    assert_eq!(page.status, 200);
    for line in [
        "content-type: text/html",
        "default-src 'self'",
        "frame-ancestors 'none'",
        "cache-control: no-cache",
    ] {
        assert!(page.head.contains(line), "{line}: {}", page.head);
    }
    let tag = page
        .head
        .lines()
        .find_map(|line| line.strip_prefix("etag: "));
    let known = [("if-none-match", tag.unwrap())];
    let again = crate::http::send(bed.address, "GET", "/", &known, "").await;
    assert_eq!((again.status, again.text.as_str()), (304, ""));
    assert_eq!(bed.get("/no-such-file.js").await.status, 404);
    assert_eq!(bed.get("/health").await.status, 200);
    assert_eq!(bed.get("/metrics").await.status, 200);
    bed.stop().await;
}
