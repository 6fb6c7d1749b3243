//! The table, in Markdown, on standard output.

use std::fmt::Write as _;

use super::plan::{Results, Run, Scale};
use crate::clients::Client;
use crate::measure::{Operation, Report, Setting};

/// This program's own lock file: the versions that were built.
const LOCK: &str = include_str!("../../Cargo.lock");

/// A figure of a report, and how it reads.
struct Figure {
    name: &'static str,
    of: fn(&Report) -> f64,
    text: fn(f64) -> String,
    more_is_better: bool,
}

static THROUGHPUT: [Figure; 3] = [
    Figure {
        name: "records/s",
        of: Report::rate,
        text: count,
        more_is_better: true,
    },
    Figure {
        name: "CPU s per million",
        of: Report::cpu_per_million,
        text: digits,
        more_is_better: false,
    },
    Figure {
        name: "peak MiB",
        of: Report::peak_mib,
        text: whole,
        more_is_better: false,
    },
];

static LATENCY: [Figure; 3] = [
    Figure {
        name: "p50 ms",
        of: |report| report.latency[0],
        text: digits,
        more_is_better: false,
    },
    Figure {
        name: "p99 ms",
        of: |report| report.latency[1],
        text: digits,
        more_is_better: false,
    },
    Figure {
        name: "p99.9 ms",
        of: |report| report.latency[2],
        text: digits,
        more_is_better: false,
    },
];

/// A row before it is text: what each client reached and whether it was tuned for it; none where it failed.
struct Row {
    name: String,
    values: Vec<(Client, Option<(f64, bool)>)>,
}

/// Prints everything.
pub(super) fn table(results: &Results, clients: &[Client], java: Option<&str>, scale: Scale) {
    println!("{}", head(scale));
    let mut text = header(clients, java);
    let mut behind = Vec::new();
    let mut ranked = 0;
    for operation in [Operation::Produce, Operation::Consume, Operation::Latency] {
        for (row, figure) in rows(results, clients, operation) {
            if let Some((rank, of)) = rank(&row, figure) {
                ranked += 1;
                if rank > 1 {
                    behind.push(format!("{} ({rank} of {of})", row.name));
                }
            }
            text.push_str(&line(&row, figure));
        }
    }
    println!("{text}");
    println!("† tuned: it did better so than with its defaults.");
    println!(
        "Ratio: how many times better ours is than the best of the other full clients (below 1: worse). The floor has no rank."
    );
    if ranked > 0 {
        println!();
        println!(
            "Ours is first in {} of {ranked} rows.",
            ranked - behind.len()
        );
        if !behind.is_empty() {
            println!("Behind in: {}.", behind.join("; "));
        }
    }
}

/// What was measured where.
fn head(scale: Scale) -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown", |(_, model)| model.trim());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let rounds = match scale.rounds {
        1 => "one round".to_owned(),
        rounds => format!("medians of {rounds} rounds"),
    };
    format!(
        "{}: {rounds}, on {cores} cores ({model}) that the clients share with the broker.\n",
        chrono::Utc::now().format("%Y-%m-%d %H:%M UTC")
    )
}

fn header(clients: &[Client], java: Option<&str>) -> String {
    let mut names = String::from("| |");
    let mut rule = String::from("|---|");
    for client in clients {
        let name = match client {
            Client::Ours => "ours".to_owned(),
            Client::Java => format!("Java {}", java.unwrap_or_default()),
            // The version of what rdkafka-sys carries stands behind the plus.
            Client::Librdkafka => {
                let version = locked("rdkafka-sys");
                let own = version.split_once('+').map_or(version, |(_, own)| own);
                format!("librdkafka {own}")
            }
            Client::Krafka => format!("krafka {}", locked("krafka")),
            Client::Rskafka => format!("floor: rskafka {}", locked("rskafka")),
        };
        let _ = write!(names, " {name} |");
        rule.push_str("--:|");
    }
    format!("{names} rank | ratio |\n{rule}--:|--:|\n")
}

/// The version of a package in the lock file.
fn locked(package: &str) -> &'static str {
    let name = format!("name = \"{package}\"");
    LOCK.lines()
        .skip_while(|line| *line != name)
        .find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'))
        .unwrap_or_default()
}

fn rows(
    results: &Results,
    clients: &[Client],
    operation: Operation,
) -> Vec<(Row, &'static Figure)> {
    let latency = operation == Operation::Latency;
    let figures = if latency { &LATENCY } else { &THROUGHPUT };
    let settings: &[Setting] = if latency {
        &[Setting::Default, Setting::NoLinger]
    } else {
        &[Setting::Default]
    };
    let mut rows = Vec::new();
    for size in results.sizes(operation) {
        for &wanted in settings {
            for figure in figures {
                let value = |client: Client| {
                    let setting = match wanted {
                        _ if !latency => results
                            .better(client, operation, size)
                            .unwrap_or(Setting::Default),
                        // Those that never linger are the same in both.
                        setting if client.latency_settings().contains(&setting) => setting,
                        _ => Setting::Default,
                    };
                    let run = Run {
                        operation,
                        size,
                        client,
                        setting,
                    };
                    let median = results.median(run, figure.of)?;
                    Some((median, setting == Setting::Tuned))
                };
                let what = match (latency, wanted) {
                    (true, Setting::NoLinger) => "latency without linger,".to_owned(),
                    (true, _) => "latency,".to_owned(),
                    (false, _) => format!("{} {size} B,", operation.name()),
                };
                let row = Row {
                    name: format!("{what} {}", figure.name),
                    values: clients.iter().map(|&c| (c, value(c))).collect(),
                };
                rows.push((row, figure));
            }
        }
    }
    rows
}

