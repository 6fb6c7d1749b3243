//! How long an order takes from POST to SHIPPED when nothing else is going on, how soon the shop is ready, and how much
//! memory it has then and after the orders.
//!
//! Orders go one after the other: first a warm-up that is not timed, then rounds that are each told by themselves, so that
//! one that something came between can be seen, and at the end the median of the rounds.
//!
//! `cargo run --profile dist -p orderflow --example latency`; with `KAFKA_BOOTSTRAP_SERVERS` and `MONGODB_URI` set, on those.

use std::error::Error;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use orderflow::cli::Role;
use orderflow::stock::Stock;
use orderflow::{Shop, ShopSettings};
use reqwest::Client;
use serde_json::Value;
use service_kit::store::Store;
use tokio_util::sync::CancellationToken;

/// Orders before the clock starts: connections are open, caches warm, and a Java broker has compiled what it runs often.
const WARM_UP: usize = 500;
/// How often it is measured.
const ROUNDS: usize = 5;
/// Orders of a round.
const ORDERS: usize = 500;
/// What is told of a round.
const PERCENTILES: [usize; 3] = [50, 90, 99];

const ORDER: &str = r#"{"customer_id":"BENCH","items":[{"product_id":"P001","quantity":1,"price":29.99}],"shipping_address":"1 Main Street","total_amount":29.99}"#;

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    let bootstrap_servers = std::env::var("KAFKA_BOOTSTRAP_SERVERS").ok();
    let Stock(stock) = "P001:100000000:29.99".parse()?;
    let settings = ShopSettings {
        bootstrap_servers: bootstrap_servers.clone(),
        store: Store::open(std::env::var("MONGODB_URI").ok().as_deref()).await?,
        ..ShopSettings::embedded(stock)
    };
    let kafka = if bootstrap_servers.is_some() {
        "Apache Kafka"
    } else {
        "embedded broker"
    };
    let store = settings.store.name();
    let shop = Shop::build(
        &Role::PIPELINE.map(|role| (role, 0)),
        settings,
        Ipv4Addr::LOCALHOST.into(),
    )
    .await?;
    let url = |role| shop.url(role).ok_or("not part of the shop");
    let orders = format!("{}/orders", url(Role::Order)?);
    let offsets: Vec<String> = Role::PIPELINE
        .iter()
        .map(|role| url(*role).map(|base| format!("{base}/offsets")))
        .collect::<Result<_, _>>()?;
    let stop = CancellationToken::new();
    let running = tokio::spawn(shop.run_until_stopped(stop.clone()));

    let http = Client::new();
    for offsets in &offsets {
        until_all_partitions_are_read(&http, offsets).await?;
    }
    let ready = started.elapsed();
    let idle = resident_kib();
    println!(
        "{kafka}, {store} store: POST to SHIPPED, {ROUNDS} rounds of {ORDERS} orders one after the other, {WARM_UP} before them"
    );
    round(&http, &orders, WARM_UP).await?;
    let mut rounds = Vec::with_capacity(ROUNDS);
    for n in 1..=ROUNDS {
        let times = round(&http, &orders, ORDERS).await?;
        rounds.push(row(
            &format!("round {n}"),
            PERCENTILES.map(|p| percentile(&times, p)),
        ));
    }
    let after = resident_kib();
    let medians = std::array::from_fn(|column| median(rounds.iter().map(|row| row[column])));
    row("median of rounds", medians);
    println!(
        "ready after       {:.0} ms (every partition of every service is read)",
        ready.as_secs_f64() * 1000.0
    );
    for (memory, when) in [(idle, "when ready and idle"), (after, "after the rounds")] {
        if let Some(memory) = memory {
            println!("resident memory   {:.1} MiB {when}", memory as f64 / 1024.0);
        }
    }
    stop.cancel();
    running.await??;
    Ok(())
}

/// So many orders one after the other: their times, the shortest first.
async fn round(http: &Client, orders: &str, count: usize) -> Result<Vec<Duration>, Box<dyn Error>> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        times.push(one_order(http, orders).await?);
    }
    times.sort();
    Ok(times)
}

/// The time that so many percent of the orders took at most, in milliseconds.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len() - 1);
    sorted[at].as_secs_f64() * 1000.0
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Prints a row of percentiles, in milliseconds, and hands them back.
fn row(title: &str, milliseconds: [f64; PERCENTILES.len()]) -> [f64; PERCENTILES.len()] {
    let cells = PERCENTILES.iter().zip(milliseconds);
    let cells: Vec<String> = cells
        .map(|(p, time)| format!("p{p} {time:.2} ms"))
        .collect();
    println!("{title:<17} {}", cells.join("   "));
    milliseconds
}

async fn until_all_partitions_are_read(http: &Client, offsets: &str) -> Result<(), Box<dyn Error>> {
    let mut look = tokio::time::interval(Duration::from_millis(2));
    loop {
        look.tick().await;
        let rows: Value = http.get(offsets).send().await?.json().await?;
        let read =
            |rows: &Vec<Value>| !rows.is_empty() && rows.iter().all(|row| row["position"].is_i64());
        if rows["items"].as_array().is_some_and(read) {
            return Ok(());
        }
    }
}

/// The time is from before the request to the answer that first says SHIPPED, so it holds the asking as well.
async fn one_order(http: &Client, orders: &str) -> Result<Duration, Box<dyn Error>> {
    let begun = Instant::now();
    let request = http
        .post(orders)
        .header("content-type", "application/json")
        .body(ORDER);
    let placed: Value = request.send().await?.error_for_status()?.json().await?;
    let id = placed["order_id"]
        .as_str()
        .ok_or("an order without an id")?;
    let url = format!("{orders}/{id}");
    loop {
        let order: Value = http
            .get(&url)
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?;
        match order["status"].as_str() {
            Some("SHIPPED") => return Ok(begun.elapsed()),
            Some("REJECTED" | "REFUNDED" | "DECLINED" | "CANCELLED") | None => {
                return Err(format!("ended as {order}").into());
            }
            Some(_) => {}
        }
    }
}

/// What Linux says of this process; none elsewhere.
fn resident_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
