//! On a real Kafka and a Mongo wire server: what dies is a process.
//!
//! The short ones run in CI. The long ones, which begin with `soak_`, send 5,000 orders through each fault: `just soak`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use kafka_client::{Client, ClientConfig, ProducerConfig};
use orderflow::cli::Role;
use orderflow::load::{LoadSettings, Progress};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::load::under_load;
use super::proxy::Proxy;
use super::records;
use crate::processes::Process;
use crate::real::{fresh, variable};
use crate::running::PATIENCE;

/// Orders of a long run, and how fast they come: a fault every two seconds then strikes twenty times.
const LONG: (u64, f64) = (5000, 100.0);
/// The same of a short one.
const SHORT: (u64, f64) = (1500, 100.0);
/// As long as a short one, and as fast as a small machine bears beside the servers: where a stop finds more than can be done in its time, events
/// come again, as they should.
const GENTLE: (u64, f64) = (600, 40.0);
const BETWEEN_FAULTS: Duration = Duration::from_secs(2);

/// The four services, a process each.
struct Shop {
    services: BTreeMap<Role, Process>,
    settings: Vec<(&'static str, String)>,
    orders: u64,
    rate: f64,
}

impl Shop {
    async fn start((orders, rate): (u64, f64)) -> Self {
        Self::on(&variable("KAFKA_BOOTSTRAP_SERVERS"), (orders, rate)).await
    }

    async fn on(kafka: &str, (orders, rate): (u64, f64)) -> Self {
        let stock = format!(
            "{}:100000:5.00,{}:100:12.50,{}:100000:7000.00",
            fresh("PLENTY"),
            fresh("SCARCE"),
            fresh("DEAR")
        );
        let settings = vec![
            ("STOCK", stock),
            ("KAFKA_BOOTSTRAP_SERVERS", kafka.to_owned()),
        ];
        let services = Role::PIPELINE.map(|role| (role, Process::start(role, &settings)));
        let shop = Self {
            services: BTreeMap::from(services),
            settings,
            orders,
            rate,
        };
        for role in Role::PIPELINE {
            shop.reads_all(role).await;
        }
        shop
    }

    /// Waits until a service has its partitions: three a topic that it reads.
    async fn reads_all(&self, role: Role) {
        let process = &self.services[&role];
        let all = |rows: &serde_json::Value| {
            let rows = rows["items"].as_array().unwrap();
            !rows.is_empty()
                && rows
                    .iter()
                    .all(|row| row["owner"] == true && row["position"].is_i64())
        };
        process.urls.when(role, "/offsets", all).await;
    }

    /// So many orders, and the fault again and again while they come. Then every invariant holds. Returns how many events were
    /// published again.
    async fn survives(mut self, mut fault: impl AsyncFnMut(&mut Self, u64)) -> u64 {
        let settings = LoadSettings {
            order_url: self.services[&Role::Order].base().parse().unwrap(),
            inventory_url: self.services[&Role::Inventory].base().parse().unwrap(),
            concurrency: 50,
            cancel_percent: 20,
            rate: Some(self.rate),
            seed: self.orders,
            ..LoadSettings::local(self.orders)
        };
        let orders = self.orders;
        // Other tests on the same servers may have had theirs.
        let before = self.verify().await;
        let mut strikes = 0;
        under_load(settings, async |progress: Arc<Progress>| {
            let mut ticks = tokio::time::interval(BETWEEN_FAULTS);
            ticks.tick().await;
            for round in 0.. {
                ticks.tick().await;
                if progress.accepted() + progress.failed() >= orders {
                    break;
                }
                fault(&mut self, round).await;
                strikes += 1;
            }
        })
        .await;
        assert!(strikes >= 4, "it struck only {strikes} times");
        let again = self.verify().await - before;
        for (_, process) in self.services {
            process.terminate().await;
        }
        again
    }

    async fn verify(&self) -> u64 {
        let urls = self
            .services
            .iter()
            .map(|(role, process)| (*role, process.base()));
        super::load::verify(urls.collect(), &variable("KAFKA_BOOTSTRAP_SERVERS")).await
    }