/// The place of ours among the full clients that have a figure, and how many they are.
fn rank(row: &Row, figure: &Figure) -> Option<(usize, usize)> {
    let (ours, peers) = contest(row)?;
    let ahead = |peer: &&f64| {
        if figure.more_is_better {
            **peer > ours
        } else {
            **peer < ours
        }
    };
    Some((peers.iter().filter(ahead).count() + 1, peers.len() + 1))
}

/// Ours, against the best of the others: more than one is better, whichever way the figure counts.
fn ratio(row: &Row, figure: &Figure) -> Option<f64> {
    let (ours, peers) = contest(row)?;
    if figure.more_is_better {
        Some(ours / peers.into_iter().reduce(f64::max)?)
    } else {
        Some(peers.into_iter().reduce(f64::min)? / ours)
    }
}

fn contest(row: &Row) -> Option<(f64, Vec<f64>)> {
    let value = |client: &Client, value: &Option<(f64, bool)>| {
        let (value, _) = (*value)?;
        (!client.is_floor()).then_some(value)
    };
    let ours = row
        .values
        .iter()
        .filter(|(client, _)| *client == Client::Ours)
        .find_map(|(client, v)| value(client, v))?;
    let peers: Vec<f64> = row
        .values
        .iter()
        .filter(|(client, _)| *client != Client::Ours)
        .filter_map(|(client, v)| value(client, v))
        .collect();
    (!peers.is_empty()).then_some((ours, peers))
}

fn line(row: &Row, figure: &Figure) -> String {
    let mut line = format!("| {} |", row.name);
    for (_, value) in &row.values {
        let text = match value {
            Some((value, tuned)) => {
                format!(
                    "{}{}",
                    (figure.text)(*value),
                    if *tuned { " †" } else { "" }
                )
            }
            None => "failed".to_owned(),
        };
        let _ = write!(line, " {text} |");
    }
    let rank = rank(row, figure).map_or("–".to_owned(), |(rank, of)| format!("{rank} of {of}"));
    let ratio = ratio(row, figure).map_or("–".to_owned(), |ratio| format!("{ratio:.2}"));
    let _ = writeln!(line, " {rank} | {ratio} |");
    line
}

/// 5,310,000 is 5.31 M, 27,400 is 27.4 k.
fn count(value: f64) -> String {
    if value >= 1e6 {
        format!("{:.2} M", value / 1e6)
    } else if value >= 1e5 {
        format!("{:.0} k", value / 1e3)
    } else {
        format!("{:.1} k", value / 1e3)
    }
}

/// Three digits, more or less.
fn digits(value: f64) -> String {
    match value {
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn whole(value: f64) -> String {
    format!("{value:.0}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[(Client, Option<(f64, bool)>)]) -> Row {
        Row {
            name: "produce 10 B, records/s".to_owned(),
            values: values.to_vec(),
        }
    }

    #[test]
    fn ours_is_ranked_among_full_clients_and_not_against_the_floor() {
        let row = row(&[
            (Client::Ours, Some((4e6, false))),
            (Client::Java, Some((8e5, true))),
            (Client::Librdkafka, Some((2e6, false))),
            (Client::Krafka, None),
            (Client::Rskafka, Some((9e6, false))),
        ]);
        let (rate, cpu) = (&THROUGHPUT[0], &THROUGHPUT[1]);
        assert_eq!(rank(&row, rate), Some((1, 3)));
        assert_eq!(ratio(&row, rate), Some(2.0));
        // The same numbers, had they been costs.
        assert_eq!(rank(&row, cpu), Some((3, 3)));
        assert_eq!(ratio(&row, cpu), Some(0.2));
        assert_eq!(
            line(&row, rate),
            "| produce 10 B, records/s | 4.00 M | 800 k † | 2.00 M | failed | 9.00 M | 1 of 3 | 2.00 |\n"
        );
    }

    #[test]
    fn without_ours_or_without_peers_there_is_no_rank() {
        let alone = row(&[(Client::Ours, Some((1.0, false)))]);
        assert_eq!(rank(&alone, &THROUGHPUT[0]), None);
        let failed = row(&[(Client::Ours, None), (Client::Java, Some((1.0, false)))]);
        assert_eq!(ratio(&failed, &THROUGHPUT[0]), None);
        assert!(line(&failed, &THROUGHPUT[0]).ends_with("| – | – |\n"));
    }

    #[test]
    fn versions_come_from_the_lock_file() {
        for package in ["krafka", "rskafka", "rdkafka-sys"] {
            assert!(!locked(package).is_empty(), "{package}");
        }
        assert_eq!(locked("no-such-package"), "");
    }

    #[test]
    fn figures_read_well() {
        assert_eq!(count(5_314_000.0), "5.31 M");
        assert_eq!(count(328_400.0), "328 k");
        assert_eq!(count(27_440.0), "27.4 k");
        assert_eq!(digits(0.0812), "0.081");
        assert_eq!(digits(4.083), "4.08");
        assert_eq!(digits(38.04), "38.0");
    }
}
