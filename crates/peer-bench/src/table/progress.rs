//! What runs, on standard error.

use std::time::Instant;

use super::mark;
use super::plan::Run;
use crate::Failure;
use crate::measure::{Operation, Report};

#[derive(Debug)]
pub(super) struct Progress {
    started: Instant,
    total: usize,
    done: usize,
}

impl Progress {
    pub(super) fn new(total: usize) -> Self {
        Self {
            started: Instant::now(),
            total,
            done: 0,
        }
    }

    pub(super) fn say(&self, what: &str) {
        eprintln!("{} {what}", self.clock());
    }

    pub(super) fn begins(&self, run: Run, round: usize, rounds: usize) {
        eprint!(
            "{} {}/{} {} {} B, round {} of {rounds}, {}{}: ",
            self.clock(),
            self.done + 1,
            self.total,
            run.operation.name(),
            run.size,
            round + 1,
            run.client.name(),
            mark(run.setting),
        );
    }

    pub(super) fn ended(&mut self, run: Run, outcome: &Result<Report, Failure>) {
        self.done += 1;
        match outcome {
            Ok(report) if run.operation == Operation::Latency => {
                let [p50, p99, p999] = report.latency;
                eprintln!("{p50:.2} / {p99:.2} / {p999:.2} ms");
            }
            Ok(report) => eprintln!(
                "{:.0} records/s, {:.3} CPU s/million, {:.0} MiB, in {:.1} s",
                report.rate(),
                report.cpu_per_million(),
                report.peak_mib(),
                report.seconds
            ),
            Err(problem) => eprintln!("FAILED: {problem}"),
        }
    }

    fn clock(&self) -> String {
        let seconds = self.started.elapsed().as_secs();
        format!("[{}:{:02}]", seconds / 60, seconds % 60)
    }
}
