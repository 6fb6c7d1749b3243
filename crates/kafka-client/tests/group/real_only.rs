//! What the embedded broker has not, on a real Kafka: transactions, and replicas that follow.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use kafka_client::{Client, ConsumerConfig, IsolationLevel, PartitionConsumer, StartAt};

use crate::kit::{Bed, keys, tp, within};

/// Java's transactional producer, which does as `Transactions.java` in the test bed says.
struct Transactions {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Transactions {
    /// Returns when all is written and one transaction is open.
    fn start(topic: &str) -> Self {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let servers = std::env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap();
        let mut process = Command::new(format!("{root}/deploy/testbed/tool"))
            .arg(format!("{root}/deploy/testbed/kafka/Transactions.java"))
            .args([&servers, topic])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let mut started = Self { process, output };
        started.expect("open");
        started
    }

    fn expect(&mut self, line: &str) {
        let mut said = String::new();
        self.output.read_line(&mut said).unwrap();
        assert_eq!(said.trim_end(), line);
    }

    fn end(mut self, how: &str) {
        writeln!(self.process.stdin.take().unwrap(), "{how}").unwrap();
        self.expect("done");
        assert!(self.process.wait().unwrap().success());
    }
}

fn read(client: &Client, topic: &str, isolation_level: IsolationLevel) -> PartitionConsumer {
    let config = ConsumerConfig {
        isolation_level,
        ..ConsumerConfig::default()
    };
    let start = [(tp(topic, 0), StartAt::Earliest)];
    client.consume(config, start).unwrap().remove(0)
}

/// Five transactions of five records: committed, aborted, committed, open, and committed behind the open one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KAFKA_BOOTSTRAP_SERVERS: eval \"$(deploy/testbed/up)\" && cargo test -p kafka-client --test group -- --ignored"]
async fn only_what_is_committed_is_read_and_nothing_behind_an_open_transaction() {
    for how in ["commit", "abort"] {
        let bed = Bed::real();
        let topic = bed.topic(1).await;
        let of = topic.clone();
        let starting = tokio::task::spawn_blocking(move || Transactions::start(&of));
        let transactions = starting.await.unwrap();

        let mut all = read(&bed.client, &topic, IsolationLevel::ReadUncommitted);
        assert_eq!(keys(&mut all, 25).await, (0..25).collect::<Vec<_>>());
        let mut committed = read(&bed.client, &topic, IsolationLevel::ReadCommitted);
        let seen = keys(&mut committed, 10).await;
        assert_eq!(seen, (0..5).chain(10..15).collect::<Vec<_>>());
        // 15 records and the 3 markers that end their transactions: the open one begins there.
        assert_eq!(committed.high_watermark(), Some(18));
        assert!(all.high_watermark() > Some(18));
        assert!(committed.try_poll(1).unwrap().is_none());

        let ending = tokio::task::spawn_blocking(move || transactions.end(how));
        within("the end of the transaction", ending).await.unwrap();
        let rest: Vec<u32> = match how {
            "commit" => (15..25).collect(),
            _ => (20..25).collect(),
        };
        assert_eq!(keys(&mut committed, rest.len()).await, rest);
        // 25 records and 5 markers; the last of these is passed over as well.
        let passed = async {
            while committed.position() != Some(30) {
                assert!(committed.try_poll(1).unwrap().is_none());
                tokio::task::yield_now().await;
            }
        };
        within("the log's end", passed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs three Kafka nodes in racks: eval \"$(KAFKA_NODES=3 deploy/testbed/up)\" && cargo test -p kafka-client --test group -- --ignored"]
async fn cluster_a_replica_in_the_same_rack_is_read_from() {
    let bed = Bed::real();
    let topic = bed.topic_with_replicas(1, 3).await;
    bed.produce_singly(&topic, 0..5).await;
    let metadata = bed.client.metadata();
    let partition = &metadata.topics[topic.as_str()].partitions[0];
    let leader = partition.leader.unwrap();
    let follower = *partition.replicas.iter().find(|id| **id != leader).unwrap();
    let config = ConsumerConfig {
        client_rack: metadata.brokers[&follower].rack.as_deref().map(Into::into),
        fetch_max_wait: Duration::from_millis(100),
        ..ConsumerConfig::default()
    };
    assert!(config.client_rack.is_some());
    let start = [(tp(&topic, 0), StartAt::Earliest)];
    let mut partition = bed.client.consume(config, start).unwrap().remove(0);
    assert_eq!(keys(&mut partition, 5).await, [0, 1, 2, 3, 4]);
    for round in 1..4 {
        bed.produce_singly(&topic, round * 5..round * 5 + 5).await;
        let expected: Vec<u32> = (round * 5..round * 5 + 5).collect();
        assert_eq!(keys(&mut partition, 5).await, expected);
        assert_eq!(partition.preferred_read_replica(), Some(follower));
    }
}
