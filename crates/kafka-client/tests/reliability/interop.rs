//! The same log through other clients: Java's own tools and librdkafka's kcat.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use futures_util::future::join_all;
use kafka_client::{
    Compression, ConsumerConfig, ProducerConfig, ProducerRecord, StartAt, TopicPartition,
    partition_for_key,
};

use crate::kit::{Bed, PATIENCE, within};

const PARTITIONS: i32 = 7;
const COMPRESSIONS: [(Compression, &str); 5] = [
    (Compression::None, "none"),
    (Compression::Gzip, "gzip"),
    (Compression::Snappy, "snappy"),
    (Compression::Lz4, "lz4"),
    (Compression::Zstd, "zstd"),
];

/// Partition, key and value of each record, in the order of the keys: no key comes twice.
type Log = BTreeMap<String, (i32, String)>;

/// Runs a program with this input and returns its output.
async fn run(program: &str, arguments: &[&str], input: String) -> String {
    let mut command = Command::new(program);
    command.args(arguments);
    let output = tokio::task::spawn_blocking(move || {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let mut stdin = child.stdin.take().unwrap();
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let output = child.wait_with_output().unwrap();
        // A program that reads nothing closes its input.
        let _ = writer.join().unwrap();
        assert!(output.status.success(), "{command:?}: {}", output.status);
        output.stdout
    });
    String::from_utf8(within(program, output).await.unwrap()).unwrap()
}

async fn kcat(bed: &Bed, arguments: &[&str], input: String) -> String {
    let all = [&["-b", bed.bootstrap()], arguments].concat();
    run("kcat", &all, input).await
}

async fn java(bed: &Bed, class: &str, arguments: &[&str], input: String) -> String {
    let tool = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/testbed/tool");
    let all = [&[class, "--bootstrap-server", bed.bootstrap()], arguments].concat();
    run(tool, &all, input).await
}

/// Keys of all lengths, some beyond ASCII, and values that can be compressed.
fn records(prefix: &str, count: usize) -> Vec<(String, String)> {
    (0..count)
        .map(|n| {
            let tail = ["", "ß", "漢字", "😀"][n % 4].repeat(n % 9);
            (
                format!("{prefix}{n}{tail}"),
                format!("value {n} {}", "again ".repeat(n % 50)),
            )
        })
        .collect()
}

/// A line a record, as both kcat and Java's console producer take them.
fn lines(records: &[(String, String)]) -> String {
    records.iter().map(|(k, v)| format!("{k}\t{v}\n")).collect()
}

/// What is to be read: each record where its key belongs.
fn expected(records: impl IntoIterator<Item = (String, String)>) -> Log {
    let placed = |(key, value): (String, String)| {
        let partition = partition_for_key(key.as_bytes(), PARTITIONS as u32);
        (key, (partition, value))
    };
    records.into_iter().map(placed).collect()
}

/// Writes the records with each compression in turn, under keys of its own.
async fn write_all_compressions(bed: &Bed, topic: &str) -> Log {
    let mut all = Vec::new();
    for (compression, name) in COMPRESSIONS {
        let records = records(name, 200);
        let mut config = ProducerConfig::default();
        config.compression = compression;
        let producer = bed.client().producer(config);
        let records_of = |(k, v): &'_ (String, String)| (k.clone(), v.clone());
        let sent = records.iter().map(|(key, value)| {
            ProducerRecord::new(topic)
                .key(key.as_bytes())
                .value(value.as_bytes())
        });
        within("sending", producer.send_all(sent)).await.unwrap();
        producer.close(PATIENCE).await.unwrap();
        all.extend(records.iter().map(records_of));
    }
    expected(all)
}

/// Everything in the topic, as our consumer reads it.
async fn read(bed: &Bed, topic: &str) -> Log {
    let ends = bed.ends(topic, PARTITIONS).await;
    let start = (0..PARTITIONS).map(|p| (TopicPartition::new(topic, p), StartAt::Offset(0)));
    let client = bed.client();
    let consumers = client.consume(ConsumerConfig::default(), start).unwrap();
    let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
    let reads = consumers
        .into_iter()
        .zip(ends)
        .map(|(mut consumer, end)| async move {
            let mut read = Vec::new();
            while (read.len() as i64) < end {
                let records = within("reading", consumer.poll(10_000)).await.unwrap();
                let partition = consumer.partition();
                for r in records.expect("not revoked").iter() {
                    read.push((text(r.key), (partition, text(r.value))));
                }
            }
            read
        });
    let all: Vec<_> = join_all(reads).await.into_iter().flatten().collect();
    let (count, log) = (all.len(), all.into_iter().collect::<Log>());
    assert_eq!(log.len(), count, "a key came twice");
    log
}

