//! The benchmark: every client in turn, round after round, and one table.

mod plan;
mod print;
mod progress;
mod topics;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use clap::Args;
use tokio::process::Command;

use crate::Failure;
use crate::clients::Client;
use crate::java::{Java, WarmUp};
use crate::measure::{Job, Operation, RATE, Report, Setting};
use plan::{Results, Run, Scale};
use progress::Progress;
use topics::Topics;

/// A client that takes longer for one measurement has failed.
const LIMIT: Duration = Duration::from_secs(180);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// One round of few records: whether all works, and figures of a kind
    #[arg(long)]
    quick: bool,
    /// Rounds; each row shows the medians [default: 5, or 1 if quick]
    #[arg(long)]
    rounds: Option<usize>,
    /// Only these
    #[arg(long, value_delimiter = ',', default_value = "produce,consume,latency")]
    only: Vec<Operation>,
    /// Bytes of a value
    #[arg(long, value_delimiter = ',', default_value = "10,100,1000,10000")]
    sizes: Vec<usize>,
    /// Only these
    #[arg(long, value_delimiter = ',')]
    clients: Vec<Client>,
    /// The folder of Kafka's jars [default: the test bed's]
    #[arg(long)]
    jars: Option<PathBuf>,
}

pub(crate) async fn run(options: Options, servers: &str) -> Result<(), Failure> {
    let topics = Topics::new(servers)?;
    let outcome = tokio::select! {
        outcome = measure(&options, servers, &topics) => outcome,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    // What is left of a run that failed or was interrupted, too.
    topics.delete_all().await?;
    outcome
}

async fn measure(options: &Options, servers: &str, topics: &Topics) -> Result<(), Failure> {
    let clients: Vec<Client> = Client::ALL
        .into_iter()
        .filter(|client| options.clients.is_empty() || options.clients.contains(client))
        .collect();
    let scale = Scale::new(options.quick, options.rounds);
    let java = if clients.contains(&Client::Java) {
        Some(Java::prepare(options.jars.clone()).await?)
    } else {
        None
    };
    let mut bench = Bench {
        servers,
        topics,
        java,
        warm_up_topic: String::new(),
        progress: Progress::new(plan::count(&clients, &options.only, &options.sizes, scale)),
        results: Results::default(),
        scale,
        clients,
    };
    bench.warm_up_topic(&options.only).await?;
    for operation in &options.only {
        match operation {
            Operation::Produce => bench.produce(&options.sizes).await?,
            Operation::Consume => bench.consume(&options.sizes).await?,
            Operation::Latency => bench.latency().await?,
        }
    }
    let java = bench.java.as_ref().map(Java::version).transpose()?;
    print::table(&bench.results, &bench.clients, java.as_deref(), scale);
    match bench.results.failures() {
        0 => Ok(()),
        failures => Err(format!("{failures} measurement(s) failed").into()),
    }
}

struct Bench<'a> {
    servers: &'a str,
    topics: &'a Topics,
    java: Option<Java>,
    /// Has what Java consumes to warm up; empty if it does not.
    warm_up_topic: String,
    clients: Vec<Client>,
    scale: Scale,
    progress: Progress,
    results: Results,
}

