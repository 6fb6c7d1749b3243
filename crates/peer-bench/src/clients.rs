//! The clients that are compared.

mod krafka;
#[cfg(feature = "librdkafka")]
mod librdkafka;
mod ours;
mod rskafka;

use clap::ValueEnum;

use crate::Failure;
use crate::measure::{Job, Report, Setting};

/// A candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum Client {
    /// crates/kafka-client, record by record
    Ours,
    /// Apache Kafka's own ProducerPerformance and ConsumerPerformance
    Java,
    /// librdkafka, through the crate rdkafka
    Librdkafka,
    /// krafka
    Krafka,
    /// rskafka's PartitionClient, whole batches: a floor, not a full client
    Rskafka,
}

impl Client {
    /// All of them, as the table orders them.
    pub(crate) const ALL: [Self; 5] = [
        Self::Ours,
        Self::Java,
        Self::Librdkafka,
        Self::Krafka,
        Self::Rskafka,
    ];

    /// As on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Java => "java",
            Self::Librdkafka => "librdkafka",
            Self::Krafka => "krafka",
            Self::Rskafka => "rskafka",
        }
    }

    /// Whether it is no full client but a lower bound on what one costs: it sends and takes whole batches, without a call
    /// for each record and without idempotence. It has no rank.
    pub(crate) fn is_floor(self) -> bool {
        self == Self::Rskafka
    }

    /// What it runs with for records/s and CPU; the better one counts. Ours has to do with its defaults.
    pub(crate) fn throughput_settings(self) -> &'static [Setting] {
        match self {
            Self::Ours | Self::Rskafka => &[Setting::Default],
            Self::Java | Self::Librdkafka | Self::Krafka => &[Setting::Default, Setting::Tuned],
        }
    }

    /// What it runs with for latency; each is a row of its own. The others never linger.
    pub(crate) fn latency_settings(self) -> &'static [Setting] {
        match self {
            Self::Ours | Self::Rskafka => &[Setting::Default],
            Self::Java | Self::Librdkafka | Self::Krafka => &[Setting::Default, Setting::NoLinger],
        }
    }

    /// Sends `job.records` records to the topic and waits until all are acknowledged.
    pub(crate) async fn produce(self, job: &Job) -> Result<Report, Failure> {
        match self {
            Self::Ours => ours::produce(job).await,
            Self::Krafka => krafka::produce(job).await,
            Self::Rskafka => rskafka::produce(job).await,
            #[cfg(feature = "librdkafka")]
            Self::Librdkafka => librdkafka::produce(job),
            other => Err(other.absent()),
        }
    }

    /// Reads the topic, which has `job.records` records, from its start to its end.
    pub(crate) async fn consume(self, job: &Job) -> Result<Report, Failure> {
        match self {
            Self::Ours => ours::consume(job).await,
            Self::Krafka => krafka::consume(job).await,
            Self::Rskafka => rskafka::consume(job).await,
            #[cfg(feature = "librdkafka")]
            Self::Librdkafka => librdkafka::consume(job),
            other => Err(other.absent()),
        }
    }

    /// Sends and reads at a steady rate in one process, and measures the time in between.
    pub(crate) async fn latency(self, job: &Job) -> Result<Report, Failure> {
        match self {
            Self::Ours => ours::latency(job).await,
            Self::Krafka => krafka::latency(job).await,
            Self::Rskafka => rskafka::latency(job).await,
            #[cfg(feature = "librdkafka")]
            Self::Librdkafka => librdkafka::latency(job).await,
            other => Err(other.absent()),
        }
    }

    fn absent(self) -> Failure {
        match self {
            Self::Java => "Java is started by `table`, not by this program".into(),
            other => format!(
                "this program was built without the feature `{}`",
                other.name()
            )
            .into(),
        }
    }
}
