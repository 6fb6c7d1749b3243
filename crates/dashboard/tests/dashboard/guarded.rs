//! Who may do something.

use std::sync::Arc;

use crate::acting::Pretended;
use crate::bed::{Bed, JSON};
use crate::http::{Answer, send};

async fn post(bed: &Bed, lines: &[(&str, &str)]) -> Answer {
    send(bed.address, "POST", "/api/load", lines, r#"{"rate":0}"#).await
}

#[tokio::test]
async fn a_dashboard_of_its_own_without_a_token_only_shows() {
    let bed = Bed::with(None, None).await;
    assert_eq!(post(&bed, &[JSON]).await.status, 403);
    let snapshot = bed.get("/api/snapshot").await.json();
    assert_eq!(snapshot["can"]["act"], false);
    bed.stop().await;
}

#[tokio::test]
async fn in_the_all_in_one_process_only_json_to_this_machine_does_something() {
    let bed = Bed::with(None, Some(Arc::new(Pretended::default()))).await;
    assert_eq!(post(&bed, &[JSON]).await.status, 200);
    for (line, wanted) in [
        (("host", "evil.example"), 421),
        (("origin", "http://evil.example"), 403),
        (("sec-fetch-site", "cross-site"), 403),
        (("sec-fetch-site", "same-origin"), 200),
    ] {
        assert_eq!(post(&bed, &[JSON, line]).await.status, wanted, "{line:?}");
    }
    let unsaid = post(&bed, &[]).await;
    assert_eq!(unsaid.status, 415);
    let plain = post(&bed, &[("content-type", "text/plain")]).await;
    assert_eq!(plain.status, 415);
    assert!(plain.head.contains("application/problem+json"));
    let snapshot = bed.get("/api/snapshot").await.json();
    assert_eq!(snapshot["can"]["act"], true);
    assert_eq!(snapshot["can"]["token"], false);
    bed.stop().await;
}

#[tokio::test]
async fn with_a_token_it_alone_decides() {
    let bed = Bed::start().await;
    let (right, wrong) = ("Bearer hunter2", "Bearer hunter3");
    let allowed = post(&bed, &[JSON, ("authorization", right)]).await;
    assert_eq!(allowed.status, 200);
    for lines in [&[JSON][..], &[JSON, ("authorization", wrong)]] {
        let refused = post(&bed, lines).await;
        assert_eq!(refused.status, 401);
        assert!(refused.head.contains("www-authenticate: bearer"));
    }
    assert_eq!(post(&bed, &[("authorization", right)]).await.status, 415);
    bed.stop().await;
}

#[tokio::test]
async fn every_path_that_does_something_is_guarded() {
    let bed = Bed::start().await;
    for path in [
        "/api/orders",
        "/api/orders/1/cancel",
        "/api/inventory/P001/restock",
        "/api/load",
        "/api/poison",
        "/api/dead-letters/a.b.dlq/redrive",
        "/api/dead-letters/a.b.dlq/drop",
        "/api/groups/g/reset",
        "/api/groups/g/partitions/t/0/pause",
        "/api/groups/g/partitions/t/0/resume",
        "/api/services/payment-service/instances",
        "/api/instances/payment-service-1/stop",
        "/api/instances/payment-service-1/crash",
        "/api/instances/payment-service-1/start",
        "/api/instances/payment-service-1/remove",
        "/api/broker/stop",
        "/api/broker/start",
        "/api/broker/crash",
        "/api/broker/cut",
    ] {
        let answer = send(bed.address, "POST", path, &[JSON], "{}").await;
        assert_eq!(answer.status, 401, "{path}");
    }
    bed.stop().await;
}