    fn client() -> Client {
        Client::new(ClientConfig::new(&variable("KAFKA_BOOTSTRAP_SERVERS"))).unwrap()
    }
}

/// The role whose turn it is.
fn turn(round: u64) -> Role {
    Role::PIPELINE[(round % 4) as usize]
}

/// A command of the test bed.
async fn testbed(command: &str, arguments: &[&str]) {
    let mut script = script(command);
    script.args(arguments);
    let status = tokio::task::spawn_blocking(move || script.status().unwrap());
    assert!(status.await.unwrap().success(), "{command}");
}

fn script(command: &str) -> Command {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/testbed");
    let mut bash = Command::new("bash");
    bash.arg(scripts.join(command));
    bash
}

/// The Mongo wire server answers nobody until this is dropped, however the test ends.
struct MongoAway;

impl MongoAway {
    async fn begin() -> Self {
        testbed("pause-mongo", &[]).await;
        Self
    }
}

impl Drop for MongoAway {
    fn drop(&mut self) {
        if !matches!(script("resume-mongo").status(), Ok(status) if status.success()) {
            eprintln!("the Mongo wire server could not be brought back");
        }
    }
}

async fn services_are_killed(size: (u64, f64)) {
    let shop = Shop::start(size).await;
    let began = std::time::Instant::now();
    shop.survives(async |shop: &mut Shop, round| {
        let role = turn(round);
        let process = shop.services.get_mut(&role).unwrap();
        process.kill_and_restart();
        let killed = std::time::Instant::now();
        shop.reads_all(role).await;
        println!(
            "{:6.1} s: {} killed, has its partitions again after {:.2} s",
            began.elapsed().as_secs_f64(),
            role.service(),
            killed.elapsed().as_secs_f64()
        );
    })
    .await;
}

async fn services_are_stopped(size: (u64, f64)) {
    let shop = Shop::start(size).await;
    let again = shop
        .survives(async |shop: &mut Shop, round| {
            let process = shop.services.get_mut(&turn(round)).unwrap();
            process.stop_and_restart().await;
            shop.reads_all(turn(round)).await;
        })
        .await;
    assert_eq!(again, 0, "events were published again");
}

async fn the_store_goes_away(size: (u64, f64), away: Duration) {
    let shop = Shop::start(size).await;
    shop.survives(async |shop: &mut Shop, round| {
        if round > 0 {
            return;
        }
        let gone = MongoAway::begin().await;
        // How long it is away is what is asked for; that the services have noticed is looked at besides.
        let mut ticks = tokio::time::interval(away);
        ticks.tick().await;
        ticks.tick().await;
        let url = format!("{}/health", shop.services[&Role::Order].base());
        let health = reqwest::get(url).await.unwrap();
        assert_eq!(health.status(), 503);
        drop(gone);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KAFKA_BOOTSTRAP_SERVERS and MONGODB_URI: eval \"$(deploy/testbed/up)\""]
async fn killed_services_lose_and_double_nothing() {
    services_are_killed(SHORT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KAFKA_BOOTSTRAP_SERVERS and MONGODB_URI: eval \"$(deploy/testbed/up)\""]
async fn services_that_are_stopped_under_load_publish_nothing_twice() {
    services_are_stopped(GENTLE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KAFKA_BOOTSTRAP_SERVERS and MONGODB_URI: eval \"$(deploy/testbed/up)\""]
async fn a_store_that_goes_away_for_a_while_loses_nothing() {
    the_store_goes_away(SHORT, Duration::from_secs(3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes long: just soak"]
async fn soak_services_are_killed_every_two_seconds() {
    services_are_killed(LONG).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes long: just soak"]
async fn soak_services_are_stopped_every_two_seconds() {
    services_are_stopped(LONG).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes long: just soak"]
async fn soak_the_store_is_away_for_ten_seconds() {
    the_store_goes_away(LONG, Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes long: just soak"]
async fn soak_brokers_crash_and_come_back() {
    let shop = Shop::start(LONG).await;
    shop.survives(async |_: &mut Shop, round| {
        let node = (round % 3 + 1).to_string();
        testbed("kill9", &[&node]).await;
        testbed("start-node", &[&node]).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes long: just soak"]
async fn soak_connections_are_cut_every_second() {
    let addresses = |name| -> Vec<std::net::SocketAddr> {
        let servers = variable(name);
        servers
            .split(',')
            .map(|server| server.parse().unwrap())
            .collect()
    };
    let ways: Vec<_> = addresses("KAFKA_PROXY_SERVERS")
        .into_iter()
        .zip(addresses("KAFKA_PROXIED_SERVERS"))
        .collect();
    let proxy = Proxy::start(&ways, StdRng::seed_from_u64(1)).await;
    let shop = Shop::on(&variable("KAFKA_PROXY_SERVERS"), LONG).await;
    shop.survives(async |_: &mut Shop, _| {}).await;
    assert!(
        proxy.cut() > 50,
        "only {} connections were cut",
        proxy.cut()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes long: just soak"]
async fn soak_second_instances_come_and_go() {
    let shop = Shop::start(LONG).await;
    shop.survives(async |shop: &mut Shop, round| {
        let role = turn(round);
        let second = Process::start(role, &shop.settings);
        let reads = |rows: &serde_json::Value| {
            rows["items"]
                .as_array()
                .unwrap()
                .iter()
                .any(|row| row["owner"] == true)
        };
        second.urls.when(role, "/offsets", reads).await;
        if round % 2 == 0 {
            second.terminate().await;
        } else {
            second.kill();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes long: just soak"]
async fn soak_poison_and_repeated_events_come_between_the_orders() {
    let shop = Shop::start(LONG).await;
    let client = Shop::client();
    let producer = client.producer(ProducerConfig::default());
    let again = shop
        .survives(async |_: &mut Shop, _| {
            for topic in contracts::names::TOPICS {
                records::poison(&producer, topic).await;
            }
            let mut events = tokio::time::timeout(PATIENCE, records::read_all(&client))
                .await
                .unwrap();
            events.reverse();
            records::publish(&client, events.iter().take(2000)).await;
        })
        .await;
    assert!(again > 0, "nothing came twice");
}
