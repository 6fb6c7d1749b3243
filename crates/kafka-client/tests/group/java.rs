//! A consumer of Kafka's own client in the same group as ours: each understands what the other subscribes to and assigns.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use kafka_client::{Assignor, GroupConfig};
use tokio::sync::watch;

use crate::kit::{Bed, Journal, Member, config, within};

const TOOL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/testbed/tool");
const PARTITIONS: i32 = 4;

/// Kafka's console consumer.
struct JavaConsumer {
    process: Child,
    /// The keys that it has printed.
    keys: watch::Receiver<Vec<u32>>,
}

impl JavaConsumer {
    fn start(bed: &Bed, config: &GroupConfig) -> Self {
        let property = |name: &str, value: &str| format!("{name}={value}");
        let class = match config.assignors[0] {
            Assignor::Range => "RangeAssignor",
            Assignor::Sticky => "StickyAssignor",
            Assignor::CooperativeSticky => "CooperativeStickyAssignor",
            other => panic!("{other:?} is not tried"),
        };
        let class = format!("org.apache.kafka.clients.consumer.{class}");
        let mut process = Command::new(TOOL)
            .args(["org.apache.kafka.tools.consumer.ConsoleConsumer"])
            .args(["--bootstrap-server", bed.bootstrap()])
            .args(["--topic", &config.topics[0], "--group", &config.group_id])
            .args([
                "--command-property",
                &property("partition.assignment.strategy", &class),
            ])
            .args(["--command-property", "group.protocol=classic"])
            .args(["--command-property", "auto.offset.reset=earliest"])
            .args(["--command-property", "heartbeat.interval.ms=200"])
            .args([
                "--formatter-property",
                "print.key=true",
                "--formatter-property",
                "print.value=false",
            ])
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("deploy/testbed/tool runs");
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (printed, keys) = watch::channel(Vec::new());
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // Hints and warnings are printed to the same place.
                if let Ok(key) = line.trim().parse::<u32>() {
                    printed.send_modify(|keys| keys.push(key));
                }
            }
        });
        Self { process, keys }
    }

    /// Has it end as Ctrl-C does: it commits and leaves. Returns all that it has printed.
    async fn stop(mut self) -> Vec<u32> {
        signal(&self.process, "-TERM");
        let mut keys = self.keys.clone();
        let ended = async { while keys.changed().await.is_ok() {} };
        within("the end of the Java consumer", ended).await;
        self.process.wait().unwrap();
        let keys = self.keys.borrow();
        keys.clone()
    }
}

impl Drop for JavaConsumer {
    fn drop(&mut self) {
        // Nothing of it is left, whether or not it was stopped.
        signal(&self.process, "-KILL");
    }
}

/// To the process and those that it started.
fn signal(process: &Child, signal: &str) {
    let group = format!("-{}", process.id());
    let sent = Command::new("kill")
        .args([signal, "--", &group])
        .stderr(Stdio::null())
        .status();
    drop(sent);
}

/// Ours is joined by Java's, which leaves again: whoever of them leads, the partitions are shared, and every record is read
/// once.
async fn shares_partitions_with_java(assignor: Assignor, java_first: bool) {
    let bed = Bed::real();
    let (topic, group) = (bed.topic(PARTITIONS).await, bed.name("group"));
    let config = GroupConfig {
        assignors: vec![assignor],
        ..config(&group, &topic)
    };
    let journal = Journal::new();
    let ours = || Member::join(&bed.client, config.clone(), &journal);
    let (java, ours) = if java_first {
        let java = JavaConsumer::start(&bed, &config);
        // It has joined once it reads.
        bed.produce(&topic, PARTITIONS, 0..40).await;
        let mut keys = java.keys.clone();
        within(
            "Java's first records",
            keys.wait_for(|keys| keys.len() == 40),
        )
        .await
        .unwrap();
        (java, ours())
    } else {
        let ours = ours();
        ours.wait_for_partitions(PARTITIONS as usize).await;
        bed.produce(&topic, PARTITIONS, 0..40).await;
        journal.wait_for(40).await;
        (JavaConsumer::start(&bed, &config), ours)
    };
    ours.wait_for_partitions(2).await;
    let status = ours.handle.state().status;
    assert_eq!(status.is_leader, !java_first);
    assert_eq!(status.protocol, Some(Arc::from(assignor.name())));

    bed.produce(&topic, PARTITIONS, 40..400).await;
    let (mut theirs, mut mine) = (java.keys.clone(), journal.watch());
    let all = async {
        while theirs.borrow_and_update().len() + mine.borrow_and_update().len() < 400 {
            tokio::select! {
                changed = theirs.changed() => changed.expect("the Java consumer runs"),
                changed = mine.changed() => changed.unwrap(),
            }
        }
    };
    within("both to read all", all).await;
    let of_java = java.stop().await;
    ours.wait_for_partitions(PARTITIONS as usize).await;
    bed.produce(&topic, PARTITIONS, 400..500).await;
    within("the rest", journal.wait_for(500 - of_java.len())).await;
    ours.close().await;
    let mut all: Vec<u32> = journal
        .all()
        .iter()
        .map(|seen| seen.key)
        .chain(of_java)
        .collect();
    all.sort_unstable();
    assert_eq!(all, (0..500).collect::<Vec<_>>());
}

macro_rules! with_java {
    ($($name:ident: $assignor:ident, $java_first:literal;)+) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        #[ignore = "needs KAFKA_BOOTSTRAP_SERVERS and Java: eval \"$(deploy/testbed/up)\" && cargo test -p kafka-client --test group -- --ignored"]
        async fn $name() {
            shares_partitions_with_java(Assignor::$assignor, $java_first).await;
        })+
    };
}

with_java! {
    range_led_by_us: Range, false;
    range_led_by_java: Range, true;
    sticky_led_by_us: Sticky, false;
    sticky_led_by_java: Sticky, true;
    cooperative_sticky_led_by_us: CooperativeSticky, false;
    cooperative_sticky_led_by_java: CooperativeSticky, true;
}