/// The lines that a program has read from the topic.
fn parse(output: &str, take_partition: impl Fn(&str) -> i32) -> Log {
    let records = output.lines().map(|line| {
        let mut fields = line.splitn(3, '\t');
        let mut next = || {
            fields
                .next()
                .unwrap_or_else(|| panic!("{line:?}"))
                .to_owned()
        };
        let (partition, key, value) = (take_partition(&next()), next(), next());
        (key, (partition, value))
    });
    let all: Vec<_> = records.collect();
    let (count, log) = (all.len(), all.into_iter().collect::<Log>());
    assert_eq!(log.len(), count, "a key came twice");
    log
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KAFKA_BOOTSTRAP_SERVERS: eval \"$(deploy/testbed/up)\" && cargo test -p kafka-client --test reliability -- --ignored interop"]
async fn java_reads_what_we_compress() {
    let bed = Bed::real();
    let topic = bed.topic(PARTITIONS).await;
    let written = write_all_compressions(&bed, &topic).await;
    let count = written.len().to_string();
    let class = "org.apache.kafka.tools.consumer.ConsoleConsumer";
    let arguments = [
        "--topic",
        &topic,
        "--from-beginning",
        "--max-messages",
        &count,
        "--timeout-ms",
        "30000",
        "--formatter-property",
        "print.partition=true",
        "--formatter-property",
        "print.key=true",
    ];
    let output = java(&bed, class, &arguments, String::new()).await;
    let partition = |text: &str| text.trim_start_matches("Partition:").parse().unwrap();
    assert_eq!(parse(&output, partition), written);
    assert_eq!(read(&bed, &topic).await, written);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KAFKA_BOOTSTRAP_SERVERS: eval \"$(deploy/testbed/up)\" && cargo test -p kafka-client --test reliability -- --ignored interop"]
async fn java_writes_what_we_read_and_chooses_the_partitions_that_we_choose() {
    let bed = Bed::real();
    let topic = bed.topic(PARTITIONS).await;
    let mut all = Vec::new();
    for (_, compression) in COMPRESSIONS {
        let records = records(compression, 200);
        let class = "org.apache.kafka.tools.ConsoleProducer";
        let arguments = [
            "--topic",
            &topic,
            "--compression-codec",
            compression,
            "--reader-property",
            "parse.key=true",
        ];
        java(&bed, class, &arguments, lines(&records)).await;
        all.extend(records);
    }
    assert_eq!(read(&bed, &topic).await, expected(all));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KAFKA_BOOTSTRAP_SERVERS and kcat: eval \"$(deploy/testbed/up)\" && cargo test -p kafka-client --test reliability -- --ignored interop"]
async fn librdkafka_reads_what_we_compress() {
    let bed = Bed::real();
    let topic = bed.topic(PARTITIONS).await;
    let written = write_all_compressions(&bed, &topic).await;
    let arguments = ["-C", "-t", &topic, "-o", "beginning", "-e", "-q"];
    let arguments = [&arguments[..], &["-f", "%p\t%k\t%s\n"]].concat();
    let output = kcat(&bed, &arguments, String::new()).await;
    assert_eq!(parse(&output, |text| text.parse().unwrap()), written);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KAFKA_BOOTSTRAP_SERVERS and kcat: eval \"$(deploy/testbed/up)\" && cargo test -p kafka-client --test reliability -- --ignored interop"]
async fn librdkafka_writes_what_we_read() {
    let bed = Bed::real();
    let topic = bed.topic(PARTITIONS).await;
    let mut all = Vec::new();
    for (_, compression) in COMPRESSIONS {
        let records = records(compression, 200);
        // librdkafka's own default is another hash.
        let partitioner = ["-X", "topic.partitioner=murmur2"];
        let arguments = ["-P", "-t", &topic, "-K", "\t", "-z", compression];
        let arguments = [&arguments[..], &partitioner].concat();
        kcat(&bed, &arguments, lines(&records)).await;
        all.extend(records);
    }
    assert_eq!(read(&bed, &topic).await, expected(all));
}
