//! What a measurement is: what is asked for, what comes out, and what must be true of it.

mod pace;

use std::fmt;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use tokio::sync::mpsc;

use crate::Failure;

pub(crate) use pace::{RATE, Seen, paced, sequence};

/// Every topic here has as many partitions.
pub(crate) const PARTITIONS: i32 = 3;

/// How long a client may take over a few last things: a flush, a first record.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What is measured: one of the subcommands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum Operation {
    Produce,
    Consume,
    Latency,
}

impl Operation {
    /// As on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Produce => "produce",
            Self::Consume => "consume",
            Self::Latency => "latency",
        }
    }
}

/// How a client is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum Setting {
    /// As it comes
    Default,
    /// Batches of 1 MB and 5 ms of linger to produce; large polls and queues to consume
    Tuned,
    /// As it comes, but without linger
    NoLinger,
}

impl Setting {
    /// As on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Tuned => "tuned",
            Self::NoLinger => "no-linger",
        }
    }
}

/// What one process is to do.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// `host:port`, several separated by commas.
    pub(crate) servers: String,
    pub(crate) topic: String,
    /// Bytes of a value. Keys are null.
    pub(crate) size: usize,
    pub(crate) records: u64,
    pub(crate) setting: Setting,
}

impl Job {
    /// The value of every record.
    pub(crate) fn value(&self) -> Vec<u8> {
        vec![b'x'; self.size]
    }
}

/// What came out. As text it is one line, `report records=… seconds=…`, which the table's process reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Report {
    /// Records measured.
    pub(crate) records: u64,
    /// Records sent besides, to warm up.
    pub(crate) extra: u64,
    pub(crate) seconds: f64,
    /// User and system time of the process, in seconds, over the same time.
    pub(crate) cpu: f64,
    /// The most that was ever resident, in KiB.
    pub(crate) peak_kib: u64,
    /// p50, p99 and p99.9 in milliseconds; zeros where no latency was measured.
    pub(crate) latency: [f64; 3],
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, p999] = self.latency;
        write!(
            f,
            "report records={} extra={} seconds={} cpu={} peak_kib={} p50={p50} p99={p99} p999={p999}",
            self.records, self.extra, self.seconds, self.cpu, self.peak_kib
        )
    }
}

impl Report {
    /// The last report in what a process printed.
    pub(crate) fn find(output: &str) -> Result<Self, Failure> {
        let line = output
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix("report "))
            .ok_or("it printed no report")?;
        let field = |name: &str| {
            line.split_whitespace()
                .filter_map(|pair| pair.split_once('='))
                .find_map(|(key, value)| (key == name).then_some(value))
        };
        let number = |name: &str| -> Result<f64, Failure> {
            let text = field(name).ok_or_else(|| format!("the report lacks {name}"))?;
            Ok(text.parse()?)
        };
        let count = |name: &str| -> Result<u64, Failure> {
            let text = field(name).ok_or_else(|| format!("the report lacks {name}"))?;
            Ok(text.parse()?)
        };
        Ok(Self {
            records: count("records")?,
            extra: count("extra")?,
            seconds: number("seconds")?,
            cpu: number("cpu")?,
            peak_kib: count("peak_kib")?,
            latency: [number("p50")?, number("p99")?, number("p999")?],
        })
    }

    pub(crate) fn rate(&self) -> f64 {
        self.records as f64 / self.seconds
    }

    pub(crate) fn cpu_per_million(&self) -> f64 {
        self.cpu / (self.records as f64 / 1e6)
    }

    pub(crate) fn peak_mib(&self) -> f64 {
        self.peak_kib as f64 / 1024.0
    }
}

/// A measurement that has begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meter {
    started: Instant,
    cpu: Duration,
}

impl Meter {
    pub(crate) fn start() -> Result<Self, Failure> {
        Ok(Self {
            started: Instant::now(),
            cpu: cpu_time()?,
        })
    }

