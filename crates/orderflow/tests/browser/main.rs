//! The dashboard in a real browser. Each scenario leaves a picture of what was seen.
//!
//! They need Debian's chromium and chromium-driver, or others of the same names in the PATH; nothing else, since the shop is embedded.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail so"
)]

mod page;
mod shop;

use page::Page;
use shop::Running;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium and chromedriver: cargo test -p orderflow --test browser -- --ignored"]
async fn an_order_is_placed_and_ships() {
    let shop = Running::start().await;
    let page = Page::open(&shop.url).await;
    page.click("#place-order").await;
    page.until("[data-order-id] .status", |said| said == "SHIPPED")
        .await;
    page.click("[data-testid=follow-placed], [data-order-id] button, [data-order-id] a")
        .await;
    page.until("[data-testid=journey-status]", |said| {
        said.contains("SHIPPED")
    })
    .await;
    // order_placed, payment COMPLETED, inventory UPDATED, shipment PROCESSING and SHIPPED.
    page.find("[data-testid=journey-events] > :nth-child(5)")
        .await;
    page.picture("an-order-ships").await;
    page.click("[data-testid=open-record]").await;
    page.until("[data-testid=record-value]", |said| {
        said.contains("order_id")
    })
    .await;
    page.picture("a-record").await;
    page.close().await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium and chromedriver: cargo test -p orderflow --test browser -- --ignored"]
async fn payment_crashes_and_its_lag_rises_and_falls() {
    const LAG: &str = "[data-group=payment-service] .lag";
    let shop = Running::start().await;
    let page = Page::open(&shop.url).await;
    page.click("[data-rate='50']").await;
    page.until_number("#fig-shipped", |rate| rate > 0).await;
    page.click("[data-instance=payment-service-1] [data-action=crash]")
        .await;
    page.find("[data-instance=payment-service-1][data-state=crashed]")
        .await;
    page.until_number(LAG, |lag| lag > 100).await;
    page.show("#pipeline-title").await;
    page.picture("payment-has-crashed").await;
    page.click("[data-instance=payment-service-1] [data-action=start]")
        .await;
    page.find("[data-instance=payment-service-1][data-state=running]")
        .await;
    page.click("[data-rate='0']").await;
    page.until(LAG, |said| said.starts_with('0')).await;
    page.until("[data-order-id] .status", |said| said == "SHIPPED")
        .await;
    page.show("#pipeline-title").await;
    page.picture("payment-has-caught-up").await;
    page.close().await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium and chromedriver: cargo test -p orderflow --test browser -- --ignored"]
async fn an_instance_is_added_and_partitions_move() {
    let shop = Running::start().await;
    let page = Page::open(&shop.url).await;
    page.find("[data-group=payment-service] [data-member=payment-service-1]")
        .await;
    page.click("[data-service=payment-service] [data-action=add]")
        .await;
    page.find("[data-group=payment-service] [data-member=payment-service-2]")
        .await;
    page.until("[data-rebalance=payment-service]", |said| {
        said.contains("payment-2")
    })
    .await;
    page.show("#rebalances").await;
    page.picture("partitions-have-moved").await;
    page.click("[data-instance=payment-service-2] [data-action=remove]")
        .await;
    page.until("[data-group=payment-service]", |said| {
        !said.contains("payment-service-2")
    })
    .await;
    page.close().await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium and chromedriver: cargo test -p orderflow --test browser -- --ignored"]
async fn what_is_no_event_becomes_a_dead_letter_and_is_sent_back() {
    const LETTERS: &str = "[data-dead-letters='order_placed.payment-service.dlq']";
    let shop = Running::start().await;
    let page = Page::open(&shop.url).await;
    page.click("#poison").await;
    page.until_number(&format!("{LETTERS} .count"), |count| count == 1)
        .await;
    page.click(&format!("{LETTERS} [data-action=show]")).await;
    page.find("[data-letter='0']").await;
    page.show("#letters").await;
    page.picture("a-dead-letter").await;
    // It is still no event, so it comes back as another letter: the first is gone.
    page.click(&format!("{LETTERS} [data-action=redrive]"))
        .await;
    // If the page has seen that there was none in between, its list is closed.
    page.keep_open(
        &format!("{LETTERS} [data-action=show]"),
        "[data-letter='1']",
    )
    .await;
    page.close().await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium and chromedriver: cargo test -p orderflow --test browser -- --ignored"]
async fn kafka_goes_away_and_the_page_says_what_is_a_memory() {
    const PAUSE: &str = "[data-group=payment-service] [data-action=pause]";
    let shop = Running::start().await;
    let page = Page::open(&shop.url).await;
    page.find(&format!("{PAUSE}:not([aria-disabled=true])"))
        .await;
    page.click("[data-broker-action=stop]").await;
    page.find("#kafka[data-state=away]").await;
    page.until("#kafka-line", |said| said.ends_with("does not answer"))
        .await;
    page.until("#groups-seen", |said| said.starts_with("as last seen"))
        .await;
    page.find(&format!("{PAUSE}[aria-disabled=true]")).await;
    page.until("[data-instance=payment-service-1] .state", |said| {
        said.contains("no Kafka")
    })
    .await;
    // An order is taken all the same, and waits in the outbox.
    page.click("#place-order").await;
    page.until_number("#fig-outbox", |waiting| waiting == 1)
        .await;
    page.show("#pipeline-title").await;
    page.picture("kafka-is-away").await;
    page.click("[data-broker-action=start]").await;
    page.find("#kafka[data-state=up]").await;
    page.until("[data-order-id] .status", |said| said == "SHIPPED")
        .await;
    page.until("#groups-seen", str::is_empty).await;
    page.close().await;
    shop.stop().await;
}
