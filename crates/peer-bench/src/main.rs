//! Measures `kafka-client` beside other Kafka clients, on one broker in one run.
//!
//! ```text
//! just bench-client [--quick]
//! cargo run --release -- table --quick --sizes 10,1000 --clients ours,librdkafka
//! cargo run --release -- produce --client ours --size 100 --records 3000000 --topic there-already
//! ```
//!
//! `table` is the benchmark: it starts a process of its own for each measurement (this program again, with one of the other
//! subcommands, or Java), so that CPU time and peak memory are that client's and nothing else's. docs/performance.md says how
//! the figures are taken and how to read them.
//!
//! # Layout
//!
//! - `clients` has a file for each client: produce, consume, latency.
//! - `measure` is what a measurement is: the clock, the CPU time, the peak memory, the checks.
//! - `table` runs them all in turn and prints the result; `java` starts Kafka's own tools.

mod clients;
mod java;
mod measure;
mod table;

use std::error::Error;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use clients::Client;
use measure::{Job, Setting};

/// Whatever went wrong, to be shown and not to be handled.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

#[derive(Debug, Parser)]
#[command(about = "Measures kafka-client beside other Kafka clients, on one broker in one run")]
struct Cli {
    /// The broker, as host:port, or several with commas
    #[arg(long, env = "KAFKA_BOOTSTRAP_SERVERS", global = true)]
    bootstrap_servers: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything: all clients in turn, several rounds, one Markdown table
    Table(table::Options),
    /// One measurement: sends records to a topic of three partitions that is there already
    Produce(One),
    /// One measurement: reads all the records of such a topic
    Consume(One),
    /// One measurement: the time from send to poll, at 1,000 records a second, on an empty topic
    Latency(One),
}

#[derive(Debug, Args)]
struct One {
    #[arg(long)]
    client: Client,
    #[arg(long, default_value = "default")]
    setting: Setting,
    /// Bytes of a record's value; keys are null
    #[arg(long, default_value_t = 100)]
    size: usize,
    #[arg(long)]
    records: u64,
    #[arg(long)]
    topic: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("peer-bench: {problem}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<(), Failure> {
    let servers = cli
        .bootstrap_servers
        .ok_or("no broker: set KAFKA_BOOTSTRAP_SERVERS, as deploy/testbed/up prints it")?;
    let job = |one: One| {
        let job = Job {
            servers: servers.clone(),
            topic: one.topic,
            size: one.size,
            records: one.records,
            setting: one.setting,
        };
        (one.client, job)
    };
    let report = match cli.command {
        Command::Table(options) => return table::run(options, &servers).await,
        Command::Produce(one) => {
            let (client, job) = job(one);
            client.produce(&job).await?
        }
        Command::Consume(one) => {
            let (client, job) = job(one);
            client.consume(&job).await?
        }
        Command::Latency(one) => {
            let (client, job) = job(one);
            client.latency(&job).await?
        }
    };
    println!("{report}");
    Ok(())
}