impl Bench<'_> {
    async fn warm_up_topic(&mut self, only: &[Operation]) -> Result<(), Failure> {
        if self.java.is_some() && only.contains(&Operation::Consume) {
            self.progress.say("filling the topic that Java warms up on");
            self.warm_up_topic = self.topics.create("warm-up").await?;
            self.topics
                .fill(&self.warm_up_topic, self.scale.java_warm_up, 10)
                .await?;
        }
        Ok(())
    }

    async fn produce(&mut self, sizes: &[usize]) -> Result<(), Failure> {
        for &size in sizes {
            for round in 0..self.scale.rounds {
                for run in self
                    .results
                    .runs(&self.clients, Operation::Produce, size, round)
                {
                    let topic = self.topics.create("produce").await?;
                    let records = self.scale.to_produce(size);
                    let mut outcome = self.one(run, round, &topic, records).await;
                    if let Ok(report) = &outcome {
                        let written = self.topics.count(&topic).await?;
                        let sent = report.records + report.extra;
                        if written != sent {
                            outcome =
                                Err(format!("{written} records in the log of {sent} sent").into());
                        }
                    }
                    self.topics.delete(&topic).await?;
                    self.note(run, outcome);
                }
            }
        }
        Ok(())
    }

    async fn consume(&mut self, sizes: &[usize]) -> Result<(), Failure> {
        for &size in sizes {
            let records = self.scale.to_consume(size);
            self.progress.say(&format!(
                "filling a topic with {records} records of {size} B"
            ));
            let topic = self.topics.create("consume").await?;
            self.topics.fill(&topic, records, size).await?;
            for round in 0..self.scale.rounds {
                for run in self
                    .results
                    .runs(&self.clients, Operation::Consume, size, round)
                {
                    let mut outcome = self.one(run, round, &topic, records).await;
                    if let Ok(report) = &outcome
                        && report.records != records
                    {
                        outcome =
                            Err(format!("{} of {records} records came", report.records).into());
                    }
                    self.note(run, outcome);
                }
            }
            self.topics.delete(&topic).await?;
        }
        Ok(())
    }

    async fn latency(&mut self) -> Result<(), Failure> {
        let records = self.scale.latency_seconds * RATE;
        for round in 0..self.scale.rounds {
            for run in self
                .results
                .runs(&self.clients, Operation::Latency, 100, round)
            {
                let topic = self.topics.create("latency").await?;
                let outcome = self.one(run, round, &topic, records).await;
                self.topics.delete(&topic).await?;
                self.note(run, outcome);
            }
        }
        Ok(())
    }

    fn note(&mut self, run: Run, outcome: Result<Report, Failure>) {
        self.progress.ended(run, &outcome);
        self.results.note(run, outcome.ok());
    }

    /// One process, one measurement.
    async fn one(
        &mut self,
        run: Run,
        round: usize,
        topic: &str,
        records: u64,
    ) -> Result<Report, Failure> {
        self.progress.begins(run, round, self.scale.rounds);
        let job = Job {
            servers: self.servers.to_owned(),
            topic: topic.to_owned(),
            size: run.size,
            records,
            setting: run.setting,
        };
        let mut command = match (&self.java, run.client) {
            (Some(java), Client::Java) => {
                let records = match run.operation {
                    Operation::Latency => self.scale.java_latency_warm_up,
                    Operation::Produce | Operation::Consume => self.scale.java_warm_up,
                };
                let topic = &self.warm_up_topic;
                java.command(run.operation, &job, WarmUp { records, topic })
            }
            _ => this_program(run, &job)?,
        };
        let running = command.kill_on_drop(true).stderr(Stdio::piped()).output();
        let output = tokio::time::timeout(LIMIT, running)
            .await
            .map_err(|_| format!("not done after {} s", LIMIT.as_secs()))??;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            let last: Vec<&str> = complaint.trim().lines().rev().take(5).collect();
            return Err(format!("{}: {}", output.status, last.join(" / ")).into());
        }
        Report::find(&String::from_utf8_lossy(&output.stdout))
    }
}

/// This program again, to measure one of the Rust clients.
fn this_program(run: Run, job: &Job) -> Result<Command, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args([run.operation.name(), "--client", run.client.name()])
        .args(["--setting", run.setting.name(), "--topic", &job.topic])
        .args(["--bootstrap-servers", &job.servers])
        .args(["--size", &job.size.to_string()])
        .args(["--records", &job.records.to_string()])
        .stdin(Stdio::null());
    Ok(command)
}

/// How a setting is marked in what people read.
fn mark(setting: Setting) -> &'static str {
    match setting {
        Setting::Default => "",
        Setting::Tuned => ", tuned",
        Setting::NoLinger => ", no linger",
    }
}
