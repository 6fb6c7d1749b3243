//! How many orders a second the whole pipeline brings from POST to SHIPPED, how long they take at a steady rate, and what that
//! costs in memory.
//!
//! Everything runs in this process on two worker threads, the customers among it: four services, their HTTP, and, unless
//! `KAFKA_BOOTSTRAP_SERVERS` and `MONGODB_URI` name real ones, the broker and the store.
//!
//! `cargo run --profile dist -p orderflow --example pipeline`; `--seconds N` (60) says how long each row takes, `--rate N` (500) and
//! `--most N` (5000) how many orders a second the two rows at a steady rate get, `--seed-style` gives the services the work that the
//! Python demo's steps took (2 s, 1 s, 5 s an order).

use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser;
use orderflow::cli::Role;
use orderflow::load::{self, LoadReport, LoadSettings, Progress};
use orderflow::processing::ProcessingTime;
use orderflow::stock::Stock;
use orderflow::{Shop, ShopSettings};
use service_kit::store::Store;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

#[derive(Debug, Parser)]
struct Arguments {
    /// How long each row takes, about.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Orders a second at the steady rate.
    #[arg(long, default_value_t = 500)]
    rate: u64,
    /// Orders a second in the row that asks for much.
    #[arg(long, default_value_t = 5000)]
    most: u64,
    /// The work that the steps of the Python demo took: 2 s, 1 s and 5 s an order.
    #[arg(long)]
    seed_style: bool,
    /// Real servers: how long memory is watched at the steady rate, in place of the rows.
    #[arg(long)]
    soak_seconds: Option<u64>,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let bootstrap_servers = std::env::var("KAFKA_BOOTSTRAP_SERVERS").ok();
    let mongodb_uri = std::env::var("MONGODB_URI").ok();
    let embedded = bootstrap_servers.is_none() && mongodb_uri.is_none();
    // Names that no earlier run has used: a database may have lived longer.
    let run = std::process::id();
    let Stock(stock) = (0..20)
        .map(|n| format!("BENCH-{run}-{n}:1000000000:9.99"))
        .collect::<Vec<_>>()
        .join(",")
        .parse()?;
    let settings = ShopSettings {
        store: Store::open(mongodb_uri.as_deref()).await?,
        processing_time: match arguments.seed_style {
            true => "payment:2000,inventory:1000,shipment:5000".parse()?,
            false => ProcessingTime::default(),
        },
        // With so much work, what counts is how many orders are worked on at the same time.
        concurrency: if arguments.seed_style { 10_000 } else { 500 },
        bootstrap_servers: bootstrap_servers.clone(),
        ..ShopSettings::embedded(stock)
    };
    println!(
        "{}, {} store{}",
        if bootstrap_servers.is_some() {
            "Apache Kafka"
        } else {
            "embedded broker"
        },
        settings.store.name(),
        if arguments.seed_style {
            ", 2 s, 1 s and 5 s of work an order"
        } else {
            ""
        },
    );
    let shop = Shop::build(
        &Role::PIPELINE.map(|role| (role, 0)),
        settings,
        Ipv4Addr::LOCALHOST.into(),
    )
    .await?;
    let url = |role| shop.url(role).ok_or("not part of the shop");
    let local = LoadSettings {
        order_url: url(Role::Order)?.parse()?,
        inventory_url: url(Role::Inventory)?.parse()?,
        follow_for: Duration::from_secs(120),
        ..LoadSettings::local(0)
    };
    let stop = CancellationToken::new();
    let running = tokio::spawn(shop.run_until_stopped(stop.clone()));
    rows(&arguments, &local, embedded).await?;
    stop.cancel();
    running.await??;
    Ok(())
}

async fn rows(
    arguments: &Arguments,
    local: &LoadSettings,
    embedded: bool,
) -> Result<(), Box<dyn Error>> {
    // Connections are opened, and a Java broker compiles what it runs often.
    row(
        "warm-up",
        LoadSettings {
            orders: 2000,
            ..local.clone()
        },
    )
    .await?;
    let steady = LoadSettings {
        orders: arguments.rate * arguments.soak_seconds.unwrap_or(arguments.seconds),
        rate: Some(arguments.rate as f64),
        concurrency: 256,
        ..local.clone()
    };
    if arguments.soak_seconds.is_some() {
        let watched = AbortOnDropHandle::new(tokio::spawn(watch_memory()));
        row(&format!("{} a second", arguments.rate), steady).await?;
        drop(watched);
        return Ok(());
    }
    row(&format!("{} a second", arguments.rate), steady).await?;
    let before = resident_kib();
    let report = row(
        &format!("{} a second", arguments.most),
        LoadSettings {
            orders: arguments.most * arguments.seconds,
            rate: Some(arguments.most as f64),
            concurrency: 256,
            ..local.clone()
        },
    )
    .await?;
    if let (true, Some(before), Some(after)) = (embedded, before, resident_kib()) {
        let bytes = after.saturating_sub(before) * 1024 / report.accepted.max(1);
        println!(
            "an order costs {bytes} bytes of memory: its documents and events, all of which are kept"
        );
    }
    Ok(())
}

async fn row(title: &str, settings: LoadSettings) -> Result<LoadReport, Box<dyn Error>> {
    let progress = Arc::new(Progress::default());
    let ended = Arc::new(AtomicBool::new(false));
    let slowest = AbortOnDropHandle::new(tokio::spawn(slowest_second(
        Arc::clone(&progress),
        Arc::clone(&ended),
    )));
    let report = load::run(&settings, &progress).await?;
    ended.store(true, Ordering::Relaxed);
    let slowest = slowest.await?;
    println!(
        "\n{title}: {} orders, {:.0} a second, {slowest} in the slowest second, {:.1} s",
        report.accepted, report.orders_per_second, report.seconds
    );
    println!("  POST           {}", report.post);
    println!("  POST to final  {}", report.post_to_final);
    for complaint in report.complaints() {
        println!("  not as asked: {complaint}");
    }
    if let Some(memory) = resident_kib() {
        println!("  resident memory {:.1} MiB", memory as f64 / 1024.0);
    }
    Ok(report)
}

/// The fewest orders that became final in a second, the first and the last left out, which are not whole.
async fn slowest_second(progress: Arc<Progress>, ended: Arc<AtomicBool>) -> u64 {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    let (mut before, mut seconds) = (0, Vec::new());
    loop {
        ticks.tick().await;
        let settled = progress.settled();
        if ended.load(Ordering::Relaxed) {
            let first = seconds
                .iter()
                .position(|settled| *settled > 0)
                .unwrap_or_default();
            let whole = seconds.get(first + 1..).unwrap_or_default();
            return whole.iter().copied().min().unwrap_or_default();
        }
        seconds.push(settled - before);
        before = settled;
    }
}

/// Prints the memory of this process every ten seconds.
async fn watch_memory() {
    let mut ticks = tokio::time::interval(Duration::from_secs(10));
    for tick in 0.. {
        ticks.tick().await;
        if let Some(memory) = resident_kib() {
            println!("{:4} s  {:7.1} MiB", tick * 10, memory as f64 / 1024.0);
        }
    }
}

/// What Linux says of this process; none elsewhere.
fn resident_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
