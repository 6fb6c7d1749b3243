//! The program as a process: what it refuses to start with, and how it ends when its servers are not there.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};

use kafka_broker::{Broker, BrokerConfig};
use orderflow::cli::Role;
use orderflow::{Shop, ShopSettings};

use crate::running::Running;
use crate::scenarios::{at_rest_nothing_lags, product};

/// Where nothing listens.
const NOBODY: &str = "127.0.0.1:1";

pub(crate) fn orderflow(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orderflow"));
    command.args(arguments).stdin(Stdio::null());
    for variable in [
        "ADMIN_TOKEN",
        "KAFKA_BOOTSTRAP_SERVERS",
        "MONGODB_URI",
        "RUST_LOG",
    ] {
        command.env_remove(variable);
    }
    command
}

pub(crate) fn refused(command: &mut Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{stderr}");
    stderr
}

#[test]
fn a_service_alone_has_to_be_told_of_its_store() {
    for command in [
        &mut orderflow(&["serve", "payment"]),
        orderflow(&["serve", "payment"]).env("MONGODB_URI", ""),
    ] {
        let told = refused(command);
        for name in ["MONGODB_URI", "--embedded-store"] {
            assert!(told.contains(name), "{told}");
        }
    }
}

#[test]
fn two_stores_are_one_too_many() {
    let uri = "mongodb://user:hunter2@127.0.0.1:1";
    let told =
        refused(orderflow(&["serve", "payment", "--embedded-store"]).env("MONGODB_URI", uri));
    assert!(
        told.contains("MONGODB_URI") && !told.contains("hunter2"),
        "{told}"
    );
}

/// As `orderflow topics | true`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_ends_well_whose_output_nobody_reads() {
    let broker = Broker::start(BrokerConfig::default()).await.unwrap();
    let servers = broker.bootstrap_servers();
    let ended = tokio::task::spawn_blocking(move || {
        let mut command = orderflow(&["topics", "--create", "--bootstrap-servers", &servers]);
        let streams = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = streams.spawn().unwrap();
        drop(process.stdout.take());
        process.wait_with_output().unwrap()
    });
    let Output { status, stderr, .. } = ended.await.unwrap();
    let told = String::from_utf8(stderr).unwrap();
    assert_eq!((status.code(), told.as_str()), (Some(0), ""));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_offsets_and_dead_letters_of_a_group_that_is_not_there_are_an_error() {
    let settings = ShopSettings::embedded(vec![product("P001", 100, 2999)]);
    let shop = Shop::on_free_ports(settings).await.unwrap();
    let servers = shop.bootstrap_servers();
    let shop = Running::run(shop);
    at_rest_nothing_lags(&shop.urls).await;
    let offsets = |group: &'static str| {
        let mut command =
            orderflow(&["offsets", "--group", group, "--bootstrap-servers", &servers]);
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    let Output { status, stdout, .. } = offsets("payment-service").await.unwrap();
    let told = String::from_utf8(stdout).unwrap();
    assert_eq!(status.code(), Some(0), "{told}");
    assert!(told.contains("order_placed"), "{told}");

    let Output { status, stderr, .. } = offsets("nope").await.unwrap();
    let told = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{told}");
    assert!(
        told.contains("nope") && told.contains("payment-service"),
        "{told}"
    );
    let mut list = orderflow(&[
        "dlq",
        "list",
        "--group",
        "nope",
        "--bootstrap-servers",
        &servers,
    ]);
    let told = tokio::task::spawn_blocking(move || refused(&mut list));
    let told = told.await.unwrap();
    assert!(
        told.contains("nope") && told.contains("payment-service"),
        "{told}"
    );
    shop.stop().await;
}

/// The report as JSON, the exit code 0; and 1 where no order could be placed, with the reason on standard error.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_says_how_it_went_by_its_exit_code() {
    let shop = Running::start(ShopSettings::embedded(vec![product("P001", 5, 100)])).await;
    let inventory = shop.urls.url(Role::Inventory, "");
    let load = |orders: String, more: &[&str]| {
        let mut command = orderflow(&["load", "--orders", "20", "--inventory-url", &inventory]);
        command
            .args(["--order-url", &orders, "--follow-for"])
            .args(more);
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    let orders = shop.urls.url(Role::Order, "");
    let told = load(orders, &["60", "--json", "--seed", "7"])
        .await
        .unwrap();
    assert_eq!(told.status.code(), Some(0), "{told:?}");
    assert!(
        told.stderr.is_empty(),
        "no bar where nobody sees it: {told:?}"
    );
    let report: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(
        (&report["accepted"], &report["seed"]),
        (&20.into(), &7.into()),
        "{report}"
    );
    assert!(
        report["by_status"]["REFUNDED"].as_u64() > Some(0),
        "{report}"
    );

    let told = load(format!("http://{NOBODY}"), &["0"]).await.unwrap();
    let stderr = String::from_utf8(told.stderr).unwrap();
    assert_eq!(told.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("20 of 20 orders were not accepted"),
        "{stderr}"
    );
    assert!(
        String::from_utf8(told.stdout)
            .unwrap()
            .contains("accepted           0")
    );
    shop.stop().await;
}

