//! What runs when, and what came of it.

use std::collections::HashMap;

use crate::clients::Client;
use crate::measure::{Operation, Report, Setting};

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    pub(super) rounds: usize,
    /// The full counts are divided by this.
    divisor: u64,
    pub(super) latency_seconds: u64,
    /// Small records that a JVM handles before it is measured.
    pub(super) java_warm_up: u64,
    pub(super) java_latency_warm_up: u64,
}

impl Scale {
    pub(super) fn new(quick: bool, rounds: Option<usize>) -> Self {
        let rounds = rounds.unwrap_or(if quick { 1 } else { 5 }).max(1);
        let (divisor, latency_seconds, java_warm_up) = if quick {
            (5, 2, 1_000_000)
        } else {
            (1, 5, 5_000_000)
        };
        Self {
            rounds,
            divisor,
            latency_seconds,
            java_warm_up,
            java_latency_warm_up: java_warm_up / 100,
        }
    }

    /// Enough for a second or more of the fastest, and at most 1 GB.
    pub(super) fn to_produce(&self, size: usize) -> u64 {
        let records = match size {
            ..=30 => 5_000_000,
            31..=300 => 3_000_000,
            301..=3_000 => 750_000,
            _ => 1_000_000_000 / size as u64,
        };
        (records / self.divisor).max(1)
    }

    /// Twice that: reading is faster.
    pub(super) fn to_consume(&self, size: usize) -> u64 {
        self.to_produce(size) * 2
    }
}

/// One measurement, to be repeated each round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Run {
    pub(super) operation: Operation,
    pub(super) size: usize,
    pub(super) client: Client,
    pub(super) setting: Setting,
}

/// How many processes there will be.
pub(super) fn count(
    clients: &[Client],
    only: &[Operation],
    sizes: &[usize],
    scale: Scale,
) -> usize {
    let per_size = |client: &Client| {
        // Both settings in the first round, the better one after that.
        client.throughput_settings().len() + scale.rounds - 1
    };
    let of = |operation: &Operation| match operation {
        Operation::Produce | Operation::Consume => {
            sizes.len() * clients.iter().map(per_size).sum::<usize>()
        }
        Operation::Latency => {
            let each = clients.iter().map(|client| client.latency_settings().len());
            scale.rounds * each.sum::<usize>()
        }
    };
    only.iter().map(of).sum()
}

/// Everything measured so far.
#[derive(Debug, Default)]
pub(super) struct Results {
    reports: HashMap<Run, Vec<Report>>,
    failed: HashMap<Run, usize>,
}

impl Results {
    pub(super) fn note(&mut self, run: Run, report: Option<Report>) {
        match report {
            Some(report) => self.reports.entry(run).or_default().push(report),
            None => *self.failed.entry(run).or_default() += 1,
        }
    }

    pub(super) fn failures(&self) -> usize {
        self.failed.values().sum()
    }

    /// What to run in a round. Each round begins with another client, so that nobody always runs behind the same one.
    pub(super) fn runs(
        &self,
        clients: &[Client],
        operation: Operation,
        size: usize,
        round: usize,
    ) -> Vec<Run> {
        let mut order = clients.to_vec();
        order.rotate_left(round % clients.len().max(1));
        let run = |client, setting| Run {
            operation,
            size,
            client,
            setting,
        };
        let mut runs = Vec::new();
        for client in order {
            match operation {
                Operation::Latency => {
                    let settings = client.latency_settings();
                    runs.extend(settings.iter().map(|&setting| run(client, setting)));
                }
                Operation::Produce | Operation::Consume if round == 0 => {
                    let settings = client.throughput_settings();
                    runs.extend(settings.iter().map(|&setting| run(client, setting)));
                }
                Operation::Produce | Operation::Consume => {
                    let better = self.better(client, operation, size);
                    runs.push(run(client, better.unwrap_or(Setting::Default)));
                }
            }
        }
        runs
    }

    /// The setting with more records a second in the first round.
    pub(super) fn better(
        &self,
        client: Client,
        operation: Operation,
        size: usize,
    ) -> Option<Setting> {
        let first = |setting: Setting| {
            let run = Run {
                operation,
                size,
                client,
                setting,
            };
            self.reports.get(&run)?.first().map(Report::rate)
        };
        client
            .throughput_settings()
            .iter()
            .filter_map(|&setting| Some((setting, first(setting)?)))
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(setting, _)| setting)
    }

    /// The median of a figure over the rounds; none if a round failed.
    pub(super) fn median(&self, run: Run, figure: impl Fn(&Report) -> f64) -> Option<f64> {
        if self.failed.contains_key(&run) {
            return None;
        }
        let mut figures: Vec<f64> = self.reports.get(&run)?.iter().map(figure).collect();
        figures.sort_unstable_by(f64::total_cmp);
        figures.get((figures.len().checked_sub(1)?) / 2).copied()
    }

    /// Sizes for which something was measured, in order.
    pub(super) fn sizes(&self, operation: Operation) -> Vec<usize> {
        let runs = self.reports.keys().chain(self.failed.keys());
        let mut sizes: Vec<usize> = runs
            .filter(|run| run.operation == operation)
            .map(|run| run.size)
            .collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(rate: f64) -> Report {
        Report {
            records: 1_000,
            extra: 0,
            seconds: 1_000.0 / rate,
            cpu: 1.0,
            peak_kib: 1,
            latency: [0.0; 3],
        }
    }

    #[test]
    fn the_better_setting_goes_on_and_the_order_rotates() {
        let clients = [Client::Ours, Client::Java];
        let mut results = Results::default();
        let first = results.runs(&clients, Operation::Produce, 10, 0);
        let named: Vec<_> = first.iter().map(|run| (run.client, run.setting)).collect();
        assert_eq!(
            named,
            [
                (Client::Ours, Setting::Default),
                (Client::Java, Setting::Default),
                (Client::Java, Setting::Tuned)
            ]
        );
        for (run, rate) in first.into_iter().zip([5.0, 1.0, 2.0]) {
            results.note(run, Some(report(rate)));
        }
        let second = results.runs(&clients, Operation::Produce, 10, 1);
        let named: Vec<_> = second.iter().map(|run| (run.client, run.setting)).collect();
        assert_eq!(
            named,
            [
                (Client::Java, Setting::Tuned),
                (Client::Ours, Setting::Default)
            ]
        );
        let scale = Scale::new(false, Some(2));
        assert_eq!(count(&clients, &[Operation::Produce], &[10], scale), 3 + 2);
    }

    #[test]
    fn a_median_is_the_one_in_the_middle_and_a_failure_spoils_it() {
        let run = Run {
            operation: Operation::Produce,
            size: 10,
            client: Client::Ours,
            setting: Setting::Default,
        };
        let mut results = Results::default();
        for rate in [3.0, 1.0, 2.0] {
            results.note(run, Some(report(rate)));
        }
        let median = results.median(run, Report::rate).unwrap();
        assert!((median - 2.0).abs() < 1e-9);
        results.note(run, None);
        assert_eq!(results.median(run, Report::rate), None);
        assert_eq!(results.failures(), 1);
    }
}