    pub(crate) fn stop(self, records: u64, extra: u64) -> Result<Report, Failure> {
        let seconds = self.started.elapsed().as_secs_f64();
        let cpu = cpu_time()?.saturating_sub(self.cpu).as_secs_f64();
        Ok(Report {
            records,
            extra,
            seconds,
            cpu,
            peak_kib: peak_kib()?,
            latency: [0.0; 3],
        })
    }
}

/// User and system time of this process, from /proc: in hundredths of a second.
fn cpu_time() -> Result<Duration, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .ok_or("no command in /proc/self/stat")?
        .1
        .split_whitespace()
        .collect();
    let ticks = |index: usize| -> Result<u64, Failure> {
        Ok(fields.get(index).ok_or("short /proc/self/stat")?.parse()?)
    };
    Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
}

/// The most of this process that was ever resident.
fn peak_kib() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next())
        .ok_or("no VmHWM in /proc/self/status")?;
    Ok(peak.parse()?)
}

/// Checks what a consumer hands out: each partition's records from offset 0 on, without a gap and none twice, of the right size.
#[derive(Debug)]
pub(crate) struct Tally {
    size: usize,
    next: [i64; PARTITIONS as usize],
    pub(crate) records: u64,
}

impl Tally {
    pub(crate) fn new(size: usize) -> Self {
        Self {
            size,
            next: [0; PARTITIONS as usize],
            records: 0,
        }
    }

    #[inline]
    pub(crate) fn take(
        &mut self,
        partition: i32,
        offset: i64,
        value: Option<&[u8]>,
    ) -> Result<(), Failure> {
        let next = usize::try_from(partition)
            .ok()
            .and_then(|index| self.next.get_mut(index))
            .ok_or("a partition that the topic does not have")?;
        let length = value.map_or(0, <[u8]>::len);
        if *next != offset || length != self.size {
            return Err(format!(
                "partition {partition}: got offset {offset} with {length} B, expected {next} with {} B",
                self.size
            )
            .into());
        }
        *next += 1;
        self.records += 1;
        Ok(())
    }
}

/// Adds up what the tasks of a consumer with a task for each partition report, one count a poll, from the first count to the last record.
pub(crate) async fn gather(
    mut counts: mpsc::UnboundedReceiver<Result<u64, Failure>>,
    records: u64,
) -> Result<Report, Failure> {
    let mut meter = None;
    let mut read = 0;
    while read < records {
        let waited = tokio::time::timeout(PATIENCE, counts.recv()).await;
        let count = waited
            .map_err(|_| format!("only {read} of {records} records came"))?
            .ok_or("the consumer ended early")??;
        if meter.is_none() {
            meter = Some(Meter::start()?);
        }
        read += count;
    }
    meter.ok_or("nothing was to be read")?.stop(read, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_back_as_it_was_written() {
        let report = Report {
            records: 5_000_000,
            extra: 1,
            seconds: 1.25,
            cpu: 0.5,
            peak_kib: 12_345,
            latency: [0.5, 1.5, 2.5],
        };
        let output = format!("noise\nreport records=1\n{report}\nmore noise\n");
        assert_eq!(Report::find(&output).unwrap(), report);
        assert!(Report::find("report records=1").is_err());
        assert!(Report::find("nothing").is_err());
    }

    #[test]
    fn a_tally_refuses_gaps_repeats_and_wrong_sizes() {
        let mut tally = Tally::new(2);
        tally.take(0, 0, Some(b"ab")).unwrap();
        tally.take(2, 0, Some(b"ab")).unwrap();
        tally.take(0, 1, Some(b"ab")).unwrap();
        assert!(tally.take(0, 1, Some(b"ab")).is_err());
        assert!(tally.take(0, 3, Some(b"ab")).is_err());
        assert!(tally.take(0, 2, Some(b"abc")).is_err());
        assert!(tally.take(0, 2, None).is_err());
        assert!(tally.take(3, 0, Some(b"ab")).is_err());
        assert_eq!(tally.records, 3);
    }

    #[test]
    fn the_process_itself_can_be_measured() {
        assert!(peak_kib().unwrap() > 0);
        assert!(cpu_time().is_ok());
    }
}