/// 0 where all is well; 1 where something is missing, and where nothing can be read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verification_says_what_it_found_by_its_exit_code() {
    let shop = Shop::on_free_ports(ShopSettings::embedded(vec![product("P001", 5, 100)]))
        .await
        .unwrap();
    let servers = shop.bootstrap_servers();
    let shop = Running::run(shop);
    let verify = |payment: &str, servers: &str, more: &[&str]| {
        let mut command = orderflow(&["verify", "--bootstrap-servers", servers]);
        for (name, role) in [
            ("ORDER_URL", Role::Order),
            ("INVENTORY_URL", Role::Inventory),
            ("SHIPMENT_URL", Role::Shipment),
        ] {
            command.env(name, shop.urls.url(role, ""));
        }
        command.env("PAYMENT_URL", payment).args(more);
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    let payment = shop.urls.url(Role::Payment, "");
    shop.urls.place(&[("P001", 1, "1.00")]).await;
    let told = verify(&payment, &servers, &["--wait", "60", "--json"])
        .await
        .unwrap();
    assert_eq!(told.status.code(), Some(0), "{told:?}");
    let found: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(
        (&found["by_status"]["SHIPPED"], &found["events"]),
        (&1.into(), &5.into()),
        "{found}"
    );

    let told = verify("http://127.0.0.1:1", &servers, &[]).await.unwrap();
    let stderr = String::from_utf8(told.stderr).unwrap();
    assert_eq!(told.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("http://127.0.0.1:1 cannot be reached"),
        "{stderr}"
    );

    // A broker that has never heard of the order.
    let other = Broker::start(BrokerConfig::default()).await.unwrap();
    let told = verify(&payment, &other.bootstrap_servers(), &[])
        .await
        .unwrap();
    let stderr = String::from_utf8(told.stderr).unwrap();
    assert_eq!(told.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("order_placed PENDING") && stderr.contains("no such event"),
        "{stderr}"
    );
    let stdout = String::from_utf8(told.stdout).unwrap();
    assert!(stdout.contains("violations                5"), "{stdout}");
    other.stop().await;
    shop.stop().await;
}

/// A service that waits for its Kafka, and what it logs.
struct Waiting {
    child: Child,
    log: BufReader<std::process::ChildStderr>,
}

impl Waiting {
    fn for_kafka_at(address: &str) -> Self {
        let mut child = orderflow(&["serve", "payment", "--embedded-store", "--http-port", "0"])
            .env("KAFKA_BOOTSTRAP_SERVERS", address)
            .env("RUST_LOG", "info")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, log }
    }

    /// The log up to the first line with this in it.
    fn until(&mut self, text: &str) -> String {
        let mut read = String::new();
        loop {
            let from = read.len();
            let more = self.log.read_line(&mut read).unwrap();
            assert!(more > 0, "the log ends without {text:?}: {read}");
            if read[from..].contains(text) {
                return read;
            }
        }
    }

    /// Sends a signal. The exit code is 0 only if the process ended in order, which it has less than 5 s for.
    fn ends_in_order_on(mut self, signal: &str) {
        let mut kill = Command::new("kill");
        kill.args(["-s", signal, &self.child.id().to_string()]);
        assert!(kill.status().unwrap().success());
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "{status}: {rest}");
        assert!(rest.contains("told to stop"), "{rest}");
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_can_be_stopped_while_nothing_listens_where_kafka_should_be() {
    let mut waiting = Waiting::for_kafka_at(NOBODY);
    let log = waiting.until("can be reached");
    assert!(
        log.contains("lost at its end"),
        "the store's warning: {log}"
    );
    assert!(log.contains(NOBODY), "{log}");
    waiting.ends_in_order_on("TERM");
}

#[test]
fn it_can_be_stopped_while_kafka_does_not_answer() {
    // It takes connections, in its backlog, and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut waiting = Waiting::for_kafka_at(&listener.local_addr().unwrap().to_string());
    waiting.until("service is up");
    waiting.ends_in_order_on("INT");
}
